package test

import (
	"bufio"
	"compress/gzip"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

// sink stands in for Elasticsearch where a shipper sends to: it takes an index template
// and bulks of new documents, by TLS, of who has the credential. Whatever else is asked of
// it, and whatever does not fit the template, is a fault.
type sink struct {
	t          *testing.T
	addr       string
	ca         string // the file of the authority that it is known by
	credential string // of the header Authorization
	pair       tls.Certificate
	server     *http.Server

	mu       sync.Mutex // guards what follows
	template *indexTemplate
	moods    []mood
	taken    []document
	bulks    int
	faults   []string
}

// mood is how a bulk is answered, which is otherwise taken.
type mood int

const (
	answers503 mood = iota // 503, nothing is taken
	answers429             // 429, nothing is taken
	halfTaken              // each second document is refused with 429
	hangsUp                // all is taken, and no answer is given
)

// startSink starts one that ends with the test.
func startSink(t *testing.T, credential string) *sink {
	t.Helper()
	ca := testenv.NewCA(t)
	s := &sink{
		t: t, addr: testenv.Addr(t), ca: filepath.Join(t.TempDir(), "ca.pem"), credential: credential,
		pair: ca.Pair(testenv.Leaf{IPs: []net.IP{net.IPv4(127, 0, 0, 1)}}),
	}
	if err := os.WriteFile(s.ca, ca.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	s.comes()
	t.Cleanup(func() { s.goes() })
	return s
}

// comes has it listen, and goes has it be away, with all of its connections.
func (s *sink) comes() {
	s.t.Helper()
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.server = &http.Server{Handler: s, TLSConfig: &tls.Config{Certificates: []tls.Certificate{s.pair}}, ErrorLog: log.New(io.Discard, "", 0)}
	go s.server.ServeTLS(l, "", "") // ends when it is closed
}

func (s *sink) goes() {
	s.t.Helper()
	if err := s.server.Close(); err != nil {
		s.t.Error(err)
	}
}

// answers has the next bulks be answered so.
func (s *sink) answers(moods ...mood) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moods = append(s.moods, moods...)
}

// said is what it has taken, how many bulks have come, and how many moods are left.
func (s *sink) said() (taken []document, bulks, moods int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.taken), s.bulks, len(s.moods)
}

// hasNoFault ends the test where something was wrong in what came.
func (s *sink) hasNoFault() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) > 0 {
		s.t.Fatal(strings.Join(s.faults, "\n"))
	}
}

func (s *sink) fault(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

// ServeHTTP implements http.Handler.
func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := bodyOf(r)
	if err != nil {
		return // cut off, as where a shipper ends
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	switch r.Method + " " + r.URL.Path {
	case "GET /":
		s.knows(r)
		fmt.Fprint(w, `{"name": "sink", "cluster_name": "test", "cluster_uuid": "c2luaw", "version": {"number": "8.19.7", "build_flavor": "default"}, "tagline": "You Know, for Search"}`)
	case "GET /_license": // Filebeat ships to whom has one
		s.knows(r)
		fmt.Fprint(w, `{"license": {"status": "active", "uid": "c2luaw", "type": "basic", "issued_to": "test", "issuer": "elasticsearch"}}`)
	case "PUT /_index_template/gatewright-access":
		s.template = &indexTemplate{}
		if err := json.Unmarshal(body, s.template); err != nil {
			s.fault("the template: %v", err)
		}
		fmt.Fprint(w, `{"acknowledged":true}`)
	case "POST /_bulk":
		s.knows(r)
		s.bulk(w, string(body))
	default:
		s.fault("%s %s is asked: %s", r.Method, r.URL, body)
		http.Error(w, "{}", http.StatusNotFound)
	}
}

// bodyOf is the whole body of a request.
func bodyOf(r *http.Request) ([]byte, error) {
	if r.Header.Get("Content-Encoding") != "gzip" {
		return io.ReadAll(r.Body)
	}
	plain, err := gzip.NewReader(r.Body)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(plain)
}

func (s *sink) knows(r *http.Request) {
	if got := r.Header.Get("Authorization"); got != s.credential {
		s.fault("%s %s is asked by %q, want %q", r.Method, r.URL, got, s.credential)
	}
}

// bulk takes or refuses the documents of a bulk, as the next mood is.
func (s *sink) bulk(w http.ResponseWriter, body string) {
	s.bulks++
	how := mood(-1)
	if len(s.moods) > 0 {
		how, s.moods = s.moods[0], s.moods[1:]
	}
	switch how {
	case answers503:
		http.Error(w, `{"error":{"type":"cluster_block_exception"},"status":503}`, http.StatusServiceUnavailable)
		return
	case answers429:
		http.Error(w, `{"error":{"type":"es_rejected_execution_exception"},"status":429}`, http.StatusTooManyRequests)
		return
	}
	documents, err := documentsOf(body)
	if err != nil {
		s.fault("a bulk: %v: %s", err, body)
	}
	var items []string
	for i, doc := range documents {
		if how == halfTaken && i%2 == 1 {
			items = append(items, `{"create":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"full"}}}`)
			continue
		}
		s.take(doc)
		items = append(items, `{"create":{"status":201,"result":"created"}}`)
	}
	if how == hangsUp {
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintf(w, `{"took":1,"errors":%v,"items":[%s]}`, how == halfTaken && len(documents) > 1, strings.Join(items, ","))
}

// take keeps a document, and what is wrong with it.
func (s *sink) take(doc document) {
	s.taken = append(s.taken, doc)
	if s.template == nil {
		s.fault("a document comes before the template: %v", doc)
		return
	}
	if doc.stream != dataStream {
		s.fault("a document goes to %s: %v", doc.stream, doc.fields)
	}
	for _, wrong := range s.template.unfit(doc.fields) {
		s.fault("%s: %v", wrong, doc.fields)
	}
}

// documentsOf takes a bulk apart: an action on a line, and its document on the next.
func documentsOf(body string) ([]document, error) {
	var out []document
	lines := bufio.NewScanner(strings.NewReader(body))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var action struct {
			Create struct {
				Index string `json:"_index"`
			} `json:"create"`
		}
		strict := json.NewDecoder(strings.NewReader(lines.Text()))
		strict.DisallowUnknownFields()
		if err := strict.Decode(&action); err != nil {
			return nil, fmt.Errorf("an action is %s: %w", lines.Text(), err)
		}
		if !lines.Scan() {
			return nil, fmt.Errorf("an action without a document: %s", lines.Text())
		}
		fields, err := objectOf(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("a document is %s: %w", lines.Text(), err)
		}
		out = append(out, document{stream: action.Create.Index, fields: fields})
	}
	return out, lines.Err()
}

// awaits waits for what a shipper does, longer by far than its longest pause before it
// tries again, which is a minute.
func awaits(t *testing.T, what string, check func() error) {
	t.Helper()
	testenv.EventuallyWithin(t, 3*time.Minute, what, check)
}
