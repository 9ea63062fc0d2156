package authz

import (
	"strconv"
	"strings"

	"github.com/gatewright/gatewright/config"
)

// inOwnBody is v with the body that the config has for such a denial, if it has
// one: for requests that could read it.
func (v Verdict) inOwnBody(rq *request, bodies []*config.ErrorBody) Verdict {
	if v.Reason == ReasonAllowed || len(bodies) == 0 {
		return v
	}
	if kind, _ := rq.header("content-type"); strings.HasPrefix(kind, "application/grpc") {
		return v
	}
	_, p := problemOf(v.Reason)
	accept, _ := rq.header("accept")
	v.body = config.ErrorBodyFor(bodies, p.status, accept)
	v.requestID, _ = rq.header("x-request-id")
	return v
}

// denialBody is the body of a denial, and what it is.
func denialBody(v Verdict, reason Reason, p problem) (body, contentType string) {
	if v.body == nil {
		return problemBody(v, reason, p), "application/problem+json"
	}
	same := func(text string) string { return text }
	return v.body.Text(same, func(variable string) string {
		text := string(reason)
		switch variable {
		case "status":
			text = strconv.Itoa(p.status)
		case "title":
			text = p.title
		case "detail":
			text = detailOf(v, p)
		case "request_id":
			text = v.requestID
		}
		return v.body.Escape(validText(text))
	}), v.body.ContentType
}

// detailOf is what a client is told of a denial.
func detailOf(v Verdict, p problem) string {
	if v.Detail != "" {
		return v.Detail
	}
	return p.detail
}
