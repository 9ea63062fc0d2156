// Command cluster is Kubernetes' API server, of Kubernetes' own module, for the tests of
// what is deployed there (`make cluster`). It is a module of its own, apart from those
// tests' too: it compiles for some minutes, and needs a line in go.mod for each part that
// Kubernetes keeps in its own repository.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() { os.Exit(cli.Run(app.NewAPIServerCommand())) }
