package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gatewright/gatewright/keys"
)

// maxBody bounds the body of a request to the API, but for imports.
const maxBody = 64 << 10

// keysAPI is what the commands `gatewright keys`, `tokens` and `tenants` do, over
// HTTP. Reads are for this machine, or with the admin token; writes need the token.
//
//	GET    /api/v1/keys?owner=&tenant=&active=&label=NAME=VALUE  a list of keys
//	POST   /api/v1/keys                       makes one; its text is in the answer, once
//	GET    /api/v1/keys/{id}
//	POST   /api/v1/keys/{id}/rotate           {"overlap": "24h"}
//	POST   /api/v1/keys/{id}/revoke
//	POST   /api/v1/keys/import                text/csv or application/jsonl; all or none
//	GET    /api/v1/keys/audit?key=&tenant=&since=  who changed what
//	GET    /api/v1/tenants
//	GET    /api/v1/tenants/{name}
//	PUT    /api/v1/tenants/{name}             {"plan": …, "limits": {"LIMIT": "500,100/s"}, "note": …}: the whole record
//	DELETE /api/v1/tenants/{name}
//	GET    /api/v1/tokens/revocations
//	POST   /api/v1/tokens/revocations         {"issuer": …, "tokenID": … or "subject": …, "issuedBefore": …}
//	DELETE /api/v1/tokens/revocations/{number}
type keysAPI struct {
	store *keys.Store
	log   *slog.Logger
}

func (a keysAPI) register(mux *http.ServeMux, token string) {
	for pattern, answer := range map[string]func(*http.Request) (any, error){
		"GET /api/v1/keys":               a.list,
		"GET /api/v1/keys/{id}":          a.one,
		"GET /api/v1/keys/audit":         a.audit,
		"GET /api/v1/tenants":            a.tenants,
		"GET /api/v1/tenants/{name}":     a.tenant,
		"GET /api/v1/tokens/revocations": a.revocations,
	} {
		mux.Handle(pattern, guarded(token, a.answering(http.StatusOK, answer)))
	}
	for pattern, answer := range map[string]func(*http.Request) (any, error){
		"POST /api/v1/keys":               a.create,
		"POST /api/v1/keys/import":        a.imports,
		"POST /api/v1/tokens/revocations": a.revokeTokens,
	} {
		mux.Handle(pattern, writing(token, a.answering(http.StatusCreated, answer)))
	}
	for pattern, answer := range map[string]func(*http.Request) (any, error){
		"POST /api/v1/keys/{id}/rotate":              a.rotate,
		"POST /api/v1/keys/{id}/revoke":              a.revoke,
		"DELETE /api/v1/tokens/revocations/{number}": a.restoreTokens,
		"PUT /api/v1/tenants/{name}":                 a.setTenant,
		"DELETE /api/v1/tenants/{name}":              a.removeTenant,
	} {
		mux.Handle(pattern, writing(token, a.answering(http.StatusOK, answer)))
	}
}

// answering writes what a function answers, or the problem that its error is.
func (a keysAPI) answering(status int, answer func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store") // it may hold a key
		v, err := answer(r)
		if err != nil {
			a.refuse(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v) // the caller may be gone
	})
}

// badRequest is a request that cannot be read.
type badRequest struct {
	status int
	detail string
}

func (b badRequest) Error() string { return b.detail }

// refuse tells what is wrong with a request. What the database says is for the
// log alone.
func (a keysAPI) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var bad badRequest
	switch {
	case errors.As(err, &bad):
		problem(w, bad.status, "bad-request", bad.detail)
	case errors.Is(err, keys.ErrNotFound), errors.Is(err, keys.ErrNoRevocation):
		problem(w, http.StatusNotFound, "not-found", err.Error())
	case errors.Is(err, keys.ErrInvalid):
		problem(w, http.StatusUnprocessableEntity, "invalid", err.Error())
	default:
		a.log.ErrorContext(r.Context(), "the key database cannot answer the admin API", "request", r.Pattern, "error", err)
		problem(w, http.StatusServiceUnavailable, "key-store-unavailable", "the key database does not answer; the log says why")
	}
}

// read reads a JSON body: one object, with no member that is not known.
func read(r *http.Request, into any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return badRequest{http.StatusUnsupportedMediaType, "the body must be application/json"}
	}
	body := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody))
	body.DisallowUnknownFields()
	if err := body.Decode(into); err != nil {
		return badRequest{http.StatusBadRequest, "reading the body: " + err.Error()}
	}
	if _, err := body.Token(); !errors.Is(err, io.EOF) {
		return badRequest{http.StatusBadRequest, "reading the body: more than one JSON value"}
	}
	return nil
}

// as is the store, with the caller as the one who is audited.
func (a keysAPI) as(r *http.Request) *keys.Store { return a.store.As(actor(r)) }

