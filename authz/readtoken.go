package authz

// ReadToken is what the text of a token says of itself, believed or not; or why
// it is none.
func ReadToken(text string) (ShownToken, *Denial) {
	t, refused := parseToken(text)
	if refused != nil {
		return ShownToken{}, denial(refused)
	}
	if _, err := decodeClaims(t.payload); err != nil {
		return ShownToken{}, denial(refuse(ReasonTokenClaimsInvalid))
	}
	return *t.shown(), nil
}
