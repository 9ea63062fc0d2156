-- An answer to a call of gRPC-Web that is none of gRPC: of the gateway's own, or of a
-- backend that speaks something else. Envoy's filter has put its body into grpc-message,
-- and what its status means into grpc-status, but has left the status, by which clients
-- take it for no answer of theirs and guess. See grpcweb.go.
function envoy_on_response(handle)
  local headers = handle:headers()
  local status = headers:get(":status")
  if status == "200" or string.sub(headers:get("content-type") or "", 1, 20) ~= "application/grpc-web" then return end
  if headers:get("grpc-status") == nil then headers:replace("grpc-status", "2") end -- UNKNOWN: an answer without a body
  if status == "429" then headers:replace("grpc-status", "8") end -- RESOURCE_EXHAUSTED: it would be UNAVAILABLE
  headers:replace(":status", "200")
end
