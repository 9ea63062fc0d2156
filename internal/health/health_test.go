package health

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/well":
		case "/moved":
			http.Redirect(w, r, "/well", http.StatusFound)
		default:
			http.Error(w, "no config is loaded yet", http.StatusServiceUnavailable)
		}
	}))
	defer s.Close()
	for url, want := range map[string]string{
		s.URL + "/well":  "",
		s.URL + "/ill":   "503 Service Unavailable: no config is loaded yet",
		s.URL + "/moved": "302 Found",
		"nothing":        "unsupported protocol scheme",
	} {
		err := Check(t.Context(), url)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}
