// Package transcoding reads the descriptor sets by which Envoy turns requests of
// REST into calls of gRPC (google.api.http), strictly: what Envoy would refuse,
// or would quietly not serve, is a problem with a place and a rule. It knows no
// Envoy and no config.
package transcoding

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

const (
	// MaxFile bounds a descriptor set as it is read. The whole of googleapis, some
	// 6 000 files with their comments, has more; the APIs of a company have less.
	MaxFile = 16 << 20
	// MaxEncoded bounds what Envoy is given for one route.
	MaxEncoded = 1 << 20
)

// Set is what is needed of a descriptor set to transcode the calls of some
// services. It is plain data, and never changed.
type Set struct {
	// Encoded is a google.protobuf.FileDescriptorSet of the files that are needed,
	// each behind those that it imports, without comments.
	Encoded []byte
	// Sum is the SHA-256 of Encoded in hexadecimal digits.
	Sum string
	// Bindings are the ways in which methods of the services are called by REST, in
	// the order in which they stand in the set.
	Bindings []Binding
}

// Options say what of a descriptor set is needed.
type Options struct {
	// Services are full names, as shop.v1.Orders.
	Services []string
	// AllTypes keeps the types of all files: those of which a message of the
	// services does not know what is in it, as the details of an error.
	AllTypes bool
	// Unbound also binds each method that has no google.api.http, to a POST to
	// /SERVICE/METHOD with the message as its body.
	Unbound bool
}

// Problem is why a descriptor set is of no use.
type Problem struct {
	// Service is the index of the service in Options.Services; -1 is the set itself.
	Service int
	Rule    string
}

// Error implements error.
func (p *Problem) Error() string { return p.Rule }

func ofSet(format string, args ...any) *Problem { return &Problem{-1, fmt.Sprintf(format, args...)} }

// Read reads an encoded google.protobuf.FileDescriptorSet. It reports every
// problem of the services, and returns a nil Set where there is one.
func Read(data []byte, o Options) (*Set, []*Problem) {
	files, problem := parse(data)
	if problem != nil {
		return nil, []*Problem{problem}
	}
	var problems []*Problem
	set := &Set{}
	var services []protoreflect.ServiceDescriptor
	for i, name := range o.Services {
		found, rule := serviceIn(files, name)
		if rule == "" {
			var bindings []Binding
			if bindings, rule = bindingsOf(found, o.Unbound); rule == "" {
				set.Bindings = append(set.Bindings, bindings...)
				services = append(services, found)
			}
		}
		if rule != "" {
			problems = append(problems, &Problem{i, rule})
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	if rule := twice(set.Bindings); rule != "" {
		return nil, []*Problem{ofSet("%s", rule)}
	}
	set.Encoded = encode(needed(files, services, o.AllTypes), o.Services)
	if len(set.Encoded) > MaxEncoded {
		return nil, []*Problem{ofSet("has %d bytes of what these services need, must have at most %d: each Envoy gets them for each route", len(set.Encoded), MaxEncoded)}
	}
	sum := sha256.Sum256(set.Encoded)
	set.Sum = hex.EncodeToString(sum[:])
	return set, nil
}

func parse(data []byte) (*protoregistry.Files, *Problem) {
	const how = "as `protoc --include_imports --descriptor_set_out` and `buf build` write it"
	if len(data) > MaxFile {
		return nil, ofSet("has more than %d bytes", MaxFile)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(data, &set); err != nil || len(set.GetFile()) == 0 {
		return nil, ofSet("must be a google.protobuf.FileDescriptorSet, %s", how)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		return nil, ofSet("must be a descriptor set with all that its files import, %s: %s", how, plain(err))
	}
	return files, nil
}

func serviceIn(files *protoregistry.Files, name string) (protoreflect.ServiceDescriptor, string) {
	found, err := files.FindDescriptorByName(protoreflect.FullName(name))
	if service, ok := found.(protoreflect.ServiceDescriptor); err == nil && ok {
		return service, ""
	}
	return nil, "is no service of the descriptor set"
}

// Services are the full names of all services of a set, sorted; nil where it
// cannot be read.
func Services(data []byte) []string {
	files, problem := parse(data)
	if problem != nil {
		return nil
	}
	var all []string
	files.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			all = append(all, string(f.Services().Get(i).FullName()))
		}
		return true
	})
	slices.Sort(all)
	return all
}

// anyFile is imported by what may hold messages of any type.
const anyFile = "google/protobuf/any.proto"

// needed are the files of services and what they import, each behind its imports,
// as Envoy takes them; or all, where they may hold messages of any type.
func needed(files *protoregistry.Files, services []protoreflect.ServiceDescriptor, allTypes bool) []protoreflect.FileDescriptor {
	o := order{seen: map[string]bool{}}
	for _, s := range services {
		o.add(s.ParentFile())
	}
	if allTypes || o.seen[anyFile] {
		var names []string
		files.RangeFiles(func(f protoreflect.FileDescriptor) bool {
			names = append(names, f.Path())
			return true
		})
		slices.Sort(names)
		for _, name := range names {
			if f, err := files.FindFileByPath(name); err == nil {
				o.add(f)
			}
		}
	}
	return o.files
}

// order puts files behind what they import.
type order struct {
	seen  map[string]bool
	files []protoreflect.FileDescriptor
}

func (o *order) add(f protoreflect.FileDescriptor) {
	if o.seen[f.Path()] {
		return
	}
	o.seen[f.Path()] = true
	for i := range f.Imports().Len() {
		if imported := f.Imports().Get(i); !imported.IsPlaceholder() {
			o.add(imported.FileDescriptor)
		}
	}
	o.files = append(o.files, f)
}

// encode leaves out comments, and services that nobody asks for.
func encode(files []protoreflect.FileDescriptor, services []string) []byte {
	var set descriptorpb.FileDescriptorSet
	for _, f := range files {
		file := protodesc.ToFileDescriptorProto(f)
		file.SourceCodeInfo = nil
		file.Service = slices.DeleteFunc(file.Service, func(s *descriptorpb.ServiceDescriptorProto) bool {
			return !slices.Contains(services, string(f.Package().Append(protoreflect.Name(s.GetName()))))
		})
		set.File = append(set.File, file)
	}
	// What was read has an encoding.
	encoded, _ := proto.MarshalOptions{Deterministic: true}.Marshal(&set)
	return encoded
}
