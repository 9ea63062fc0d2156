package limitxds

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/gatewright/gatewright/internal/wholefile"
)

// kept is the file of what was served last: the sum of what follows, and a
// DiscoveryResponse. Where path is empty nothing is kept.
type kept struct{ path string }

// newKept is the file for a server and a node: what others have sent is never served in
// their stead.
func newKept(folder string, s Settings) kept {
	if folder == "" {
		return kept{}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %s", len(s.Server), s.Server, s.NodeID))
	return kept{filepath.Join(folder, hex.EncodeToString(sum[:8])+".binpb")}
}

func (k kept) save(all []resource) error {
	if k.path == "" {
		return nil
	}
	sent := make([]*anypb.Any, len(all))
	for i, r := range all {
		sent[i] = r.sent
	}
	data, err := proto.Marshal(&discoveryv3.DiscoveryResponse{TypeUrl: typeURL, Resources: sent})
	if err != nil {
		return fmt.Errorf("keeping rate limits: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(k.path), 0o700); err != nil {
		return fmt.Errorf("keeping rate limits: %w", err)
	}
	sum := sha256.Sum256(data)
	if err := wholefile.Write(k.path, append(sum[:], data...)); err != nil {
		return fmt.Errorf("keeping rate limits: %w", err)
	}
	return nil
}

// load is what is kept, and since when; nil where there is nothing.
func (k kept) load() ([]resource, time.Time, error) {
	if k.path == "" {
		return nil, time.Time{}, nil
	}
	data, err := os.ReadFile(k.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, time.Time{}, nil
	case err != nil:
		return nil, time.Time{}, fmt.Errorf("reading the rate limits of an earlier run: %w", err)
	}
	info, err := os.Stat(k.path)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("reading the rate limits of an earlier run: %w", err)
	}
	var r discoveryv3.DiscoveryResponse
	if len(data) < sha256.Size || !isSum(data[:sha256.Size], data[sha256.Size:]) || proto.Unmarshal(data[sha256.Size:], &r) != nil {
		return nil, time.Time{}, fmt.Errorf("reading the rate limits of an earlier run: %s is damaged", k.path)
	}
	return resources(r.GetResources()), info.ModTime(), nil
}

func isSum(sum, data []byte) bool {
	want := sha256.Sum256(data)
	return bytes.Equal(sum, want[:])
}
