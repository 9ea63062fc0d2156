// Package bodies rewrites bodies of JSON: it is Envoy's external processor
// (envoy.service.ext_proc.v3), which Envoy asks for requests of routes that have
// templates, and for no others.
//
// What is to be done comes with the call, from the route that Envoy has picked: so a
// template and its route are one message, a process that has just been started can
// rewrite at once, and two gateways with different configs do what each Envoy's says.
package bodies
