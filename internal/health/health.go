// Package health asks a server whether it is well, for the probes of containers in
// which there is no shell and no curl.
package health

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Timeout bounds one question.
const Timeout = 3 * time.Second

// Check returns nil if url answers with 200. The error has what it says otherwise.
// No proxy is asked, and no redirect followed: the answer is to be the server's own.
func Check(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("reading the URL: %w", err)
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, resp.Status, strings.TrimSpace(string(said)))
	}
	return nil
}
