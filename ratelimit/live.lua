-- Announces an instance with how many Envoys it has, and counts those that live.
--
-- KEYS[1]  a sorted set: the instances by the milliseconds of their last word
-- KEYS[2]  a hash: how many Envoys each of them has
-- ARGV[1]  the instance; ARGV[2] the milliseconds that a word is good for, or 0:
--          the instance goes, and the answer says nothing; ARGV[3] its Envoys
--
-- Returns how many instances there are, and how many Envoys the others have. What
-- stands there and is not ours is overwritten.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- put writes what it is called with; in the place of something else, if need be.
local function put(...)
  local added = redis.pcall(...)
  if type(added) ~= 'table' then return end
  if not string.find(added.err, 'WRONGTYPE', 1, true) then return added end
  redis.call('DEL', ({...})[2])
  redis.call(...)
end

if ARGV[2] == '0' then
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('HDEL', KEYS[2], ARGV[1])
  return {0, 0}
end
local failed = put('ZADD', KEYS[1], now, ARGV[1]) or put('HSET', KEYS[2], ARGV[1], ARGV[3])
if failed then return failed end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
local others, all = 0, redis.call('HGETALL', KEYS[2])
for i = 1, #all, 2 do
  if not redis.call('ZSCORE', KEYS[1], all[i]) then
    redis.call('HDEL', KEYS[2], all[i])
  elseif all[i] ~= ARGV[1] then
    others = others + (tonumber(all[i + 1]) or 0)
  end
end
return {redis.call('ZCARD', KEYS[1]), others}
