package test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

// probe is a ClientHello that no honest client sends.
type probe struct {
	version     uint16 // of the hello; 1.2 and below
	suites      []uint16
	compression []byte // nil is none
	signatures  []uint16
	groups      []uint16
	versions    []uint16 // of the extension supported_versions; nil has none
}

// The defaults are what every server knows.
var (
	allSignatures = []uint16{0x0403, 0x0503, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201}
	allGroups     = []uint16{0x001d, 0x0017, 0x0018, 0x0019}
)

// Records of TLS (RFC 8446, section 5.1).
const (
	recordAlert     = 21
	recordHandshake = 22
)

// serverHello is what a server answers to a probe: its ServerHello, or an alert.
type serverHello struct {
	alert       byte // 0 where there is a ServerHello
	version     uint16
	suite       uint16
	compression byte
	extensions  map[uint16][]byte
}

func (p probe) extension(out []byte, typ uint16, content []byte) []byte {
	out = binary.BigEndian.AppendUint16(out, typ)
	return append(binary.BigEndian.AppendUint16(out, uint16(len(content))), content...)
}

// listOf16 is a list of numbers behind its length in bytes.
func listOf16(values []uint16) []byte {
	out := binary.BigEndian.AppendUint16(nil, uint16(2*len(values)))
	for _, v := range values {
		out = binary.BigEndian.AppendUint16(out, v)
	}
	return out
}

// message is the handshake message.
func (p probe) message() []byte {
	body := binary.BigEndian.AppendUint16(nil, p.version)
	random := make([]byte, 32)
	_, _ = rand.Read(random) // it does not fail
	body = append(append(body, random...), 0)
	body = append(body, listOf16(p.suites)...)
	compression := p.compression
	if compression == nil {
		compression = []byte{0}
	}
	body = append(append(body, byte(len(compression))), compression...)
	signatures, groups := p.signatures, p.groups
	if signatures == nil {
		signatures = allSignatures
	}
	if groups == nil {
		groups = allGroups
	}
	var extensions []byte
	extensions = p.extension(extensions, 10, listOf16(groups))
	extensions = p.extension(extensions, 11, []byte{1, 0})
	extensions = p.extension(extensions, 13, listOf16(signatures))
	extensions = p.extension(extensions, 15, []byte{1})       // heartbeat
	extensions = p.extension(extensions, 23, nil)             // extended master secret
	extensions = p.extension(extensions, 0xff01, []byte{0x0}) // secure renegotiation
	if p.versions != nil {
		list := []byte{byte(2 * len(p.versions))}
		for _, v := range p.versions {
			list = binary.BigEndian.AppendUint16(list, v)
		}
		extensions = p.extension(extensions, 43, list)
	}
	body = append(binary.BigEndian.AppendUint16(body, uint16(len(extensions))), extensions...)
	return append([]byte{1, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

// records are the message in records, each of the size that is allowed.
func (p probe) records() []byte {
	var out []byte
	for message := p.message(); len(message) > 0; {
		n := min(len(message), 1<<14)
		out = append(out, recordHandshake, 3, 1)
		out = append(binary.BigEndian.AppendUint16(out, uint16(n)), message[:n]...)
		message = message[n:]
	}
	return out
}

// sent is what a server answers to bytes: its first record. No record is an alert of
// close_notify.
func sent(addr string, content []byte) (typ byte, record []byte, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return 0, nil, err
	}
	if _, err := conn.Write(content); err != nil {
		return 0, nil, err
	}
	return readRecord(conn)
}

func readRecord(r io.Reader) (typ byte, record []byte, err error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			return 0, nil, err
		}
		return recordAlert, []byte{2, 0}, nil // it has closed
	}
	record = make([]byte, binary.BigEndian.Uint16(head[3:]))
	_, err = io.ReadFull(r, record)
	return head[0], record, err
}

// answer is what a server says to a probe.
func (p probe) answer(addr string) (serverHello, error) {
	typ, record, err := sent(addr, p.records())
	switch {
	case err != nil:
		return serverHello{}, err
	case typ == recordAlert:
		return serverHello{alert: max(record[1], 1)}, nil // close_notify is 0
	case typ != recordHandshake || len(record) < 42 || record[0] != 2:
		return serverHello{}, fmt.Errorf("a record of type %d: %x", typ, record)
	}
	h := serverHello{version: binary.BigEndian.Uint16(record[4:]), extensions: map[uint16][]byte{}}
	rest := record[39+int(record[38]):]
	h.suite, h.compression = binary.BigEndian.Uint16(rest), rest[2]
	for rest = rest[5:]; len(rest) >= 4; {
		n := int(binary.BigEndian.Uint16(rest[2:]))
		h.extensions[binary.BigEndian.Uint16(rest)] = rest[4 : 4+n]
		rest = rest[4+n:]
	}
	if chosen := h.extensions[43]; len(chosen) == 2 {
		h.version = binary.BigEndian.Uint16(chosen)
	}
	return h, nil
}

// oldHello is a ClientHello of SSL 2 (draft-hickman-netscape-ssl-00).
func oldHello() []byte {
	body := []byte{1, 0, 2, 0, 9, 0, 0, 0, 16, 1, 0, 0x80, 2, 0, 0x80, 7, 0, 0xc0}
	body = append(body, make([]byte, 16)...)
	return append([]byte{0x80, byte(len(body))}, body...)
}

// wireTap remembers the server's random of a handshake.
type wireTap struct {
	net.Conn
	read []byte
}

func (w *wireTap) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.read = append(w.read, b[:n]...)
	return n, err
}

// sealed is a record of TLS 1.2 with AES-128-GCM, the second that the client has
// encrypted, made of what the key log has and what the wire had.
func sealed(t *testing.T, keyLog string, tap *wireTap, typ byte, content []byte) []byte {
	t.Helper()
	words := strings.Fields(keyLog)
	if len(words) != 3 || words[0] != "CLIENT_RANDOM" {
		t.Fatalf("the key log has %q", keyLog)
	}
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	seed := append([]byte("key expansion"), tap.read[11:43]...) // a record's head, a message's, and the version
	keys := prf12(unhex(words[2]), append(seed, unhex(words[1])...), 40)
	block, err := aes.NewCipher(keys[:16])
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	sequence := binary.BigEndian.AppendUint64(nil, 1)
	with := append(append([]byte{}, sequence...), typ, 3, 3, byte(len(content)>>8), byte(len(content)))
	body := gcm.Seal(append([]byte{}, sequence...), append(append([]byte{}, keys[32:36]...), sequence...), content, with)
	return append([]byte{typ, 3, 3, byte(len(body) >> 8), byte(len(body))}, body...)
}

// prf12 is the pseudorandom function of TLS 1.2 (RFC 5246, section 5).
func prf12(secret, seed []byte, n int) []byte {
	sum := func(content ...[]byte) []byte {
		h := hmac.New(sha256.New, secret)
		for _, c := range content {
			h.Write(c)
		}
		return h.Sum(nil)
	}
	var out []byte
	for a := sum(seed); len(out) < n; a = sum(a) {
		out = append(out, sum(a, seed)...)
	}
	return out[:n]
}

// overTap is a connection by TLS 1.2 and AES-128-GCM whose keys and bytes are known.
func overTap(t *testing.T, addr string) (*tls.Conn, *wireTap, *testenv.Output) {
	t.Helper()
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	if err := raw.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	tap, keys := &wireTap{Conn: raw}, &testenv.Output{}
	return tls.Client(tap, &tls.Config{
		InsecureSkipVerify: true, KeyLogWriter: keys, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	}), tap, keys
}
