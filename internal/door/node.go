package door

import (
	"crypto/x509"
	"fmt"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
)

// binding holds the messages of one stream to the names in its certificate.
// A unary call is a stream of one message.
type binding struct {
	// certificate has the names that the node id may be. Without one nothing
	// is asked.
	certificate *x509.Certificate
	// node is what the first message has named, "" before it.
	node string
}

// names are those of a certificate that a node id may be: its DNS names and
// its URIs, each as a whole and letter by letter. A SPIFFE ID is so the id of
// one workload, not of all that its trust domain has. The common name is not
// one of them: no CA is bound to check it.
func names(c *x509.Certificate) []string {
	out := slices.Clone(c.DNSNames)
	for _, u := range c.URIs {
		out = append(out, u.String())
	}
	return out
}

// checkMessage tells why a message is refused, or nil. One that does not say which
// Envoy asks, as Check and ShouldRateLimit, is free.
func (b *binding) checkMessage(message any) *refusal {
	if b.certificate == nil {
		return nil
	}
	node, carries := nodeOf(message)
	if !carries {
		return nil
	}
	return b.check(node)
}

// check tells why a message from a node is refused, or nil. What is said of the node in
// it counts from the first message on: Envoy names itself there, and may leave it
// out of those that follow.
func (b *binding) check(node *corev3.Node) *refusal {
	id := node.GetId()
	switch {
	case b.node == "" && id == "":
		return &refusal{nodeMissing, "the first message of the stream must have node.id, and has none"}
	case b.node == "" && !slices.Contains(names(b.certificate), id):
		return &refusal{nodeForeign, fmt.Sprintf("node.id %s is none of the DNS and URI names of the client certificate, %.200q", quoted(id), names(b.certificate))}
	case b.node != "" && node != nil && id != b.node:
		return &refusal{nodeChanged, fmt.Sprintf("node.id was %s and is now %s: a stream has one node", quoted(b.node), quoted(id))}
	case b.node == "":
		b.node = id
	}
	return nil
}

// nodeOf is the node in a message, and whether its kind carries one: discovery
// requests of both variants (and whatever else of Envoy's protocols has a
// field `node`), and access logs.
func nodeOf(message any) (node *corev3.Node, carries bool) {
	switch m := message.(type) {
	case interface{ GetNode() *corev3.Node }:
		return m.GetNode(), true
	case *accesslogv3.StreamAccessLogsMessage:
		return m.GetIdentifier().GetNode(), true
	}
	return nil, false
}

// quoted is text of a stranger as it is told: on one line, and not of any
// length.
func quoted(s string) string {
	const most = 200
	if len(s) > most {
		return fmt.Sprintf("%q… (%d bytes)", s[:most], len(s))
	}
	return fmt.Sprintf("%q", s)
}
