-- Announces an instance, and counts those that live.
--
-- KEYS[1]  a sorted set: the instances by the milliseconds of their last word
-- ARGV[1]  the instance; ARGV[2] the milliseconds that a word is good for, or 0:
--          the instance goes, and the answer says nothing
--
-- Returns how many there are. What stands there and is not ours is overwritten.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[2] == '0' then return redis.call('ZREM', KEYS[1], ARGV[1]) end
local added = redis.pcall('ZADD', KEYS[1], now, ARGV[1])
if type(added) == 'table' then
  if not string.find(added.err, 'WRONGTYPE', 1, true) then return added end
  redis.call('DEL', KEYS[1])
  redis.call('ZADD', KEYS[1], now, ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
