-- What a route makes of headers, query and host by what it knows of the request.
-- See edits.go, which says what to do in the filter's context; no part of a request
-- is ever read as such an instruction.

local state = "gatewright.edits"

-- percent encodes for a query. What stands in a URL already is encoded (raw), and
-- keeps its escapes; of anything else a percent sign is one.
local function percent(text, raw)
  local keep = raw and "[^%w%-%._~%%]" or "[^%w%-%._~]"
  return (string.gsub(text, keep, function(c) return string.format("%%%02X", string.byte(c)) end))
end

local function decoded(text)
  text = string.gsub(text, "+", " ")
  return (string.gsub(text, "%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- parameters calls back for each parameter of a query: its text, its decoded name,
-- and its value as it stands there.
local function parameters(query, each)
  for pair in string.gmatch(query, "[^&]+") do
    local name, value = string.match(pair, "^([^=]*)=?(.*)$")
    each(pair, decoded(name), value)
  end
end

local function segment(path, n)
  local i = 0
  for s in string.gmatch(path, "/([^/]*)") do
    i = i + 1
    if i == n then return s end
  end
end

-- request is what values are made of: all of it as the client asked, once the judge
-- has taken credentials away.
local function request(handle)
  local headers = handle:headers()
  local path, query = string.match(headers:get(":path"), "^([^?]*)%??(.*)$")
  return {handle = handle, headers = headers, path = path, query = query,
    told = (handle:streamInfo():dynamicMetadata():get("envoy.filters.http.ext_authz") or {}).told or {}}
end

local ways = {
  text = function(_, text) return text end,
  header = function(rq, name) return rq.headers:get(name) end,
  told = function(rq, name) return rq.told[name], true end,
  segment = function(rq, n) return segment(rq.path, n), true end,
  path = function(rq) return rq.path, true end,
  query = function(rq, name)
    local found
    parameters(rq.query, function(_, key, value)
      if not found and key == name then found = string.gsub(value, "+", "%%20") end
    end)
    return found, true
  end,
  tls = function(rq, what)
    if what == "sni" then return rq.handle:streamInfo():requestedServerName() end
    local tls = rq.handle:streamInfo():downstreamSslConnection()
    return tls and tls:subjectPeerCertificate()
  end,
}

-- value is a template's text, or nil where the request lacks a part of it. inQuery
-- encodes it.
local function value(rq, parts, inQuery)
  local out = {}
  for i, part in ipairs(parts) do
    local text, raw = ways[part.way](rq, part.what)
    -- No control character gets into a header; Envoy takes none of a client's, but in SNI.
    if text == nil or (text == "" and part.way ~= "text") or string.find(text, "%c") then return nil end
    out[i] = inQuery and percent(text, raw) or text
  end
  return table.concat(out)
end

-- rename moves all lines of a header. Those that have the other name already are
-- none of the header's.
local function rename(headers, changes)
  for _, r in ipairs(changes or {}) do
    local lines = {}
    for i = 0, headers:getNumValues(r.from) - 1 do lines[i + 1] = headers:getAtIndex(r.from, i) end
    headers:remove(r.from)
    headers:remove(r.to)
    for _, line in ipairs(lines) do headers:add(r.to, line) end
  end
end

local function put(headers, name, text, add)
  if not add then headers:remove(name) end
  if text then headers:add(name, text) end
end

local function newQuery(rq, changes)
  local gone, renamed, kept = {}, {}, {}
  for _, name in ipairs(changes.remove or {}) do gone[name] = true end
  for _, r in ipairs(changes.rename or {}) do
    renamed[r.from] = percent(r.to)
    gone[r.to] = true
  end
  parameters(rq.query, function(pair, name, text)
    if renamed[name] then
      kept[#kept + 1] = renamed[name] .. "=" .. text
    elseif not gone[name] then
      kept[#kept + 1] = pair
    end
  end)
  for _, p in ipairs(changes.put or {}) do
    local text = value(rq, p.parts, true)
    if text then kept[#kept + 1] = percent(p.name) .. "=" .. text end
  end
  return table.concat(kept, "&")
end

local function refuseHost(handle)
  handle:respond({[":status"] = "400", ["content-type"] = "application/problem+json"},
    '{"type":"urn:gatewright:problem:host-refused","title":"Bad Request","status":400,"reason":"host-refused",' ..
    '"detail":"the request does not name the host that this route sends it to"}')
end

function envoy_on_request(handle)
  local todo = handle:filterContext()
  if todo:get("late") then -- the first attempt has made of the request what is to be made of it
    local known = handle:streamInfo():dynamicMetadata()
    if (known:get(state) or {}).made then return end
    known:set(state, "made", true)
  end
  local rq = request(handle)
  local host, query, puts = todo:get("host"), todo:get("query"), {}
  for i, h in ipairs(todo:get("put") or {}) do puts[i] = value(rq, h.parts) or false end
  for i, h in ipairs(todo:get("putInAnswer") or {}) do
    handle:streamInfo():dynamicMetadata():set(state, tostring(i), value(rq, h.parts) or false)
  end
  if host then
    host = value(rq, host)
    if not host or not string.find(host, "^%w[%w%.%-]*$") and not string.find(host, "^%w[%w%.%-]*:%d+$") then
      return refuseHost(handle)
    end
  end
  local text = query and newQuery(rq, query)
  rename(rq.headers, todo:get("rename"))
  for i, h in ipairs(todo:get("put") or {}) do put(rq.headers, h.name, puts[i], h.add) end
  if text then rq.headers:replace(":path", rq.path .. (text == "" and "" or "?" .. text)) end
  if host then rq.headers:replace(":authority", host) end
end

function envoy_on_response(handle)
  local todo, headers = handle:filterContext(), handle:headers()
  local known = handle:streamInfo():dynamicMetadata():get(state) or {}
  rename(headers, todo:get("renameInAnswer"))
  for i, h in ipairs(todo:get("putInAnswer") or {}) do put(headers, h.name, known[tostring(i)], h.add) end
end
