-- Answers of backends in the config's own words. See ownerrors.go, which says in the
-- filter's context which, and has it told who has answered. Nothing that the client or the
-- backend has sent gets into a body, and nothing of a backend's body is held.

local state = "gatewright.own_errors"
local origin = "x-gatewright-origin"

local titles = {
  ["400"] = "Bad Request", ["401"] = "Unauthorized", ["402"] = "Payment Required", ["403"] = "Forbidden",
  ["404"] = "Not Found", ["405"] = "Method Not Allowed", ["406"] = "Not Acceptable", ["408"] = "Request Timeout",
  ["409"] = "Conflict", ["410"] = "Gone", ["411"] = "Length Required", ["412"] = "Precondition Failed",
  ["413"] = "Content Too Large", ["414"] = "URI Too Long", ["415"] = "Unsupported Media Type",
  ["416"] = "Range Not Satisfiable", ["417"] = "Expectation Failed", ["421"] = "Misdirected Request",
  ["422"] = "Unprocessable Content", ["423"] = "Locked", ["424"] = "Failed Dependency", ["425"] = "Too Early",
  ["426"] = "Upgrade Required", ["428"] = "Precondition Required", ["429"] = "Too Many Requests",
  ["431"] = "Request Header Fields Too Large", ["451"] = "Unavailable For Legal Reasons",
  ["500"] = "Internal Server Error", ["501"] = "Not Implemented", ["502"] = "Bad Gateway",
  ["503"] = "Service Unavailable", ["504"] = "Gateway Timeout", ["505"] = "HTTP Version Not Supported",
  ["507"] = "Insufficient Storage", ["508"] = "Loop Detected", ["511"] = "Network Authentication Required",
}

-- what tells of the bytes that a backend has sent, and of none that are put in place.
local ofOtherBytes = {
  "content-encoding", "content-language", "content-disposition", "content-range", "content-location", "content-md5",
  "digest", "content-digest", "repr-digest", "etag", "last-modified", "accept-ranges", "trailer", "transfer-encoding",
}

local function trimmed(text) return string.match(text, "^[ \t]*(.-)[ \t]*$") end

-- weighs tells whether a parameter of a media range is no weight of 0.
local function weighs(parameter)
  if string.sub(parameter, 1, 1) ~= "q" then return parameter ~= "" end
  return string.find(parameter, "^q=1$") or string.find(parameter, "^q=1%.0*$") or string.find(parameter, "^q=0%.%d*[1-9]%d*$")
end

-- names tells whether an Accept header names a type, by its own name.
local function names(accept, kind)
  for range in string.gmatch(string.lower(accept), "[^,]+") do
    local fits, first = true, true
    for part in string.gmatch(range .. ";", "([^;]*);") do
      part = trimmed(part)
      if first then fits = part == kind else fits = fits and weighs(part) end
      first = false
    end
    if fits then return true end
  end
  return false
end

local function isCall(kind) return kind ~= nil and string.sub(string.lower(kind), 1, 16) == "application/grpc" end

local function joined(headers, name)
  local lines = {}
  for i = 0, headers:getNumValues(name) - 1 do lines[i + 1] = headers:getAtIndex(name, i) end
  return table.concat(lines, ",")
end

function envoy_on_request(handle)
  local headers, kept = handle:headers(), handle:streamInfo():dynamicMetadata()
  kept:set(state, "accept", joined(headers, "accept"))
  kept:set(state, "id", headers:get("x-request-id") or "")
  kept:set(state, "head", headers:get(":method") == "HEAD")
  kept:set(state, "call", isCall(headers:get("content-type")))
end

local function fitting(bodies, status, accept)
  for _, b in ipairs(bodies) do
    for _, range in ipairs(b.status) do
      if range.from <= status and status <= range.to and (b.accept == "" or names(accept, b.accept)) then return b end
    end
  end
end

local function textOf(parts, status, id)
  local out = {}
  for i, part in ipairs(parts) do
    if part.text then out[i] = part.text
    elseif part.variable == "status" then out[i] = status
    elseif part.variable == "title" then out[i] = titles[status] or "Error"
    else out[i] = id end
  end
  return table.concat(out)
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local from = headers:get(origin)
  headers:remove(origin)
  local known = handle:streamInfo():dynamicMetadata():get(state)
  if from ~= "via_upstream" or known == nil or known.call or isCall(headers:get("content-type")) then return end
  local status = headers:get(":status")
  local body = fitting(handle:filterContext():get("bodies"), tonumber(status), known.accept)
  if body == nil then return end

  local text = textOf(body.parts, status, known.id)
  for _, name in ipairs(ofOtherBytes) do headers:remove(name) end
  headers:replace("content-type", body.contentType)
  headers:replace("content-length", tostring(#text))
  if known.head then return end
  local sent = false
  for chunk in handle:bodyChunks() do
    chunk:setBytes(sent and "" or text)
    sent = true
  end
  if not sent then handle:body(true):setBytes(text) end
end
