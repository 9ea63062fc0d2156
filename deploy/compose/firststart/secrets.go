package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// secretBytes are in each password and key.
const secretBytes = 32

// file is one that a service reads, below the folder of that service.
type file struct {
	path    string
	content string
}

// makeSecrets writes the files of every service into folder, unless a start before
// has done so: then nothing is touched, since databases have been made with those.
// The services' folders are there already, as volumes.
func makeSecrets(folder string, random io.Reader, now time.Time) error {
	// Written last: a start that is cut off begins anew, and nobody has used what
	// it made, for all wait for it to end.
	done := filepath.Join(folder, "gatewright", "complete")
	switch _, err := os.Stat(done); {
	case err == nil:
		fmt.Println("the secrets of the first start are kept")
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("looking for an earlier start: %w", err)
	}
	files, err := secretFiles(random, now)
	if err != nil {
		return err
	}
	for _, f := range append(files, file{"gatewright/complete", now.UTC().Format(time.RFC3339) + "\n"}) {
		if err := write(filepath.Join(folder, f.path), f.content); err != nil {
			return err
		}
	}
	fmt.Println("passwords, keys and certificates are made")
	return nil
}

// secretFiles are all files. What two services share is in both folders, and no
// service has more than it needs.
func secretFiles(random io.Reader, now time.Time) ([]file, error) {
	var drawn [5]string
	for i := range drawn {
		var err error
		if drawn[i], err = secret(random); err != nil {
			return nil, err
		}
	}
	redis, postgres, keys, admin, grafana := drawn[0], drawn[1], drawn[2], drawn[3], drawn[4]
	files := []file{
		{"redis/redis.conf", "requirepass " + redis + "\n"},
		{"postgres/password", postgres},
		{"grafana/password", grafana},
		{"prometheus/token", admin},
		{"gatewright/redis-password", redis},
		// PostgreSQL's own form, of which a client takes the line that fits: any
		// host, port and database, and our user.
		{"gatewright/pgpass", "*:*:*:gatewright:" + postgres + "\n"},
		{"gatewright/key-secret", keys},
		{"gatewright/admin-token", admin},
	}
	certificates, err := etcdCertificates(now)
	return append(files, certificates...), err
}

// secret is one that can stand in a URL, a line of a configuration and a header.
func secret(random io.Reader) (string, error) {
	var b [secretBytes]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("drawing a secret: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// write makes a file that its group may read: each service is in the group of this
// one, and sees its own folder alone.
func write(path, content string) error {
	// What a start that was cut off has written is read-only.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("writing a secret: %w", err)
	}
	if err := os.WriteFile(path, []byte(content), 0o440); err != nil {
		return fmt.Errorf("writing a secret (is its folder a volume that this user may write to?): %w", err)
	}
	return nil
}
