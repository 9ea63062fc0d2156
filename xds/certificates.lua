-- Client certificates that Check has judged: see certificates.go.
local most = 1024 -- of a generation; there are two
local young, old, count = {}, {}, 0

local function remember(key, caller)
  if young[key] == nil then
    if count >= most then young, old, count = {}, young, 0 end
    count = count + 1
  end
  young[key] = caller
end

local function find(key)
  if young[key] == nil and old[key] ~= nil then remember(key, old[key]) end
  return young[key]
end

-- The policy of the route and the certificate of the connection; nil without one.
local function keyOf(handle)
  local ssl = handle:streamInfo():downstreamSslConnection()
  if ssl == nil or not ssl:peerCertificateValidated() then return nil end
  local policy = handle:filterContext():get("policy")
  return policy .. ssl:sha256PeerCertificateDigest(), policy
end

-- A request that shows its certificate alone, to a policy by which Check has let pass
-- who shows it, is that caller's.
function envoy_on_request(handle)
  local key, policy = keyOf(handle)
  if key == nil then return end
  local caller = find(key)
  if caller == nil or handle:timestamp() >= caller.until_ms then return end
  local headers = handle:headers()
  for _, name in ipairs(handle:filterContext():get("absent")) do
    if headers:get(name) ~= nil then return end
  end
  for name, value in pairs(caller.headers) do headers:replace(name, value) end
  handle:streamInfo():dynamicMetadata():set("gatewright.certificate", "caller", {policy = policy, user = caller.user, tenant = caller.tenant})
end

-- What Check has told of the certificate, of a request that it has let pass.
function envoy_on_response(handle)
  local verdict = handle:streamInfo():dynamicMetadata():get("envoy.filters.http.ext_authz")
  local told = verdict and verdict["certificate"]
  if told == nil then return end
  local key, policy = keyOf(handle)
  if key == nil or verdict["policy"] ~= policy then return end
  remember(key, {
    until_ms = told["expires"] * 1000 - 2000, headers = told["headers"] or {}, user = verdict["user"], tenant = verdict["tenant"],
  })
end
