-- A call that has failed, as a problem document (RFC 9457). Envoy has made of its
-- status a google.rpc.Status in JSON, {"code":5,"message":"…","details":[…]}, its
-- fields in this order. What is anything else goes on as it is.
-- with_details is set in front of this.

local words = {
  [1] = "cancelled", [2] = "unknown", [3] = "invalid-argument", [4] = "deadline-exceeded",
  [5] = "not-found", [6] = "already-exists", [7] = "permission-denied", [8] = "resource-exhausted",
  [9] = "failed-precondition", [10] = "aborted", [11] = "out-of-range", [12] = "unimplemented",
  [13] = "internal", [14] = "unavailable", [15] = "data-loss", [16] = "unauthenticated",
}

local titles = {
  ["400"] = "Bad Request", ["401"] = "Unauthorized", ["403"] = "Forbidden", ["404"] = "Not Found",
  ["409"] = "Conflict", ["429"] = "Too Many Requests", ["499"] = "Client Closed Request",
  ["500"] = "Internal Server Error", ["501"] = "Not Implemented", ["503"] = "Service Unavailable",
  ["504"] = "Gateway Timeout",
}

-- text_end is the end of the JSON text that begins at a place, or nil.
local function text_end(json, from)
  local at = from + 1
  while true do
    at = string.find(json, '["\\]', at)
    if at == nil then return nil end
    if string.byte(json, at) == 34 then return at end
    at = at + 2
  end
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local status = headers:get(":status")
  if status == nil or string.byte(status) < 52 or headers:get("content-type") ~= "application/json" then return end
  local body = handle:body()
  if body == nil then return end
  local json = body:getBytes(0, body:length())
  local code = tonumber(string.match(json, '^{"code":(%d+)[,}]'))
  local word = code and words[code]
  if word == nil then return end

  local detail, rest = '""', string.match(json, '^{"code":%d+(.*)}$')
  local _, head = string.find(rest, '^,"message":')
  if head ~= nil then
    local stop = text_end(rest, head + 1)
    if stop == nil then return end
    detail, rest = string.sub(rest, head + 1, stop), string.sub(rest, stop + 1)
  end
  if not with_details then rest = "" end

  local reason = "grpc-" .. word
  local problem = '{"type":"urn:gatewright:problem:' .. reason .. '","title":"' .. (titles[status] or word) ..
    '","status":' .. status .. ',"reason":"' .. reason .. '","detail":' .. detail .. rest .. "}"
  headers = handle:headers() -- what was had before the wait for the body is no longer good
  headers:replace("content-type", "application/problem+json")
  headers:replace("grpc-status", tostring(code))
  headers:remove("grpc-message")
  headers:replace("content-length", tostring(body:setBytes(problem)))
end
