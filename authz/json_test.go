package authz

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// refusedYes are inputs that JSONTestSuite calls valid and that are refused
// here on purpose: a name that is there twice (RFC 8259 leaves open what it
// means, so two readers may differ).
var refusedYes = []string{"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"}

// acceptedI are inputs that JSONTestSuite leaves to the parser and that are
// accepted here: numbers are kept as text, so nothing overflows.
var acceptedI = []string{
	"i_number_double_huge_neg_exp.json", "i_number_neg_int_huge_exp.json", "i_number_pos_double_huge_exp.json",
	"i_number_real_neg_overflow.json", "i_number_real_pos_overflow.json", "i_number_real_underflow.json",
	"i_number_too_big_neg_int.json", "i_number_too_big_pos_int.json", "i_number_very_big_negative_int.json",
}

// Each input is put where a claim's value stands; those that are objects are
// read as they are too.
func TestJSONTestSuite(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(vectors(t, "jsontestsuite", "test_parsing"), "*.json"))
	if err != nil || len(files) < 318 {
		t.Fatalf("%d files, want 318 (%v)", len(files), err)
	}
	var accepted []string
	for _, file := range files {
		name := filepath.Base(file)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		wrapped := append(append([]byte(`{"claim":`), data...), '}')
		_, errWrapped := decodeObject(wrapped)
		_, errBare := decodeObject(data)
		isObject := strings.HasPrefix(strings.TrimLeft(string(data), " \t\r\n"), "{")
		switch name[0] {
		case 'y':
			refused := slices.Contains(refusedYes, name)
			if (errWrapped == nil) == refused {
				t.Errorf("%s as a claim: error %v", name, errWrapped)
			}
			if (errBare == nil) != (isObject && !refused) {
				t.Errorf("%s as claims: error %v", name, errBare)
			}
		case 'n':
			if errBare == nil {
				t.Errorf("%s was accepted as claims", name)
			}
			// Some are bad JSON alone, and good JSON between {"claim": and }.
			if errWrapped == nil && !json.Valid(wrapped) {
				t.Errorf("%s was accepted as a claim", name)
			}
		case 'i':
			if errWrapped == nil {
				accepted = append(accepted, name)
			}
		}
	}
	for _, name := range accepted {
		if !slices.Contains(acceptedI, name) {
			t.Errorf("%s was accepted, and is not in the list of those that may be", name)
		}
	}
}

// Whatever is accepted, encoding/json accepts too, and reads the same values.
func agreesWithEncodingJSON(t interface{ Fatalf(string, ...any) }, data []byte) {
	got, err := decodeObject(data)
	if err != nil {
		return
	}
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.UseNumber()
	var want map[string]any
	if err := decoder.Decode(&want); err != nil || !json.Valid(data) {
		t.Fatalf("accepted what encoding/json refuses (%v): %q", err, data)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%q: got %v, encoding/json reads %v", data, got, want)
	}
}

// Every value that encoding/json writes is read back.
func TestDecodeWhatEncodingJSONWrites(t *testing.T) {
	value := rapid.Deferred(func() *rapid.Generator[any] { return anyJSON(3) })
	rapid.Check(t, func(t *rapid.T) {
		object := rapid.MapOf(rapid.String(), value).Draw(t, "object")
		data := must(json.Marshal(object))
		got, err := decodeObject(data)
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		if len(got) != len(object) || !slices.Equal(sortedKeys(got), slices.Sorted(maps.Keys(object))) {
			t.Fatalf("%q: names %q", data, sortedKeys(got))
		}
		agreesWithEncodingJSON(t, data)
	})
}

func anyJSON(depth int) *rapid.Generator[any] {
	scalars := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.String().AsAny(), rapid.Float64().AsAny(), rapid.Int64().AsAny(),
	}
	if depth == 0 {
		return rapid.OneOf(scalars...)
	}
	inner := rapid.Deferred(func() *rapid.Generator[any] { return anyJSON(depth - 1) })
	return rapid.OneOf(append(scalars, rapid.SliceOfN(inner, 0, 3).AsAny(), rapid.MapOfN(rapid.String(), inner, 0, 3).AsAny())...)
}

func FuzzClaims(f *testing.F) {
	f.Add([]byte(payloadOf(nil)))
	f.Add([]byte(`{"a":{"b":[1,2.5e-3,"\u00e9\ud83d\ude00",null,true]},"exp":1e3}`))
	for _, h := range ours().Hostile("http://127.0.0.1/") {
		if parts := strings.Split(h.Raw, "."); len(parts) == 3 {
			if payload, err := decodeSegment(parts[1]); err == nil {
				f.Add(payload)
			}
		}
	}
	provider := mainJWT()
	f.Fuzz(func(t *testing.T, data []byte) {
		agreesWithEncodingJSON(t, data)
		c, err := decodeClaims(data)
		if err != nil {
			return
		}
		if refused := c.judge(provider, noon); refused == nil {
			if iss, _ := c.text("iss"); iss != provider.Issuer {
				t.Fatalf("accepted the issuer %q", iss)
			}
			exp, there, ok := c.date("exp")
			if !there || !ok || !noon.Before(exp.Add(defaultSkew)) {
				t.Fatalf("accepted exp %v", c["exp"])
			}
		}
		for _, v := range c {
			if text := forwardText(v); !isHeaderValue(text) {
				t.Fatalf("%v became the header value %q", v, text)
			}
			_ = claimText(v)
		}
	})
}
