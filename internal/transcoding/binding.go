package transcoding

import (
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Binding is one way in which a method of gRPC is called by REST.
type Binding struct {
	// Verb is the method of HTTP; * is any.
	Verb string
	// Template is the path as the annotation has it, /v1/{name=shelves/*}:move.
	Template string
	// Service and Method are the names of what is called.
	Service, Method string
	// Body is the field that the body is, * for the whole message, and empty where
	// there is none.
	Body string
	// ClientStreams and ServerStreams tell of streams.
	ClientStreams, ServerStreams bool

	pattern template
}

// Call is the path of the call.
func (b *Binding) Call() string { return "/" + b.Service + "/" + b.Method }

// bindingsOf are those of all methods of a service, or the rule that is broken.
func bindingsOf(service protoreflect.ServiceDescriptor, unbound bool) ([]Binding, string) {
	var all []Binding
	for i := range service.Methods().Len() {
		method := service.Methods().Get(i)
		rules := httpRules(method)
		if len(rules) == 0 && unbound {
			rules = []*annotations.HttpRule{{Pattern: &annotations.HttpRule_Post{Post: "/" + string(service.FullName()) + "/" + string(method.Name())}, Body: "*"}}
		}
		for _, rule := range rules {
			binding, fault := bindingOf(method, rule)
			if fault != "" {
				return nil, fmt.Sprintf("has a method %s whose google.api.http %s", method.Name(), fault)
			}
			all = append(all, binding)
		}
	}
	if len(all) == 0 {
		return nil, "has no method with google.api.http: say unbound: true, and each is a POST to /SERVICE/METHOD"
	}
	return all, ""
}

// httpRules are a method's annotation and its additional bindings.
func httpRules(method protoreflect.MethodDescriptor) []*annotations.HttpRule {
	rule, _ := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
	if rule == nil {
		return nil
	}
	return append([]*annotations.HttpRule{rule}, rule.GetAdditionalBindings()...)
}

func bindingOf(method protoreflect.MethodDescriptor, rule *annotations.HttpRule) (Binding, string) {
	b := Binding{
		Service: string(method.Parent().FullName()), Method: string(method.Name()), Body: rule.GetBody(),
		ClientStreams: method.IsStreamingClient(), ServerStreams: method.IsStreamingServer(),
	}
	b.Verb, b.Template = verbAndPath(rule)
	if b.Verb == "" {
		return b, "has no path"
	}
	parsed, err := parseTemplate(b.Template)
	if err != nil {
		return b, fmt.Sprintf("has the path %q, which %v", b.Template, err)
	}
	b.pattern = parsed
	for _, v := range parsed.variables {
		if fault := variableFault(method.Input(), v.field); fault != "" {
			return b, fmt.Sprintf("has the path %q, whose variable %s %s", b.Template, v.field, fault)
		}
	}
	if b.Body != "" && b.Body != "*" && fieldOf(method.Input(), b.Body) == nil {
		return b, fmt.Sprintf("has body: %q, which is no field of %s", b.Body, method.Input().FullName())
	}
	if field := rule.GetResponseBody(); field != "" && fieldOf(method.Output(), field) == nil {
		return b, fmt.Sprintf("has response_body: %q, which is no field of %s", field, method.Output().FullName())
	}
	return b, ""
}

func verbAndPath(rule *annotations.HttpRule) (verb, path string) {
	switch p := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		return "GET", p.Get
	case *annotations.HttpRule_Put:
		return "PUT", p.Put
	case *annotations.HttpRule_Post:
		return "POST", p.Post
	case *annotations.HttpRule_Delete:
		return "DELETE", p.Delete
	case *annotations.HttpRule_Patch:
		return "PATCH", p.Patch
	case *annotations.HttpRule_Custom:
		return p.Custom.GetKind(), p.Custom.GetPath()
	}
	return "", ""
}

// fieldOf is the field of a message at a path of names, or nil. Its last name may
// be that of a message; those before it are.
func fieldOf(message protoreflect.MessageDescriptor, path string) protoreflect.FieldDescriptor {
	var field protoreflect.FieldDescriptor
	for name := range strings.SplitSeq(path, ".") {
		if field != nil && (field.Message() == nil || field.IsList() || field.IsMap()) {
			return nil
		}
		if field != nil {
			message = field.Message()
		}
		if field = message.Fields().ByName(protoreflect.Name(name)); field == nil {
			return nil
		}
	}
	return field
}

// variableFault is why a field cannot have its value from a path.
func variableFault(message protoreflect.MessageDescriptor, path string) string {
	field := fieldOf(message, path)
	switch {
	case field == nil:
		return "is no field of " + string(message.FullName())
	case field.IsList() || field.IsMap():
		return "is a repeated field"
	case field.Message() != nil && field.Message().ParentFile().Package() != "google.protobuf":
		return "is a message"
	}
	return ""
}

// twice is the rule that two bindings of one request break, if any: Envoy would
// refuse all of them.
func twice(all []Binding) string {
	first := map[string]*Binding{}
	for i := range all {
		b := &all[i]
		shape := b.Verb + " " + b.pattern.shape()
		if other := first[shape]; other != nil {
			return fmt.Sprintf("must not bind %s %s twice: to %s.%s and to %s.%s", b.Verb, b.Template, other.Service, other.Method, b.Service, b.Method)
		}
		first[shape] = b
	}
	return ""
}

// plain is an error of protobuf without the mark that it is one, which has a
// space that is not always the same.
func plain(err error) string {
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	return strings.TrimPrefix(text, "proto: ")
}
