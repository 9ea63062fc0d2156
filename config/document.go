package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// MaxSize is how many bytes a config file may have: some 300 000 routes.
const MaxSize = 64 << 20

// readDocument is the YAML tree of a file's only document. What is wrong with
// the bytes, the syntax or the number of documents is reported; the tree is
// nil where nothing of it could be read.
func readDocument(file string, data []byte) (*yaml.Node, Faults) {
	if faults := textFaults(file, data); len(faults) > 0 {
		return nil, faults
	}
	first, second, err := documents(bytes.NewReader(data))
	switch {
	case err != nil:
		return nil, Faults{syntaxFault(file, data, err)}
	case first == nil || isNull(first.Content[0]):
		return nil, Faults{{File: file, Line: 1, Rule: "the document is empty"}}
	case second != nil:
		rule := "a second document begins here: a file holds one"
		return first.Content[0], Faults{{File: file, Line: second.Line, Rule: rule}}
	}
	return first.Content[0], nil
}

// documents reads the first document and, to know whether there is one, the
// second. Each is nil where the stream ends before it.
func documents(r io.Reader) (first, second *yaml.Node, err error) {
	// The parser panics where it meets what its authors hold to be impossible
	// ("internal error: … please report"). Should a file ever get there, it
	// must not stop the process.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("yaml: %v", p)
		}
	}()
	decoder := yaml.NewDecoder(r)
	if first, err = nextDocument(decoder); first == nil {
		return nil, nil, err
	}
	second, err = nextDocument(decoder)
	return first, second, err
}

func nextDocument(decoder *yaml.Decoder) (*yaml.Node, error) {
	var n yaml.Node
	err := decoder.Decode(&n)
	switch {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &n, nil
}

// textFaults are the faults of a file as text: its size, its encoding, and
// characters that YAML refuses (1.2.2, section 5.1), or that it counts as the
// end of a line where an editor does not.
func textFaults(file string, data []byte) Faults {
	if len(data) > MaxSize {
		return Faults{{File: file, Line: 1, Rule: fmt.Sprintf("the file has %d bytes, must have at most %d", len(data), MaxSize)}}
	}
	var faults Faults
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	line, faulty := 1, 0
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		data = data[size:]
		rule := ""
		switch {
		case r == '\n':
			line++
		case r == utf8.RuneError && size == 1:
			rule = "the file must be UTF-8"
		case !writable(r):
			rule = fmt.Sprintf("the file must not contain the character %U", r)
		}
		if rule != "" && line != faulty {
			faulty = line // one fault a line: a binary file has enough of them
			faults = append(faults, Fault{File: file, Line: line, Rule: rule})
		}
		if len(faults) == maxFaults {
			break
		}
	}
	return faults
}

func writable(r rune) bool {
	switch {
	case r == '\t', r == '\r', r >= ' ' && r <= '~':
		return true
	case r == 0x2028, r == 0x2029, r == 0xFEFF, r == 0xFFFE, r == 0xFFFF:
		return false
	default:
		return r >= 0xA0
	}
}

// isNull tells a null, written or left out.
func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}
