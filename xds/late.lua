-- The answer on a connection that is older than what its route does: see latefilters.go.
function envoy_on_request(handle)
  handle:respond({[":status"] = "503", ["content-type"] = "application/problem+json", ["retry-after"] = "1"},
    '{"type":"urn:gatewright:problem:connection-outdated","title":"Service Unavailable","status":503,"reason":"connection-outdated",' ..
    '"detail":"what this route does has changed, and cannot be done on this connection: open another"}')
end
