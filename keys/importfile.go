package keys

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// The bounds of a file of keys.
const (
	// maxImports keys take seconds, in which other writers of keys wait.
	maxImports     = 10_000
	maxImportBytes = 64 << 20
	maxLineBytes   = 64 << 10
)

// importColumns are the fields of a key in a file, in both formats.
var importColumns = []string{"key", "sha256", "name", "owner", "tenant", "plan", "permissions", "labels", "expiresAt"}

// importLine is a key as its file has it.
type importLine struct {
	Key         string            `json:"key"`
	SHA256      string            `json:"sha256"`
	Name        string            `json:"name"`
	Owner       string            `json:"owner"`
	Tenant      string            `json:"tenant"`
	Plan        string            `json:"plan"`
	Permissions []string          `json:"permissions"`
	Labels      map[string]string `json:"labels"`
	ExpiresAt   string            `json:"expiresAt"`
}

// ReadCSV reads keys from CSV (RFC 4180). The first line names the columns, in
// any order: name, and key or sha256, and as wanted owner, tenant, plan, permissions
// and labels (words and name=value, separated by spaces), expiresAt (RFC 3339).
//
// Its error has every fault, each with its line, and repeats no key.
func ReadCSV(r io.Reader) ([]Import, error) {
	text, err := readAll(r)
	if err != nil {
		return nil, err
	}
	reader := csv.NewReader(bytes.NewReader(text))
	reader.ReuseRecord = true
	columns, err := reader.Read()
	if err != nil {
		return nil, fmt.Errorf("line 1: no line that names the columns: %w", err)
	}
	columns = slices.Clone(columns)
	if err := columnsFault(columns); err != nil {
		return nil, fmt.Errorf("line 1: %w", err)
	}
	read := importing{lines: map[digest]int{}}
	for {
		fields, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return read.done()
		}
		var bad *csv.ParseError
		if errors.As(err, &bad) {
			read.fault(bad.Line, bad.Err)
			if !errors.Is(err, csv.ErrFieldCount) {
				return read.done() // where the next line begins is not known
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		at, _ := reader.FieldPos(0)
		line, err := csvLine(columns, fields)
		read.add(at, line, err)
	}
}

func columnsFault(columns []string) error {
	var faults []error
	for i, column := range columns {
		if !slices.Contains(importColumns, column) {
			faults = append(faults, fmt.Errorf("no such column: %.64q, must be of %s", column, strings.Join(importColumns, ", ")))
		} else if slices.Contains(columns[:i], column) {
			faults = append(faults, fmt.Errorf("column %s is there twice", column))
		}
	}
	return errors.Join(faults...)
}

func csvLine(columns, fields []string) (line importLine, err error) {
	for i, column := range columns {
		field := fields[i]
		switch column {
		case "key":
			line.Key = field
		case "sha256":
			line.SHA256 = field
		case "name":
			line.Name = field
		case "owner":
			line.Owner = field
		case "tenant":
			line.Tenant = field
		case "plan":
			line.Plan = field
		case "permissions":
			line.Permissions = strings.Fields(field)
		case "labels":
			line.Labels, err = ParseLabels(strings.Fields(field))
		case "expiresAt":
			line.ExpiresAt = field
		}
	}
	return line, err
}

// ReadJSONLines reads keys from JSON objects, one a line, with the fields of
// ReadCSV: permissions is an array of strings, labels an object of strings.
func ReadJSONLines(r io.Reader) ([]Import, error) {
	text, err := readAll(r)
	if err != nil {
		return nil, err
	}
	read := importing{lines: map[digest]int{}}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxLineBytes)
	at := 0
	for lines.Scan() {
		at++
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		line, err := jsonLine(lines.Bytes())
		read.add(at, line, err)
	}
	if err := lines.Err(); err != nil {
		read.fault(at+1, fmt.Errorf("longer than %d bytes", maxLineBytes))
	}
	return read.done()
}

