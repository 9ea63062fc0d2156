package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"unicode"

	"github.com/gatewright/gatewright/rollout"
)

// rolloutsAPI is what the commands `gatewright rollout` do, over HTTP. Reads are for
// this machine, or with the admin token; writes need the token.
//
//	GET  /api/v1/rollouts                     where all rollouts are, and why
//	GET  /api/v1/rollouts/{route}
//	POST /api/v1/rollouts/{route}/{action}    pause, resume, promote or abort; {"why": …, "who": …}
type rolloutsAPI struct {
	rollouts *rollout.Controller
	log      *slog.Logger
}

func (a rolloutsAPI) register(mux *http.ServeMux, token string) {
	mux.Handle("GET /api/v1/rollouts", guarded(token, a.answering(func(*http.Request) (any, error) { return a.rollouts.Status(), nil })))
	mux.Handle("GET /api/v1/rollouts/{route}", guarded(token, a.answering(a.one)))
	for _, action := range rollout.Actions() {
		mux.Handle("POST /api/v1/rollouts/{route}/"+string(action), writing(token, a.answering(func(r *http.Request) (any, error) {
			return a.act(r, action)
		})))
	}
}

func (a rolloutsAPI) answering(answer func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		v, err := answer(r)
		if err != nil {
			a.refuse(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v) // the caller may be gone
	})
}

// refuse tells why something is not done. What Redis says is for the log alone.
func (a rolloutsAPI) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var bad badRequest
	switch {
	case errors.As(err, &bad):
		problem(w, bad.status, "bad-request", bad.detail)
	case errors.Is(err, rollout.ErrNotFound):
		problem(w, http.StatusNotFound, "not-found", err.Error())
	case errors.Is(err, rollout.ErrConflict):
		problem(w, http.StatusConflict, "conflict", err.Error())
	default:
		a.log.ErrorContext(r.Context(), "a rollout cannot be changed", "request", r.Pattern, "error", err)
		problem(w, http.StatusServiceUnavailable, "rollout-store-unavailable", "the Redis of rollouts does not answer; nothing was changed, and the log says why")
	}
}

func (a rolloutsAPI) one(r *http.Request) (any, error) {
	route := r.PathValue("route")
	for _, s := range a.rollouts.Status() {
		if s.Route == route {
			return s, nil
		}
	}
	return nil, fmt.Errorf("%w of a route %q", rollout.ErrNotFound, strings.ToValidUTF8(route, "?"))
}

// maxWhy bounds what is kept of who and why, in bytes.
const maxWhy = 256

func (a rolloutsAPI) act(r *http.Request, action rollout.Action) (any, error) {
	var asked struct {
		Why string `json:"why"`
		Who string `json:"who"`
	}
	if r.ContentLength != 0 {
		if err := read(r, &asked); err != nil {
			return nil, err
		}
	}
	for name, text := range map[string]string{"why": asked.Why, "who": asked.Who} {
		if len(text) > maxWhy || strings.ContainsFunc(text, unicode.IsControl) {
			return nil, badRequest{http.StatusBadRequest, fmt.Sprintf("%s: must be one line of at most %d bytes", name, maxWhy)}
		}
	}
	by := "by " + actor(r)
	if asked.Who != "" {
		by = "by " + asked.Who + ", " + actor(r)
	}
	if asked.Why != "" {
		by += ": " + asked.Why
	}
	return a.rollouts.Do(r.Context(), r.PathValue("route"), action, by)
}
