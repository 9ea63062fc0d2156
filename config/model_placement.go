package config

// Placement says where a policy runs: in Gatewright, which Envoy asks about each
// request, or inside Envoy itself. The answers are the same.
type Placement string

// The placements.
const (
	// PlacementAuto runs a policy inside Envoy where it can: requests that surely pass
	// are not asked about, all others are.
	PlacementAuto Placement = "auto"
	// PlacementService asks about every request.
	PlacementService Placement = "service"
	// PlacementEnvoy is auto, and refuses a config in which the policy cannot run there.
	PlacementEnvoy Placement = "envoy"
)
