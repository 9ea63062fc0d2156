package console

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
)

// LogLevels are the levels of the process' own log.
type LogLevels interface {
	// Levels are those in force, and SetLevels sets them, in one text
	// (telemetry.Settings.LogLevel). An error changes none.
	Levels() string
	SetLevels(text string) error
}

// maxLevels bounds the text of levels.
const maxLevels = 4 << 10

// logLevelsAPI shows and changes the levels of the log. What is changed holds until the
// process ends.
//
//	GET /api/v1/log-levels  as text: info,xds=debug
//	PUT /api/v1/log-levels  the same, as the body; with the admin token
type logLevelsAPI struct {
	levels LogLevels
	log    *slog.Logger
}

func (a logLevelsAPI) register(mux *http.ServeMux, token string) {
	mux.Handle("GET /api/v1/log-levels", guarded(token, http.HandlerFunc(a.show)))
	mux.Handle("PUT /api/v1/log-levels", writing(token, http.HandlerFunc(a.set)))
}

func (a logLevelsAPI) show(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, a.levels.Levels())
}

func (a logLevelsAPI) set(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLevels))
	if err != nil {
		problem(w, http.StatusBadRequest, "levels-unreadable", "the body cannot be read, or is longer than levels can be")
		return
	}
	before, text := a.levels.Levels(), strings.TrimSpace(string(body))
	if err := a.levels.SetLevels(text); err != nil {
		problem(w, http.StatusBadRequest, "levels-unknown", err.Error())
		return
	}
	a.log.Warn("the levels of the log were changed", "from", before, "to", text)
	a.show(w, r)
}
