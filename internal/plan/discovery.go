package plan

import (
	"encoding/json"
	"fmt"
)

// discoveryVersion says who knows the endpoints of each backend that is discovered: no
// resource of the plan does.
func (p *Plan) discoveryVersion() []string {
	var parts []string
	for name, b := range p.Config.Backends {
		if b.Discovery == nil {
			continue
		}
		said, err := json.Marshal(b.Discovery)
		if err != nil {
			panic(fmt.Sprintf("plan: naming a discovery: %v", err)) // texts and flags
		}
		parts = append(parts, fmt.Sprintf("%q discovery %s", name, said))
	}
	return parts
}
