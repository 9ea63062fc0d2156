package keys

// State is the verdict on a key that a request shows. The zero value is no
// verdict, and admits nobody.
type State string

// The states of a key. Only Valid admits.
const (
	// Valid: the key is stored, and may be used now.
	Valid State = "valid"
	// Malformed: no key was ever written like that.
	Malformed State = "malformed"
	// Unknown: well written, but no such key, or another secret under its id.
	Unknown State = "unknown"
	// Revoked and Expired are said only to who holds the right secret.
	Revoked State = "revoked"
	Expired State = "expired"
)

// Found is what is known of a key that a request shows.
type Found struct {
	// State is the verdict.
	State State
	// Record is that of the key where State is Valid, Revoked or Expired, and
	// zero otherwise. It is shared, so it is not to be changed.
	Record Record
}
