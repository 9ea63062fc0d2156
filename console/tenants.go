package console

import (
	"net/http"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/keys"
)

func (a keysAPI) tenants(r *http.Request) (any, error) { return a.store.Tenants(r.Context()) }

func (a keysAPI) tenant(r *http.Request) (any, error) {
	return a.store.Tenant(r.Context(), r.PathValue("name"))
}

// setTenant replaces a record: what the body does not have, the customer has not.
func (a keysAPI) setTenant(r *http.Request) (any, error) {
	var wanted struct {
		Plan   string                    `json:"plan"`
		Limits map[string]config.Numbers `json:"limits"`
		Note   string                    `json:"note"`
	}
	if err := read(r, &wanted); err != nil {
		return nil, err
	}
	return a.as(r).SetTenant(r.Context(), r.PathValue("name"), func(t *keys.Tenant) {
		t.Plan, t.Limits, t.Note = wanted.Plan, wanted.Limits, wanted.Note
	})
}

func (a keysAPI) removeTenant(r *http.Request) (any, error) {
	return a.as(r).RemoveTenant(r.Context(), r.PathValue("name"))
}
