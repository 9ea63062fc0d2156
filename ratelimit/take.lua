-- Takes tokens from one or more buckets: all are charged, or none is. It is the
-- arithmetic of bucket.go on Redis' clock; every number is an integer of at
-- most 2^53, up to which Lua's numbers count without gaps.
--
-- KEYS     one distinct key for each bucket
-- ARGV[1]  the time in microseconds, or '' for Redis' own (tests alone give one)
-- ARGV[2]  milliseconds that a bucket is kept after it is full
-- ARGV[3…] for each key: capacity, unit, rate, cost (see Bucket in bucket.go), and
--          the microseconds that it is kept at least
--
-- Returns  1 or 0 (charged or not), the time, then for each key its level and
--          the time of that level: after the charge if charged, before it if not.
--
-- A value is "1:level:unit:last". Anything else, of whatever type, is not ours:
-- the bucket counts as full, and the next charge overwrites the value.

local LARGEST = 9007199254740992

-- a/b rounded down and up, for a >= 0 and b > 0. fmod is exact; a/b is not.
local function floor_div(a, b)
  return (a - math.fmod(a, b)) / b
end

local function ceil_div(a, b)
  local q = floor_div(a, b)
  if math.fmod(a, b) > 0 then q = q + 1 end
  return q
end

-- floor(a*b/c) for a < c <= 2^52, bit by bit, since a*b may exceed 2^53.
local function mul_div(a, b, c)
  local quotient, rest, bit = 0, 0, LARGEST
  while bit >= 1 do
    quotient, rest = quotient * 2, rest * 2
    if rest >= c then quotient, rest = quotient + 1, rest - c end
    if b >= bit then
      b, rest = b - bit, rest + a
      if rest >= c then quotient, rest = quotient + 1, rest - c end
    end
    bit = bit / 2
  end
  return quotient
end

-- The three numbers of a value, or nil when it is not ours.
local function parse(value)
  if type(value) ~= 'string' or #value > 64 then return nil end
  local level, unit, last = string.match(value, '^1:(%d+):(%d+):(%d+)$')
  level, unit, last = tonumber(level), tonumber(unit), tonumber(last)
  if not level or level > LARGEST or last > LARGEST then return nil end
  if unit < 1 or unit > LARGEST / 2 then return nil end
  return level, unit, last
end

-- A level in another unit, rounded down and cut to the capacity.
local function converted(level, unit, b)
  if unit == b.unit then return math.min(level, b.full) end
  local whole = floor_div(level, unit)
  if whole >= b.capacity then return b.full end
  return whole * b.unit + mul_div(math.fmod(level, unit), b.unit, unit)
end

-- Brings the bucket with a value to time now.
local function refill(b, value, now)
  local level, unit, last = parse(value)
  if not level then
    b.level, b.at = b.full, now
    return
  end
  level, b.at = converted(level, unit, b), math.max(now, last)
  local elapsed = b.at - last
  if elapsed >= ceil_div(b.full - level, b.rate) then
    b.level = b.full
  else
    b.level = level + elapsed * b.rate
  end
end

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

local buckets, allowed = {}, 1
for i, key in ipairs(KEYS) do
  local value = redis.pcall('GET', key)
  if type(value) == 'table' and not string.find(value.err, 'WRONGTYPE', 1, true) then
    return value
  end
  local a = 3 + (i - 1) * 5
  local b = {
    capacity = tonumber(ARGV[a]), unit = tonumber(ARGV[a + 1]),
    rate = tonumber(ARGV[a + 2]), cost = tonumber(ARGV[a + 3]),
    keep = tonumber(ARGV[a + 4]),
  }
  b.full = b.capacity * b.unit
  refill(b, value, now)
  if b.cost > b.capacity or b.cost * b.unit > b.level then allowed = 0 end
  buckets[i] = b
end

local reply = {allowed, now}
for i, b in ipairs(buckets) do
  if allowed == 1 and b.cost > 0 then
    b.level = b.level - b.cost * b.unit
    -- Not gone before it is full, even by a clock that stands still for a while.
    local micros = b.at - now + math.max(ceil_div(b.full - b.level, b.rate), b.keep)
    redis.call('SET', KEYS[i],
      string.format('1:%.0f:%.0f:%.0f', b.level, b.unit, b.at),
      'PX', string.format('%.0f', ceil_div(micros, 1000) + ARGV[2]))
  end
  reply[#reply + 1] = b.level
  reply[#reply + 1] = b.at
end
return reply
