package diff

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/openapi"
	"github.com/gatewright/gatewright/internal/transcoding"
)

// Field is a place in a config, and what became of it.
type Field struct {
	// Path is where it stands, with names instead of positions:
	// routes.get-users.timeout.
	Path string `json:"path"`
	// Change says it: "2s → 3s", "added", "removed", "+ 10.0.0.2:80".
	Change string `json:"change"`
}

// fields are all differences of two configs, section by section. The order in
// which things stand in a file is none, where it means nothing.
func fields(before, after *config.Config) []Field {
	f := &comparison{found: []Field{}}
	f.maps("listeners", byName(before.Listeners, func(l *config.Listener) string { return l.Name }), byName(after.Listeners, func(l *config.Listener) string { return l.Name }))
	f.value("trustedHops", reflect.ValueOf(before.TrustedHops), reflect.ValueOf(after.TrustedHops))
	f.maps("backends", reflect.ValueOf(before.Backends), reflect.ValueOf(after.Backends))
	f.value("auth", reflect.ValueOf(before.Auth), reflect.ValueOf(after.Auth))
	f.maps("limits", reflect.ValueOf(before.Limits), reflect.ValueOf(after.Limits))
	f.maps("openapi", reflect.ValueOf(before.OpenAPI), reflect.ValueOf(after.OpenAPI))
	f.value("rateLimitHeaders", reflect.ValueOf(before.RateLimitHeaders), reflect.ValueOf(after.RateLimitHeaders))
	f.value("strangers", reflect.ValueOf(before.Strangers), reflect.ValueOf(after.Strangers))
	f.value("accessLog", reflect.ValueOf(before.AccessLog), reflect.ValueOf(after.AccessLog))
	f.value("metrics", reflect.ValueOf(before.Metrics), reflect.ValueOf(after.Metrics))
	f.value("tracing", reflect.ValueOf(before.Tracing), reflect.ValueOf(after.Tracing))
	f.lists("errors", reflect.ValueOf(before.Errors), reflect.ValueOf(after.Errors))
	f.maps("routes", byName(before.Routes, func(r *config.Route) string { return r.Name }), byName(after.Routes, func(r *config.Route) string { return r.Name }))
	return f.found
}

func byName[T any](list []*T, name func(*T) string) reflect.Value {
	all := make(map[string]*T, len(list))
	for _, v := range list {
		all[name(v)] = v
	}
	return reflect.ValueOf(all)
}

// comparison gathers differences.
type comparison struct{ found []Field }

func (f *comparison) add(path, format string, args ...any) {
	f.found = append(f.found, Field{path, fmt.Sprintf(format, args...)})
}

