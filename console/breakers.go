package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"unicode"

	"github.com/gatewright/gatewright/breakerpolicy"
)

// breakersAPI is what the commands `gatewright breaker` do, over HTTP. Reads are for
// this machine, or with the admin token; writes need the token.
//
//	GET /api/v1/breakers            how all breakers stand
//	GET /api/v1/breakers/{name...}  one: a backend, or ROUTE/BACKEND
//	PUT /api/v1/breakers/{name...}  {"forced": "open", "closed" or "auto", "who": …, "why": …}
type breakersAPI struct {
	breakers *breakerpolicy.Breakers
	log      *slog.Logger
}

func (a breakersAPI) register(mux *http.ServeMux, token string) {
	mux.Handle("GET /api/v1/breakers", guarded(token, a.answering(func(*http.Request) (any, error) { return a.breakers.List(), nil })))
	mux.Handle("GET /api/v1/breakers/{name...}", guarded(token, a.answering(a.one)))
	mux.Handle("PUT /api/v1/breakers/{name...}", writing(token, a.answering(a.force)))
}

func (a breakersAPI) answering(answer func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		v, err := answer(r)
		var bad badRequest
		switch {
		case err == nil:
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(v) // the caller may be gone
		case errors.As(err, &bad):
			problem(w, bad.status, "bad-request", bad.detail)
		case errors.Is(err, breakerpolicy.ErrUnknown):
			problem(w, http.StatusNotFound, "not-found", err.Error())
		default: // the caller has gone
			problem(w, http.StatusServiceUnavailable, "breakers-unavailable", err.Error())
		}
	})
}

// breakerName is the name in a request's path, fit to be shown.
func breakerName(r *http.Request) string { return strings.ToValidUTF8(r.PathValue("name"), "?") }

func (a breakersAPI) one(r *http.Request) (any, error) {
	return a.breakers.Status(breakerName(r))
}

// maxWord bounds who has changed a breaker, and why, in bytes.
const maxWord = 256

func (a breakersAPI) force(r *http.Request) (any, error) {
	var asked struct {
		Forced breakerpolicy.Force `json:"forced"`
		Who    string              `json:"who"`
		Why    string              `json:"why"`
	}
	if err := read(r, &asked); err != nil {
		return nil, err
	}
	switch asked.Forced {
	case breakerpolicy.Auto, breakerpolicy.ForceOpen, breakerpolicy.ForceClosed:
	default:
		return nil, badRequest{http.StatusUnprocessableEntity, "forced: must be open, closed or auto"}
	}
	for name, text := range map[string]string{"who": asked.Who, "why": asked.Why} {
		if len(text) > maxWord || strings.ContainsFunc(text, unicode.IsControl) {
			return nil, badRequest{http.StatusUnprocessableEntity, fmt.Sprintf("%s: must be one line of at most %d bytes", name, maxWord)}
		}
	}
	s, err := a.breakers.Force(r.Context(), breakerName(r), asked.Forced)
	if err == nil {
		a.log.WarnContext(r.Context(), "an operator has set a breaker", "breaker", s.Name, "forced", s.Forced, "state", s.State, "shared", s.Shared,
			"by", actor(r), "who", asked.Who, "why", asked.Why)
	}
	return s, err
}
