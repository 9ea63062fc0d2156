package authz

import (
	"fmt"
	"time"

	"github.com/gatewright/gatewright/config"
)

// Verdict is the judgement of one request. It allows if and only if its Reason
// is ReasonAllowed, so no verdict can both allow and give a reason not to. The
// zero value denies with a 500.
type Verdict struct {
	Reason Reason
	// Detail replaces the reason's own explanation where it is not empty.
	Detail string
	// Policy is the hash of the policy that it was judged by.
	Policy string
	// Route is the name of the route, where it was found here: an Envoy that
	// named it knows it.
	Route string
	// Identity is the caller, as far as it is known.
	Identity Identity
	// Reroute is the backend that the request goes to in place of the one that Envoy
	// has picked: see Policy.Split and BackendBreaker.Fallback. Empty: that one
	// stands.
	Reroute string
	// Challenge is the WWW-Authenticate header of a 401 or 403.
	Challenge string
	// Backend is the backend that the request goes to, as Route, where it has a
	// breaker.
	Backend string
	// Admission is the answer of that backend's breaker; its zero value where there
	// is none, or where the request did not come to it.
	Admission Admission
	// Broken is the backend that the request does not go to, because its breaker is open.
	Broken string
	// Limits is the limiter's answer; its zero value where none was asked.
	Limits LimitResult
	// LimitKeys are the values that Envoy's ratelimit filter is to count by.
	// Nil where Check charges the limits itself.
	LimitKeys map[string]string
	// LimitPlans are what the limits are for the caller, by their names, where
	// that filter is to count: see config.Allowance.
	LimitPlans map[string]string
	// LimitCosts are what the request takes of limits whose cost is each request's
	// own, by their names, for the same filter.
	LimitCosts map[string]string

	// version is that of the config that is served; empty is not known.
	version string
	// told is what Envoy is told of the caller: see Policy.Tells.
	told []datum
	// certificate is what Envoy may remember of the client's: see certificateTold.
	certificate []datum
	// expires is when the token expires that names the caller, where all that the verdict
	// depends on of the request is that token; zero elsewhere. remember is what Envoy may
	// then remember: see rememberTold.
	expires  time.Time
	remember string
	// limitHeaders are those that tell of Limits.
	limitHeaders config.RateLimitHeaders
	// plan is the one that the caller is in; empty is none.
	plan string
	// shadow is what the route's requirements in shadow would answer; empty where
	// there are none, or where the request did not come to them.
	shadow Reason
	// invalid: the request is not as the route's document says, which is in shadow.
	invalid bool
	// stranger tells of a request that no route takes.
	stranger bool
	// call tells of a denial of a call of gRPC.
	call bool
	// respond is what the client gets in place of a denial. Nil is the denial.
	respond *config.Respond
	// body is what a denial says in place of a problem document, with requestID, the
	// id that Envoy has given the request. Nil is the problem document.
	body      *config.ErrorBody
	requestID string
	// charged is the limit that Envoy charges behind this verdict, see countingInEnvoy.
	// Empty: none.
	charged string
	// headers are set on the request, for the backend.
	headers []header
	// removeHeaders and removeQuery are taken out of the request.
	removeHeaders []string
	removeQuery   []string
	// cause is what broke, where the gateway is at fault.
	cause error
}

// inShadow is what would be answered by what is in shadow, requirements first,
// then a breaker, then limits, then the document; empty where that would let the request pass, or where there is none.
func (v Verdict) inShadow() Reason {
	switch {
	case v.shadow != "" && v.shadow != ReasonAllowed:
		return v.shadow
	case v.Admission.Shadow:
		return ReasonCircuitOpen
	case len(v.Limits.Shadow) > 0:
		return ReasonRateLimited
	case v.invalid:
		return ReasonRequestInvalid
	}
	return ""
}

// denied returns v as a denial for the reason.
func (v Verdict) denied(r *refusal) Verdict {
	v.Reason, v.Detail, v.cause = r.reason, r.detail, r.cause
	return v
}

// limited returns v with a limiter's answer, which allows or denies it.
func (v Verdict) limited(r LimitResult) Verdict {
	v.Limits, v.Reason, v.Detail, v.cause = r, limitReason(r), "", nil
	if v.Reason == ReasonRateLimited && r.RetryAfter < 0 {
		v.Detail = fmt.Sprintf("The request costs more than the limit %s holds (%d): it can never pass.", r.Limit, r.Capacity)
	}
	return v
}

// limitReason is what a limiter's answer means for the request.
func limitReason(r LimitResult) Reason {
	switch {
	case r.Allowed:
		return ReasonAllowed
	case r.StoreDown:
		return ReasonLimitStoreUnavailable
	default:
		return ReasonRateLimited
	}
}
