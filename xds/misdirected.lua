-- A request for a host that the certificate of its connection is not for. See
-- misdirected.go.
local answer = '{"detail":"the connection is one for other hosts: ask again on a new one","reason":"misdirected-request","status":421,"title":"Misdirected Request","type":"urn:gatewright:problem:misdirected-request"}'

local function covers(name, host)
  if name == host then return true end
  if string.sub(name, 1, 2) ~= "*." then return false end
  local dot = string.find(host, ".", 1, true)
  return dot ~= nil and dot > 1 and string.sub(host, dot) == string.sub(name, 2)
end

function envoy_on_request(handle)
  local info = handle:streamInfo()
  local asked = string.lower(info:requestedServerName())
  local host = string.lower(handle:headers():get(":authority") or "")
  if asked == "" or asked == host then return end
  if string.find(host, "^[%d.]+$") or string.sub(host, 1, 1) == "[" then return end
  for _, name in ipairs(info:downstreamSslConnection():dnsSansLocalCertificate()) do
    if covers(string.lower(name), host) then return end
  end
  info:dynamicMetadata():set("envoy.filters.http.ext_authz", "reason", "misdirected-request")
  handle:respond({[":status"] = "421", ["content-type"] = "application/problem+json"}, answer)
end