// jsonLine decodes one object. Faults of JSON are said without the text at
// fault, which may be a key.
func jsonLine(text []byte) (line importLine, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	err = decoder.Decode(&line)
	var typed *json.UnmarshalTypeError
	switch {
	case errors.As(err, &typed):
		return line, fmt.Errorf("%s: is a %s, must be a %s", typed.Field, typed.Value, typed.Type)
	case err != nil && strings.HasPrefix(err.Error(), "json: unknown field"):
		return line, fmt.Errorf("a field that is none of %s", strings.Join(importColumns, ", "))
	case err != nil:
		return line, errors.New("not a JSON object")
	case decoder.More():
		return line, errors.New("more than one JSON object")
	}
	return line, nil
}

// ParseLabels reads labels written name=value.
func ParseLabels(words []string) (map[string]string, error) {
	if len(words) == 0 {
		return nil, nil
	}
	labels := make(map[string]string, len(words))
	var faults []error
	for _, word := range words {
		name, value, ok := strings.Cut(word, "=")
		if _, twice := labels[name]; !ok || twice {
			faults = append(faults, fmt.Errorf("labels: %.64q, must be name=value, each name once", word))
			continue
		}
		labels[name] = value
	}
	return labels, errors.Join(faults...)
}

// importing gathers the keys of a file, and its faults.
type importing struct {
	imports []Import
	lines   map[digest]int
	faults  []error
}

func (i *importing) fault(line int, err error) { i.faults = append(i.faults, atLine(line, err)) }

// add adds a key, whose line could be read if err is nil.
func (i *importing) add(at int, line importLine, err error) {
	if err != nil {
		i.fault(at, err)
		return
	}
	added := Import{Line: at, Spec: Spec{
		Name: line.Name, Owner: line.Owner, Tenant: line.Tenant, Plan: line.Plan, Permissions: line.Permissions, Labels: line.Labels,
	}}
	if line.ExpiresAt != "" {
		if added.ExpiresAt, err = time.Parse(time.RFC3339, line.ExpiresAt); err != nil {
			err = errors.New("expiresAt: must be a time as 2027-01-31T00:00:00Z")
		}
	}
	if err := errors.Join(err, added.identify(line), added.validate(time.Now())); err != nil {
		i.fault(at, err)
		return
	}
	if first, twice := i.lines[added.digest]; twice {
		i.fault(at, fmt.Errorf("the same key as in line %d", first))
		return
	}
	i.lines[added.digest] = at
	i.imports = append(i.imports, added)
}

func (i *importing) done() ([]Import, error) {
	switch {
	case len(i.faults) > 0:
		return nil, errors.Join(i.faults...)
	case len(i.imports) == 0:
		return nil, errors.New("no keys in it")
	case len(i.imports) > maxImports:
		return nil, fmt.Errorf("%d keys, at most %d at once", len(i.imports), maxImports)
	}
	return i.imports, nil
}

// identify sets what the key is found by.
func (i *Import) identify(line importLine) error {
	switch {
	case line.Key != "" && line.SHA256 != "":
		return errors.New("key and sha256: must be one of them")
	case line.Key != "":
		if parsed, ours := Parse(line.Key); ours {
			i.id = parsed.ID
		} else if err := importedTextFault(line.Key); err != nil {
			return fmt.Errorf("key: %w", err)
		}
		i.digest = digestOf(line.Key)
		return nil
	case line.SHA256 != "":
		sum, err := hex.DecodeString(line.SHA256)
		if err != nil || len(sum) != len(i.digest) {
			return errors.New("sha256: must be 64 hexadecimal digits")
		}
		i.digest = digest(sum)
		return nil
	default:
		return errors.New("key: missing, must be there, or sha256")
	}
}

func readAll(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxImportBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxImportBytes {
		return nil, fmt.Errorf("longer than %d bytes", maxImportBytes)
	}
	return text, nil
}
