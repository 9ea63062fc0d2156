package bodies

import (
	"encoding/json"
	"fmt"
	"maps"
	"sync"

	"github.com/gatewright/gatewright/internal/jsontemplate"
)

// TaskHeader is the header of a call that has its Task.
const TaskHeader = "x-gatewright-body"

// Task is what is to be done to the bodies of a route. It travels as text of printable
// ASCII without percent signs, which Envoy would read as variables.
type Task struct {
	// Route is the route's name.
	Route string `json:"route"`
	// Request and Response are what becomes of those; nil is nothing.
	Request  *Rewrite `json:"request,omitempty"`
	Response *Rewrite `json:"response,omitempty"`
	// Pass lets a body pass that cannot be rewritten, as it is, but for a request's that
	// is too large.
	Pass bool `json:"pass,omitempty"`
	// AllOfBackend tells that all answers are those of a backend, and none the gateway's
	// own. Otherwise Envoy says of each whose it is.
	AllOfBackend bool `json:"allOfBackend,omitempty"`
}

// Rewrite is what becomes of a body.
type Rewrite struct {
	// Template is that of package jsontemplate.
	Template []byte `json:"template"`
	// Most is how many bytes the body may have, before and after.
	Most int `json:"most"`
	// Status are the first and last statuses of the answers that are rewritten, in pairs.
	Status [][2]int `json:"status,omitempty"`

	compiled *jsontemplate.Template
}

// Encode is the task as a header's value.
func (t *Task) Encode() string {
	data, err := json.Marshal(t)
	if err != nil {
		panic("bodies: encoding a task: " + err.Error()) // texts and numbers: cannot fail
	}
	return string(data)
}

// decodeTask reads a task, and compiles its templates.
func decodeTask(text string) (*Task, error) {
	t := &Task{}
	if err := json.Unmarshal([]byte(text), t); err != nil {
		return nil, fmt.Errorf("reading the task of a call: %w", err)
	}
	for way, r := range map[jsontemplate.Direction]*Rewrite{jsontemplate.Request: t.Request, jsontemplate.Response: t.Response} {
		if r == nil {
			continue
		}
		var err error
		if r.compiled, err = jsontemplate.Compile(string(r.Template), way); err != nil {
			return nil, fmt.Errorf("compiling a template of route %q: %w", t.Route, err)
		}
		if r.Most < 1 || r.Most > maxBody {
			return nil, fmt.Errorf("the bound of a body of route %q is %d bytes", t.Route, r.Most)
		}
	}
	return t, nil
}

// rewrites tells whether answers of a status are rewritten.
func (r *Rewrite) rewrites(status int) bool {
	for _, s := range r.Status {
		if s[0] <= status && status <= s[1] {
			return true
		}
	}
	return false
}

// tasks remembers those that have come, so that each template is compiled once.
type tasks struct {
	mu    sync.RWMutex // guards known
	known map[string]*Task
}

// maxTasks is how many are remembered: one for each route that rewrites.
const maxTasks = 4096

func (t *tasks) of(text string) (*Task, error) {
	t.mu.RLock()
	task := t.known[text]
	t.mu.RUnlock()
	if task != nil {
		return task, nil
	}
	task, err := decodeTask(text)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.known) >= maxTasks { // any: those in use come again
		for old := range maps.Keys(t.known) {
			delete(t.known, old)
			break
		}
	}
	t.known[text] = task
	return task, nil
}
