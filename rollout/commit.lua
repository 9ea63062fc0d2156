-- Replaces the record of a rollout, unless somebody else has replaced the one that
-- the new one was made of. A record that is older than that, or gone, was lost by
-- Redis: the new one goes before it.
--
-- KEYS: the record.
-- ARGV: the generation that the new record was made of, its own, the record, how long
--       it is kept in ms.
-- Returns 1, or 0 where the record is another.
local generation = tonumber(redis.call('HGET', KEYS[1], 'generation') or '0')
if generation > tonumber(ARGV[1]) then
  return 0
end
redis.call('HSET', KEYS[1], 'generation', ARGV[2], 'record', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
