-- Gives tokens of buckets ahead to an instance, a lease of each bucket, and takes
-- in what has become of those it had. A bucket's level and its leases are never
-- more than its capacity: what is out does not refill.
--
-- KEYS     the keys of the buckets, distinct
-- ARGV[1]  the time in microseconds, or '' for Redis' own (tests alone give one)
-- ARGV[2]  the instance
-- ARGV[3]  the microseconds after which a lease that is not renewed has ended. Its
--          tokens count as spent then
-- ARGV[4…] for each key: capacity, unit, rate and the microseconds that its value is
--          kept at least, as take.lua has them; and
--          number  of the renewal: an instance counts up, and one that comes after a
--                  later one changes nothing
--          held    the tokens that the instance keeps. What it had beside those
--                  and the next is spent
--          back    the tokens that it gives back
--          want    the tokens that it asks for: it gets at most half of what is
--                  there, so that there is something for the others
--
-- Returns  the time, then for each key the tokens that are out with the instance now
--          (-1 where nothing was changed), and those that are left in the bucket

-- MOST_LEASES bounds the value of a bucket.
local MOST_LEASES = 100
local WORDS = 8

local now = time_of(ARGV[1])
local MARGIN = ARGV[1] == '' and 100 or 3600000
local instance, lasts = ARGV[2], tonumber(ARGV[3])

-- The lease of the instance, taken out of the list.
local function take_out(leases)
  for i, lease in ipairs(leases) do
    if lease.id == instance then return table.remove(leases, i) end
  end
end

local reply = {now}
for i, key in ipairs(KEYS) do
  local a = 4 + (i - 1) * WORDS
  local capacity, unit, rate = tonumber(ARGV[a]), tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
  local keep, number, held = tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4]), tonumber(ARGV[a + 5])
  local back, want = tonumber(ARGV[a + 6]), tonumber(ARGV[a + 7])

  local value = redis.pcall('GET', key)
  if fails(value) then return value end
  local level, at, _, leases, out = bucket_at(value, now, capacity, unit, rate)
  leases = leases or {}
  local mine = take_out(leases)
  local amount = mine and mine.amount or 0
  if mine and mine.number >= number then
    amount = -1
  else
    held = min(held, amount)
    back = min(back, amount - held)
    out = out - amount + held
    level = bucket_cut(level + back * unit, capacity, unit, out)
    local given = 0
    if level > 0 and #leases < MOST_LEASES then
      given = min(want, floor_div(floor_div(level, unit), 2))
    end
    level = level - given * unit
    if held + given > 0 then
      table.insert(leases, {id = instance, amount = held + given, ends = at + lasts, number = number})
      table.sort(leases, function(x, y) return x.ends < y.ends end)
    end
    if amount > 0 or given > 0 then
      bucket_write(key, level, unit, at, leases, now, capacity * unit, rate, keep, MARGIN)
    end
    amount = held + given
  end
  reply[#reply + 1] = amount
  reply[#reply + 1] = level > 0 and floor_div(level, unit) or 0
end
return reply
