package door

import (
	"time"

	"google.golang.org/grpc/credentials/insecure"
)

// WithShortHandshake shortens what a test has to wait for.
func WithShortHandshake(d *Door) { d.handshakeTime = 200 * time.Millisecond }

// WithoutHandshake lets everybody through the handshake, as a mistake in it
// would.
func WithoutHandshake(d *Door) { d.handshake = insecure.NewCredentials() }
