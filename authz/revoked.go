package authz

// checkRevoked refuses a token that has been taken back, and one of which nobody
// can tell that.
func (s *Server) checkRevoked(c claims) *refusal {
	if s.revoked == nil {
		return nil
	}
	revoked, err := s.revoked(c)
	switch {
	case err != nil:
		return refuseFor(ReasonRevocationsUnavailable, err)
	case revoked:
		return refuse(ReasonTokenRevoked)
	}
	return nil
}
