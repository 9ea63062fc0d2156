package store

import (
	"fmt"
	"strconv"
	"strings"
)

// keyNames are the keys of one config in etcd or Consul. They all begin with
// the config's own, so that one rule of their access control covers them.
type keyNames string

// versions is the prefix of the entries.
func (k keyNames) versions() string { return string(k) + ".history/v/" }

// version and content are the keys of an entry and its content. They sort as
// the numbers do.
func (k keyNames) version(number int64) string {
	return fmt.Sprintf("%s.history/v/%019d", string(k), number)
}

func (k keyNames) content(number int64) string {
	return fmt.Sprintf("%s.history/c/%019d", string(k), number)
}

// number is the number in the key of an entry. A key that is not one has 0.
func (k keyNames) number(key string) int64 {
	n, err := strconv.ParseInt(strings.TrimPrefix(key, k.versions()), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// set puts a value that etcd or Consul has into a head.
func (h *head) set(raw []byte, index uint64) error {
	data, err := decoded(raw)
	if err != nil {
		return err
	}
	h.exists, h.data, h.hash, h.cas = true, data, hashOf(data), index
	// An index may come again after a restored backup; with the hash it stands
	// for this content all the same.
	h.revision = fmt.Sprintf("%d-%s", index, h.hash[:16])
	return nil
}
