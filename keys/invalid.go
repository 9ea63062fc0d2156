package keys

import "errors"

// ErrInvalid says that what was asked for cannot be, whatever the database
// holds or does: the error has the rule.
var ErrInvalid = errors.New("invalid")

// invalidError is an error of whoever asked, with its own words.
type invalidError struct{ error }

// Is implements errors.Is.
func (invalidError) Is(target error) bool { return target == ErrInvalid }

// Unwrap implements errors.Unwrap.
func (e invalidError) Unwrap() error { return e.error }

// invalid marks an error as that of whoever asked; nil stays nil.
func invalid(err error) error {
	if err == nil {
		return nil
	}
	return invalidError{err}
}
