package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gatewright/gatewright/console"
)

// adminTimeout bounds a call to the admin API.
const adminTimeout = 10 * time.Second

// askAdmin calls the admin API of a running gateway, and reads its answer. A body of
// nil is none. What the gateway refuses is an error with its words.
func askAdmin(ctx context.Context, s console.Settings, method, path string, body, into any) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("asking the gateway (GATEWRIGHT_ADMIN_ADDR=%s): %w", s.Addr, err)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	var sent bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&sent).Encode(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.Addr+path, &sent)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if s.Token != "" {
		req.Header.Set("Authorization", "Bearer "+s.Token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return plain(err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return refusal(resp.Status, said)
	}
	return json.Unmarshal(said, into)
}

// refusal is what the gateway says of a call that it does not answer.
func refusal(status string, said []byte) error {
	var problem struct{ Reason, Detail string }
	if json.Unmarshal(said, &problem) == nil && problem.Detail != "" {
		return fmt.Errorf("%s (%s)", problem.Detail, problem.Reason)
	}
	return fmt.Errorf("%s: %.1000s", status, said)
}