// actor is who calls, for the audit: all that the admin port knows is from where.
func actor(r *http.Request) string { return "admin API from " + r.RemoteAddr }

func (a keysAPI) list(r *http.Request) (any, error) {
	q := r.URL.Query()
	labels, err := keys.ParseLabels(q["label"])
	if err != nil {
		return nil, badRequest{http.StatusBadRequest, "label: " + err.Error()}
	}
	filter := keys.Filter{Owner: q.Get("owner"), Tenant: q.Get("tenant"), Labels: labels}
	if active := q.Get("active"); active != "" {
		if filter.Active, err = strconv.ParseBool(active); err != nil {
			return nil, badRequest{http.StatusBadRequest, "active: must be true or false"}
		}
	}
	return a.as(r).List(r.Context(), filter)
}

func (a keysAPI) one(r *http.Request) (any, error) {
	return a.store.ByID(r.Context(), r.PathValue("id"))
}

// shown is a key with its text, which is in no other answer.
type shown struct {
	Key string `json:"key"`
	keys.Record
}

func (a keysAPI) create(r *http.Request) (any, error) {
	var spec struct {
		Name        string            `json:"name"`
		Owner       string            `json:"owner"`
		Tenant      string            `json:"tenant"`
		Plan        string            `json:"plan"`
		Permissions []string          `json:"permissions"`
		Labels      map[string]string `json:"labels"`
		ExpiresAt   time.Time         `json:"expiresAt"`
	}
	if err := read(r, &spec); err != nil {
		return nil, err
	}
	record, secret, err := a.as(r).Create(r.Context(), keys.Spec(spec))
	if err != nil {
		return nil, err
	}
	return shown{secret.Reveal(), record}, nil
}

func (a keysAPI) rotate(r *http.Request) (any, error) {
	var asked struct {
		Overlap string `json:"overlap"`
	}
	if err := read(r, &asked); err != nil {
		return nil, err
	}
	overlap, err := time.ParseDuration(asked.Overlap)
	if err != nil {
		return nil, badRequest{http.StatusBadRequest, "overlap: must be a duration, as 24h, or 0s"}
	}
	record, secret, err := a.as(r).Rotate(r.Context(), r.PathValue("id"), overlap)
	if err != nil {
		return nil, err
	}
	return shown{secret.Reveal(), record}, nil
}

func (a keysAPI) revoke(r *http.Request) (any, error) {
	return a.as(r).Revoke(r.Context(), r.PathValue("id"))
}

func (a keysAPI) imports(r *http.Request) (any, error) {
	readers := map[string]func(io.Reader) ([]keys.Import, error){
		"text/csv": keys.ReadCSV, "application/jsonl": keys.ReadJSONLines, "application/x-ndjson": keys.ReadJSONLines,
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || readers[kind] == nil {
		return nil, badRequest{http.StatusUnsupportedMediaType, "the body must be text/csv or application/jsonl"}
	}
	imports, err := readers[kind](r.Body) // bounded by the reader
	if err != nil {
		return nil, badRequest{http.StatusUnprocessableEntity, err.Error()}
	}
	return a.as(r).Import(r.Context(), imports)
}

func (a keysAPI) audit(r *http.Request) (any, error) {
	filter := keys.AuditFilter{KeyID: r.URL.Query().Get("key"), Tenant: r.URL.Query().Get("tenant")}
	if since := r.URL.Query().Get("since"); since != "" {
		var err error
		if filter.Since, err = time.Parse(time.RFC3339, since); err != nil {
			return nil, badRequest{http.StatusBadRequest, "since: must be a time as 2026-01-31T12:00:00Z"}
		}
	}
	return a.store.Audit(r.Context(), filter)
}

func (a keysAPI) revocations(r *http.Request) (any, error) { return a.store.Revocations(r.Context()) }

func (a keysAPI) revokeTokens(r *http.Request) (any, error) {
	var asked struct {
		Issuer       string    `json:"issuer"`
		TokenID      string    `json:"tokenID"`
		Subject      string    `json:"subject"`
		IssuedBefore time.Time `json:"issuedBefore"`
		Until        time.Time `json:"until"`
		Why          string    `json:"why"`
	}
	if err := read(r, &asked); err != nil {
		return nil, err
	}
	return a.store.RevokeTokens(r.Context(), keys.Revocation{
		Issuer: asked.Issuer, TokenID: asked.TokenID, Subject: asked.Subject,
		IssuedBefore: asked.IssuedBefore, Until: asked.Until, Why: asked.Why, By: actor(r),
	})
}

func (a keysAPI) restoreTokens(r *http.Request) (any, error) {
	number, err := strconv.ParseInt(r.PathValue("number"), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%w %q: want a number", keys.ErrNoRevocation, strings.ToValidUTF8(r.PathValue("number"), "?"))
	}
	return a.store.RestoreTokens(r.Context(), number)
}
