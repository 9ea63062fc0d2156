// Package check holds what is deployed to Kubernetes: its tests render the manifests as
// Kustomize and Helm do, and judge the results by Kubernetes' own types.
//
// It is a module of its own, which nothing else imports: Helm and Kubernetes' client
// bring some two hundred modules, none of which the gateway should be built, scanned or
// updated with.
package check
