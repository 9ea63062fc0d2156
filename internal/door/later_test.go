package door_test

import (
	"context"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"

	"github.com/gatewright/gatewright/internal/door"
	"github.com/gatewright/gatewright/internal/inline"
)

// laterMethod is a call that is left, and answered by somebody else, as those are
// that wait for Redis.
const laterMethod = "/test.Later/Answer"

func answerLater(ctx context.Context, _, _ []byte) ([]byte, error) {
	l := inline.LaterOf(ctx)
	l.Detach()
	go func() {
		var answers inline.Answers
		answers.Give(l, nothing{})
		answers.Flush()
	}()
	return nil, nil
}

// nothing is the reply that has no fields.
type nothing struct{}

// AppendReply implements inline.Reply.
func (nothing) AppendReply(memory []byte) ([]byte, error) { return memory, nil }

// TestLaterAnswersPassTheDoor: who answers a call that was left writes to the
// connection as the client reads it, encrypted where that is.
func TestLaterAnswersPassTheDoor(t *testing.T) {
	t.Parallel()
	ca, settings := withTLS(t)
	for name, conn := range map[string]*grpc.ClientConn{
		"mTLS":     build(t, ca, settings).client(ca.Pair(edge)),
		"a socket": build(t, nil, door.Settings{}).local(),
	} {
		for range 3 {
			if err := conn.Invoke(soon(t), laterMethod, &authv3.CheckRequest{}, &authv3.CheckResponse{}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
