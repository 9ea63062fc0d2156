-- A request whose host is written in capitals, or that no route names, has
-- found no table. See scope.go.
function envoy_on_request(handle)
  if handle:streamInfo():routeName() ~= "" then return end
  local headers = handle:headers()
  local scope = headers:get("x-gatewright-scope")
  local lower = string.lower(scope)
  if lower ~= scope then
    headers:replace("x-gatewright-scope", lower)
    handle:clearRouteCache()
    handle:metadata() -- looks for the route again
    if handle:streamInfo():routeName() ~= "" then return end
  end
  headers:replace("x-gatewright-scope", string.match(scope, "^[^/]*/") .. "*")
  handle:clearRouteCache()
end