// maps compares by name.
func (f *comparison) maps(path string, a, b reflect.Value) {
	names := map[string]bool{}
	for _, m := range []reflect.Value{a, b} {
		for _, key := range m.MapKeys() {
			names[key.String()] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		key := reflect.ValueOf(name).Convert(keyType(a, b))
		x, y := element(a, key), element(b, key)
		at := path + "." + name
		switch {
		case !x.IsValid() && isNamed(y):
			f.add(at, "added")
		case !y.IsValid() && isNamed(x):
			f.add(at, "removed")
		case !x.IsValid():
			f.add(at, "%s → %s", unset, shown(y))
		case !y.IsValid():
			f.add(at, "%s → %s", shown(x), unset)
		default:
			f.value(at, x, y)
		}
	}
}

func keyType(a, b reflect.Value) reflect.Type {
	if a.IsValid() {
		return a.Type().Key()
	}
	return b.Type().Key()
}

func element(m, key reflect.Value) reflect.Value {
	if !m.IsValid() || m.IsNil() {
		return reflect.Value{}
	}
	return m.MapIndex(key)
}

// isNamed tells what has a name of its own, as a route: it is added as a whole.
func isNamed(v reflect.Value) bool {
	return v.Kind() == reflect.Pointer && v.Type().Elem().Kind() == reflect.Struct
}

// unset stands for what a config does not say.
const unset = "(not set)"

func (f *comparison) value(path string, a, b reflect.Value) {
	switch a.Kind() {
	case reflect.Pointer:
		if a.Pointer() != b.Pointer() {
			f.pointers(path, a, b)
		}
	case reflect.Struct:
		f.structs(path, a, b)
	case reflect.Map:
		f.maps(path, a, b)
	case reflect.Slice:
		f.lists(path, a, b)
	default:
		if !a.Equal(b) {
			f.add(path, "%s → %s", shown(a), shown(b))
		}
	}
}

// pointers compares what may not be there. What is not there is compared as
// what says nothing, so that each field tells its own change.
func (f *comparison) pointers(path string, a, b reflect.Value) {
	if a.Type().Elem().Kind() != reflect.Struct {
		if x, y := shown(a), shown(b); x != y {
			f.add(path, "%s → %s", x, y)
		}
		return
	}
	n := len(f.found)
	switch zero := reflect.New(a.Type().Elem()).Elem(); {
	case a.IsNil():
		f.structs(path, zero, b.Elem())
	case b.IsNil():
		f.structs(path, a.Elem(), zero)
	default:
		f.structs(path, a.Elem(), b.Elem())
		return
	}
	if len(f.found) == n {
		f.add(path, "%s", map[bool]string{true: "added", false: "removed"}[a.IsNil()])
	}
}

func (f *comparison) structs(path string, a, b reflect.Value) {
	if a, ok := a.Interface().(config.RouteAuth); ok {
		f.auth(path, a, b.Interface().(config.RouteAuth))
		return
	}
	if a.CanInterface() && a.Type() == reflect.TypeFor[config.Rate]() {
		if !a.Equal(b) {
			f.add(path, "%s → %s", shown(a), shown(b))
		}
		return
	}
	for i := range a.NumField() {
		field := a.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		switch {
		case field.Type == reflect.TypeFor[*transcoding.Set]():
			if x, y := sumOf(a.Field(i)), sumOf(b.Field(i)); x != "" && y != "" && x != y {
				f.add(path+".descriptor", "another content: %s → %s", x[:12], y[:12])
			}
		case field.Type == reflect.TypeFor[*openapi.Validator]():
			if x, y := a.FieldByName("Sum").String(), b.FieldByName("Sum").String(); x != "" && y != "" && x != y {
				f.add(path+".document", "another content: %s → %s", x[:12], y[:12])
			}
		case name == "-" || name == "":
		case field.Tag.Get("secret") != "":
			f.secrets(path+"."+name, a.Field(i), b.Field(i))
		default:
			f.value(path+"."+name, a.Field(i), b.Field(i))
		}
	}
}

// sumOf is that of a descriptor set; empty where there is none.
func sumOf(v reflect.Value) string {
	if set, ok := v.Interface().(*transcoding.Set); ok && set != nil {
		return set.Sum
	}
	return ""
}

// auth compares what routes ask for. The order of requirements is who the caller
// is where several hold, so it counts.
func (f *comparison) auth(path string, a, b config.RouteAuth) {
	say := func(x config.RouteAuth) string {
		switch {
		case x.Public:
			return "public"
		case len(x.AnyOf) == 0 && len(x.AllOf) == 0:
			return unset
		}
		var anyOf, allOf []string
		for _, q := range x.AnyOf {
			anyOf = append(anyOf, requirementText(q))
		}
		for _, q := range x.AllOf {
			allOf = append(allOf, requirementText(q))
		}
		return askedText(anyOf, allOf, x.AllowAnonymous)
	}
	if x, y := say(a), say(b); x != y {
		f.add(path, "%s → %s", x, y)
	}
}

func requirementText(q *config.Requirement) string {
	text := "jwt " + q.JWT
	if q.APIKey != "" {
		text = "apiKey " + q.APIKey
	}
	if q.Introspection != "" {
		text = "introspection " + q.Introspection
	}
	if q.ClientCertificate != "" {
		text = "clientCertificate " + q.ClientCertificate
	}
	for _, s := range slices.Sorted(slices.Values(q.Scopes)) {
		text += ", scope " + s
	}
	if len(q.AnyScope) > 0 {
		text += ", any scope of " + strings.Join(slices.Sorted(slices.Values(q.AnyScope)), "|")
	}
	if len(q.Roles) > 0 {
		text += ", role " + strings.Join(slices.Sorted(slices.Values(q.Roles)), "|")
	}
	for _, name := range slices.Sorted(slices.Values(q.RequiredClaims)) {
		text += ", claim " + name
	}
	for _, name := range slices.Sorted(maps.Keys(q.Claims)) {
		text += ", claim " + name + " " + strings.Join(slices.Sorted(slices.Values(q.Claims[name])), "|")
	}
	for _, p := range slices.Sorted(slices.Values(q.Permissions)) {
		text += ", permission " + p
	}
	if q.Rule != "" {
		text += ", rule " + strconv.Quote(q.Rule)
	}
	if q.InShadow() {
		text += " (in shadow)"
	}
	return text
}

// secrets compares what is not shown: of a map its names are.
func (f *comparison) secrets(path string, a, b reflect.Value) {
	if a.Kind() != reflect.Map {
		if !reflect.DeepEqual(a.Interface(), b.Interface()) {
			f.add(path, "changed (not shown)")
		}
		return
	}
	keys := map[string]bool{}
	for _, key := range append(a.MapKeys(), b.MapKeys()...) {
		keys[key.String()] = true
	}
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		key := reflect.ValueOf(name)
		x, y := element(a, key), element(b, key)
		switch {
		case !x.IsValid():
			f.add(path+"."+name, "added (not shown)")
		case !y.IsValid():
			f.add(path+"."+name, "removed (not shown)")
		case !x.Equal(y):
			f.add(path+"."+name, "changed (not shown)")
		}
	}
}

