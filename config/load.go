package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Load reads the gateway that a file describes. The error is Faults where the
// file could be read and is not a valid gateway, and otherwise why it could
// not be read.
func Load(path string) (*Config, error) {
	data, err := Read(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Read is the content of a config file, for Parse. Of a file that is too large
// it is as much as Parse needs to say so.
func Read(path string) ([]byte, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading config: %w", err)
	}
	return data, nil
}

// Parse is Load for the content of a file that was already read. file is its
// path: it stands in faults, and paths in the content are relative to its
// folder. Of the files named in the content those are read whose content is a part
// of the config (Config.Contents); of the others it is seen that they are there.
// The error is Faults, and the Config nil where there is one.
func Parse(file string, data []byte) (*Config, error) {
	return ParseIn(filepath.Dir(file), file, data)
}

// ParseIn is Parse for a content to whose paths another folder is their own.
func ParseIn(folder, file string, data []byte) (*Config, error) {
	return ParseBeside(folder, file, data, Beside{})
}

// ParseBeside is ParseIn while a gateway is served.
func ParseBeside(folder, file string, data []byte, beside Beside) (*Config, error) {
	root, faults := readDocument(file, data)
	if root == nil {
		return nil, faults
	}
	r := newReport(file, root)
	r.faults = faults
	cfg := decode(root, r)
	cfg.resolvePaths(folder)
	for _, route := range cfg.Routes {
		route.Match.spellOut(route.GRPCWeb)
	}
	validate(cfg, r, beside)
	if err := r.err(); err != nil {
		return nil, err
	}
	return cfg, nil
}

// resolvePaths makes paths that are relative to the config file relative to the
// process.
func (c *Config) resolvePaths(folder string) {
	resolve := func(path *string) {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(folder, *path)
		}
	}
	for _, j := range c.Auth.JWT {
		resolve(&j.JWKS.File)
	}
	for _, i := range c.Auth.Introspection {
		resolve(&i.CA)
	}
	for _, d := range c.OpenAPI {
		resolve(&d.Document)
	}
	for _, r := range c.Routes {
		if r.GRPCTranscode != nil {
			resolve(&r.GRPCTranscode.Descriptor)
		}
	}
	for _, b := range c.Backends {
		if b.Discovery != nil {
			resolve(&b.Discovery.File)
		}
		if b.TLS == nil {
			continue
		}
		resolve(&b.TLS.CA)
		if certificate := b.TLS.Certificate; certificate != nil {
			resolve(&certificate.Cert)
			resolve(&certificate.Key)
		}
	}
	for _, l := range c.Listeners {
		if l.TLS == nil {
			continue
		}
		resolve(&l.TLS.ClientCA)
		resolve(&l.TLS.ClientCRL)
		if l.TLS.ACME != nil {
			resolve(&l.TLS.ACME.CA)
		}
		for _, certificate := range l.TLS.Certificates {
			resolve(&certificate.Cert)
			resolve(&certificate.Key)
		}
	}
}

// readFile reads a file, but no more than is needed to see that it is too large.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from
	return io.ReadAll(io.LimitReader(f, MaxSize+1))
}
