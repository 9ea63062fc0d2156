package jsontemplate

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// Values of JSON are those of CEL, but for two: objects, which remember the order of
// their members, and numbers that CEL cannot hold without changing how they are written.

// object is an object of JSON.
type object struct {
	names  []string // in their order, each once
	member map[string]ref.Val
	weight uint64 // see weight
}

func newObject(size int) *object { return &object{member: make(map[string]ref.Val, size)} }

// set adds a member, or replaces the one of that name in its place.
func (o *object) set(name string, value ref.Val) {
	if _, there := o.member[name]; !there {
		o.names = append(o.names, name)
	}
	o.weight += 1 + weight(value)
	o.member[name] = value
}

// Type implements ref.Val: to CEL an object is a map.
func (o *object) Type() ref.Type { return types.MapType }

// Value implements ref.Val.
func (o *object) Value() any { return o }

// Find implements traits.Mapper.
func (o *object) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return nil, false
	}
	v, found := o.member[string(name)]
	return v, found
}

// Get implements traits.Indexer.
func (o *object) Get(key ref.Val) ref.Val {
	if v, found := o.Find(key); found {
		return v
	}
	if name, ok := key.(types.String); ok {
		return types.NewErr("no such key: %s", string(name))
	}
	return types.NewErr("no such key")
}

// Contains implements traits.Container.
func (o *object) Contains(key ref.Val) ref.Val {
	_, found := o.Find(key)
	return types.Bool(found)
}

// Size implements traits.Sizer.
func (o *object) Size() ref.Val { return types.Int(len(o.names)) }

// IsZeroValue implements traits.Zeroer.
func (o *object) IsZeroValue() bool { return len(o.names) == 0 }

// Iterator implements traits.Iterable: over the names, in their order.
func (o *object) Iterator() traits.Iterator {
	return types.NewStringList(types.DefaultTypeAdapter, o.names).Iterator()
}

// Equal implements ref.Val: the order of members does not matter.
func (o *object) Equal(other ref.Val) ref.Val {
	m, ok := other.(traits.Mapper)
	if !ok || m.Size() != o.Size() {
		return types.False
	}
	for name, value := range o.member {
		v, found := m.Find(types.String(name))
		if !found || types.Equal(value, v) != types.True {
			return types.False
		}
	}
	return types.True
}

// ConvertToNative implements ref.Val. Nothing here asks for it.
func (o *object) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("an object is no %v", t)
}

// ConvertToType implements ref.Val.
func (o *object) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case types.MapType:
		return o
	case types.TypeType:
		return types.MapType
	}
	return types.NewErr("an object cannot be converted to %s", t.TypeName())
}

// number is a number of JSON that CEL has no equal of: one with a fraction or an
// exponent, or one that no 64 bits hold. It can be put somewhere else, compared with
// its like, and converted, by double(), int() or string(): CEL calculates with what
// comes of that.
type number string

var numberType = cel.ObjectType("number")

// numberOf is the value of a JSON number.
func numberOf(text string) ref.Val {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil && text != "-0" {
		return types.Int(i)
	}
	if u, err := strconv.ParseUint(text, 10, 64); err == nil {
		return types.Uint(u)
	}
	return number(text)
}

// Type implements ref.Val.
func (n number) Type() ref.Type { return numberType }

// Value implements ref.Val.
func (n number) Value() any { return string(n) }

// Equal implements ref.Val: only what is written alike is the same for sure.
func (n number) Equal(other ref.Val) ref.Val {
	m, ok := other.(number)
	return types.Bool(ok && m == n)
}

// ConvertToNative implements ref.Val. Nothing here asks for it.
func (n number) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("a number is no %v", t)
}

// ConvertToType implements ref.Val.
func (n number) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case types.StringType:
		return types.String(n)
	case types.TypeType:
		return numberType
	}
	f, err := strconv.ParseFloat(string(n), 64)
	switch {
	case err != nil:
		return types.NewErr("a number is too large")
	case t == types.DoubleType || t == types.IntType || t == types.UintType:
		return types.Double(f).ConvertToType(t)
	}
	return types.NewErr("a number cannot be converted to %s", t.TypeName())
}

// merged has the members of both, those of the second in place of the first's.
func merged(first, second ref.Val) ref.Val {
	a, okA := first.(traits.Mapper)
	b, okB := second.(traits.Mapper)
	if !okA || !okB {
		return types.NewErr("merge() is of two objects")
	}
	out := newObject(count(a) + count(b))
	if fault := copyMembers(out, a, nil); fault != nil {
		return fault
	}
	if fault := copyMembers(out, b, nil); fault != nil {
		return fault
	}
	return out
}

// without has the members of an object but some.
func without(from, names ref.Val) ref.Val {
	m, okM := from.(traits.Mapper)
	l, okL := names.(traits.Lister)
	if !okM || !okL {
		return types.NewErr("without() is of an object and a list of names")
	}
	out := newObject(count(m))
	if fault := copyMembers(out, m, func(name types.String) bool { return l.Contains(name) != types.True }); fault != nil {
		return fault
	}
	return out
}

// only has those members of an object that are named, as far as they are there.
func only(from, names ref.Val) ref.Val {
	m, okM := from.(traits.Mapper)
	l, okL := names.(traits.Lister)
	if !okM || !okL {
		return types.NewErr("only() is of an object and a list of names")
	}
	out := newObject(0)
	if fault := copyMembers(out, m, func(name types.String) bool { return l.Contains(name) == types.True }); fault != nil {
		return fault
	}
	return out
}

func count(s traits.Sizer) int {
	n, _ := s.Size().(types.Int)
	return int(n)
}

// copyMembers sets those of m that are wanted, all where want is nil. The result is
// a fault, or nil.
func copyMembers(to *object, m traits.Mapper, want func(types.String) bool) ref.Val {
	names, fault := namesOf(m)
	if fault != nil {
		return fault
	}
	for _, name := range names {
		if key := types.String(name); want == nil || want(key) {
			to.set(name, m.Get(key))
		}
	}
	return nil
}

// namesOf are the names of a map's members: an object's in their order, others sorted.
func namesOf(m traits.Mapper) ([]string, ref.Val) {
	if o, ok := m.(*object); ok {
		return o.names, nil
	}
	var names []string
	for it := m.Iterator(); it.HasNext() == types.True; {
		name, ok := it.Next().(types.String)
		if !ok {
			return nil, types.NewErr("an object has names that are texts")
		}
		names = append(names, string(name))
	}
	slices.Sort(names)
	return names, nil
}