// lists compares lists: of what has a name of its own by the names, of texts as
// sets, but for those that say an order.
func (f *comparison) lists(path string, a, b reflect.Value) {
	if isNamedList(a.Type()) {
		f.maps(path, byBackend(a), byBackend(b))
		return
	}
	if isOrdered(a.Type()) {
		if x, y := shown(a), shown(b); x != y {
			f.add(path, "%s → %s", x, y)
		}
		return
	}
	if hasDefault(a.Type()) && a.IsNil() != b.IsNil() {
		f.add(path, "%s → %s", shownOrUnset(a), shownOrUnset(b))
		return
	}
	x, y := texts(a), texts(b)
	for _, v := range y {
		if !slices.Contains(x, v) {
			f.add(path, "+ %s", v)
		}
	}
	for _, v := range x {
		if !slices.Contains(y, v) {
			f.add(path, "- %s", v)
		}
	}
}

// isOrdered tells a list whose order means something.
func isOrdered(t reflect.Type) bool {
	return t == reflect.TypeFor[[]config.KeyPart]() || t == reflect.TypeFor[[]config.CompressionAlgorithm]()
}

// hasDefault tells a list that says something else where it is empty than where it is
// not there.
func hasDefault(t reflect.Type) bool {
	return t == reflect.TypeFor[[]config.StatusRange]() || t == reflect.TypeFor[[]config.GRPCStatus]()
}

func shownOrUnset(list reflect.Value) string {
	if list.IsNil() {
		return unset
	}
	return shown(list)
}

func isNamedList(t reflect.Type) bool {
	return t == reflect.TypeFor[[]*config.Destination]() || t == reflect.TypeFor[[]*config.Mirror]()
}

// byBackend is a list of what goes to backends, by their names.
func byBackend(list reflect.Value) reflect.Value {
	all := reflect.MakeMap(reflect.MapOf(reflect.TypeFor[string](), list.Type().Elem()))
	for i := range list.Len() {
		all.SetMapIndex(list.Index(i).Elem().FieldByName("Backend"), list.Index(i))
	}
	return all
}

func texts(list reflect.Value) []string {
	var all []string
	for i := range list.Len() {
		all = append(all, shown(list.Index(i)))
	}
	return all
}

// maxShown is how much of a text is shown.
const maxShown = 80

// shown is a value in words.
func shown(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return unset
		}
		return shownPresent(v.Elem())
	case reflect.Slice:
		return "[" + strings.Join(texts(v), ", ") + "]"
	}
	if v.IsZero() && v.Kind() != reflect.Bool {
		return unset
	}
	return shownPresent(v)
}

func shownPresent(v reflect.Value) string {
	if s, ok := v.Interface().(fmt.Stringer); ok {
		return s.String()
	}
	switch v.Kind() {
	case reflect.String:
		return plainText(v.String())
	case reflect.Struct:
		var said []string
		for i := range v.NumField() {
			if name := v.Type().Field(i).Tag.Get("yaml"); name != "-" && !v.Field(i).IsZero() {
				said = append(said, name+": "+shown(v.Field(i)))
			}
		}
		return "{" + strings.Join(said, ", ") + "}"
	}
	return fmt.Sprint(v.Interface())
}

// plainText is a text as it can stand in a line: what is long is cut, and what
// has odd characters quoted.
func plainText(s string) string {
	if len(s) > maxShown {
		s = s[:maxShown] + "…"
	}
	if quoted := strconv.Quote(s); quoted != `"`+s+`"` || s != strings.TrimSpace(s) {
		return quoted
	}
	return cmp.Or(s, unset)
}
