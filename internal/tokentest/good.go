package tokentest

import "strings"

// Good are tokens that a provider takes that asks for nothing else.
func (i Issuer) Good() []Token {
	rs, ps := i.RSA, i.RSA
	ps.Alg = "PS256"
	headed := func(header string) string { return rs.Sign(header, i.Payload(nil)) }
	claiming := func(changed map[string]any) string { return i.token(rs, changed) }
	return []Token{
		{Name: "RS256", Raw: claiming(nil)},
		{Name: "PS256", Raw: i.token(ps, nil)},
		{Name: "ES256", Raw: i.token(i.EC, nil)},
		{Name: "EdDSA", Raw: i.token(i.Ed, nil)},
		{Name: "no typ", Raw: headed(`{"alg":"RS256","kid":"rsa-1"}`)},
		{Name: "typ at+jwt", Raw: headed(`{"alg":"RS256","kid":"rsa-1","typ":"at+jwt"}`)},
		{Name: "typ in full", Raw: headed(`{"alg":"RS256","kid":"rsa-1","typ":"application/AT+JWT"}`)},
		{Name: "typ in lower case", Raw: headed(`{"alg":"RS256","kid":"rsa-1","typ":"jwt"}`)},
		{Name: "thumbprints", Raw: headed(`{"alg":"RS256","kid":"rsa-1","x5t":"abc","x5t#S256":"def"}`)},
		{Name: "no kid, one ES256 key", Raw: i.EC.Sign(`{"alg":"ES256"}`, i.Payload(nil))},
		{Name: "audience in an array", Raw: claiming(map[string]any{"aud": []string{"other", i.Audience}})},
		{Name: "exp with a fraction", Raw: claiming(map[string]any{"exp": float64(i.Now.Unix()) + 60.5 + i.Ahead.Seconds()})},
		{Name: "white space in payload", Raw: rs.Sign(rs.Header(), " {\n"+i.Payload(nil)[1:]+"\t")},
		{Name: "no iat", Raw: claiming(map[string]any{"iat": nil})},
		{Name: "no sub", Raw: claiming(map[string]any{"sub": nil})},
		{Name: "escaped sub", Raw: rs.Sign(rs.Header(), strings.Replace(i.Payload(nil), "alice", `\u0061lice\ud83d\ude00`, 1))},
		{Name: "scp array", Raw: claiming(map[string]any{"scp": []string{"a", "b"}})},
	}
}
