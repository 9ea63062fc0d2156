package explain

import "github.com/gatewright/gatewright/config"

// heldTo says in words what a document makes of a request.
func heldTo(d *config.OpenAPI, r *config.RouteOpenAPI, method, path string) string {
	text := d.Name + " has no operation for it: answer 400 request-invalid"
	if o := d.Validator.Operation(method, path); o != "" {
		text = "held to " + o + " of " + d.Name
	}
	if r.InShadow() {
		text += ", in shadow: nothing is refused"
	}
	return text
}
