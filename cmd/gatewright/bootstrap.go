package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/spf13/cobra"

	"github.com/gatewright/gatewright/envoy"
	"github.com/gatewright/gatewright/xds"
)

// bootstrapFile is the name of the bootstrap in the folder of --out.
const bootstrapFile = "envoy.yaml"

func newBootstrap() *cobra.Command {
	var o envoy.BootstrapOptions
	var out, heap string
	cmd := &cobra.Command{
		Use:   "bootstrap",
		Short: "Show the bootstrap of an Envoy that has its config from this Gatewright",
		Long: `Show the bootstrap of an Envoy that has its config from this Gatewright.

With --control-cert, --control-key and --control-ca, which are paths on Envoy's
machine, Envoy speaks TLS to Gatewright and shows that certificate. It follows
the files when they are replaced, by way of two more files: so there is --out,
which writes all three into a folder. docs/control-plane-tls.md tells the whole.`,
		Example: `  gatewright bootstrap > envoy.yaml && envoy -c envoy.yaml
  gatewright bootstrap --control gatewright.internal:9001 --node edge-7 --out /etc/envoy \
    --control-ca /etc/envoy/tls/ca.crt --control-cert /etc/envoy/tls/tls.crt --control-key /etc/envoy/tls/tls.key`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := loadSettings()
			if err != nil {
				return err
			}
			o.ControlCluster, o.CallCluster, o.EnvoysCluster = xds.ControlCluster, xds.CallCluster, xds.EnvoysCluster
			if o.ControlAddr == "" {
				o.ControlAddr = s.process.GRPCAddr
			}
			if o.NodeID == "" {
				o.NodeID = s.envoy.NodeID
			}
			if heap == heapAuto {
				return usageError{errors.New("--max-heap auto: say a size: how much memory there is on Envoy's machine is not known here")}
			}
			if o.Overload.MaxHeap, err = maxHeap(heap, memlimit.FromCgroup); err != nil {
				return usageError{fmt.Errorf("--max-heap %s: %w", heap, err)}
			}
			if o.Overload.MaxConnections < 1 {
				return usageError{fmt.Errorf("--max-connections %d: must be at least 1", o.Overload.MaxConnections)}
			}
			if err := checkControlTLS(s, o, out); err != nil {
				return usageError{err}
			}
			return writeBootstrap(cmd.OutOrStdout(), o, out)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.ControlAddr, "control", "", "Gatewright's gRPC address, as Envoy reaches it (default GATEWRIGHT_GRPC_ADDR)")
	f.StringVar(&o.NodeID, "node", "", "Envoy's node id (default GATEWRIGHT_NODE_ID)")
	f.StringVar(&o.Admin, "admin", "127.0.0.1:9901", "where Envoy's admin interface listens; keep it private")
	f.IntVar(&o.Overload.MaxConnections, "max-connections", envoy.DefaultMaxConnections, "how many clients this Envoy has at most")
	f.StringVar(&heap, "max-heap", heapNone, "the heap that it has at most, as 512MiB: near it, requests are turned away (docs/edge.md)")
	f.StringVar(&o.ControlTLS.Cert, "control-cert", "", "the certificate that Envoy shows to Gatewright: a PEM file on Envoy's machine")
	f.StringVar(&o.ControlTLS.Key, "control-key", "", "its private key")
	f.StringVar(&o.ControlTLS.CA, "control-ca", "", "the authorities of Gatewright's certificate")
	f.StringVar(&o.ControlTLS.ServerName, "control-server-name", "", "the DNS name, IP address or URI in Gatewright's certificate (default the host of --control)")
	f.StringVar(&out, "out", "", "write "+bootstrapFile+", and with TLS two secrets, into this folder instead of showing them")
	f.StringVar(&o.ControlTLS.Folder, "as", "", "with TLS: what that folder is called on Envoy's machine (default the same)")
	return cmd
}

// checkControlTLS tells in the words of the command line what cannot be.
func checkControlTLS(s *settings, o envoy.BootstrapOptions, out string) error {
	var set, missing []string
	for _, f := range []struct{ flag, value string }{
		{"--control-cert", o.ControlTLS.Cert}, {"--control-key", o.ControlTLS.Key}, {"--control-ca", o.ControlTLS.CA},
	} {
		if f.value == "" {
			missing = append(missing, f.flag)
		} else {
			set = append(set, f.flag)
		}
	}
	local := strings.HasPrefix(o.ControlAddr, "unix:")
	switch {
	case len(set) == 0 && (o.ControlTLS.ServerName != "" || o.ControlTLS.Folder != ""):
		return errors.New("--control-server-name and --as are for TLS: say --control-cert, --control-key and --control-ca, too")
	case len(set) == 0 && s.door.TLS() && !local:
		return errors.New("GATEWRIGHT_GRPC_CERT is set, so Gatewright wants TLS: say --control-cert, --control-key and --control-ca")
	case len(set) == 0:
		return nil
	case len(missing) > 0:
		return fmt.Errorf("%s: missing; --control-cert, --control-key and --control-ca belong together", strings.Join(missing, ", "))
	case local:
		return fmt.Errorf("--control %s: a Unix socket has no TLS", o.ControlAddr)
	case out == "":
		return errors.New("--out: missing; with TLS there are files beside the bootstrap, through which Envoy follows its certificates")
	}
	return nil
}

// writeBootstrap shows the bootstrap, or writes it and what it refers to into
// a folder.
func writeBootstrap(w io.Writer, o envoy.BootstrapOptions, out string) error {
	files := map[string][]byte{}
	if o.ControlTLS.Cert != "" {
		var err error
		if o.ControlTLS, err = absolute(o.ControlTLS, out); err != nil {
			return err
		}
		if files, err = envoy.ControlSecrets(o.ControlTLS, o.ControlCluster, o.CallCluster); err != nil {
			return err
		}
	}
	bootstrap, err := envoy.BootstrapYAML(o)
	if err != nil {
		return err
	}
	if out == "" {
		_, err := w.Write(bootstrap)
		return err
	}
	files[bootstrapFile] = bootstrap
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("making the folder of the bootstrap: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(out, name)
		if err := os.WriteFile(path, files[name], 0o644); err != nil {
			return fmt.Errorf("writing %s: %w", path, err)
		}
		fmt.Fprintln(w, path)
	}
	return nil
}

// absolute makes paths independent of where Envoy is started.
func absolute(c envoy.ControlTLS, out string) (envoy.ControlTLS, error) {
	if c.Folder == "" {
		c.Folder = out
	}
	for _, p := range []*string{&c.Cert, &c.Key, &c.CA, &c.Folder} {
		full, err := filepath.Abs(*p)
		if err != nil {
			return c, fmt.Errorf("making %s absolute: %w", *p, err)
		}
		*p = full
	}
	return c, nil
}
