-- Adds what one instance has seen to what all have, takes or keeps the lease of the
-- one that decides, and tells where the rollout is. All by Redis' clock.
--
-- KEYS: the record, what was seen, the lease. They have one hash tag.
-- ARGV: the instance; how long its lease lasts, and how long what is kept does, in ms;
--       the generation of the record that it knows; 1 if it can decide, and 1 if it
--       wants the counts of all in any case; then names of counts and what to add to
--       each.
-- Returns the time in µs, whether the instance decides, the generation (0: there is
-- no record), the record where it is another than the known one, and for the one
-- that decides the counts of all, as names and values.
local id, lease, keep, known = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local able, curious = ARGV[5] == '1', ARGV[6] == '1'
local now = redis.call('TIME')
for i = 7, #ARGV, 2 do
  redis.call('HINCRBY', KEYS[2], ARGV[i], ARGV[i + 1])
end
local leader = redis.call('GET', KEYS[3])
if able and (not leader or leader == id) then
  redis.call('SET', KEYS[3], id, 'PX', lease)
  leader = id
end
local decides = able and leader == id
redis.call('PEXPIRE', KEYS[1], keep)
redis.call('PEXPIRE', KEYS[2], keep)
local generation = redis.call('HGET', KEYS[1], 'generation') or '0'
local record = ''
if generation ~= known then
  record = redis.call('HGET', KEYS[1], 'record') or ''
end
local seen = {}
if decides or curious then
  seen = redis.call('HGETALL', KEYS[2])
end
local us = now[1] .. string.format('%06d', now[2])
return {us, decides and 1 or 0, generation, record, seen}
