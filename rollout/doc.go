// Package rollout moves the weights of a canary by how its requests end: a step
// on when it stands, back when it does not, and never by chance.
//
// The decisions are pure functions of what was seen and of a time that is given
// (Step, Act, Reconcile). Around them, a Controller gathers what was seen, keeps
// the state of each rollout where all instances of a gateway share it, and says
// which weights to serve.
package rollout
