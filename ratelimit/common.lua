-- What several scripts share: exact integers, and the value of a token bucket.
-- It stands before each of them in one text.
--
-- Every number is an integer of at most 2^53, up to which Lua's numbers count
-- without gaps.

local LARGEST = 9007199254740992
local fmod, max, min = math.fmod, math.max, math.min
local format, byte, sub = string.format, string.byte, string.sub
local struct_pack, struct_unpack = struct.pack, struct.unpack

-- a/b rounded down and up, for a >= 0 and b > 0. fmod is exact; a/b is not.
local function floor_div(a, b)
  if b == 1 then return a end
  return (a - fmod(a, b)) / b
end

local function ceil_div(a, b)
  if b == 1 then return a end
  local rest = fmod(a, b)
  if rest > 0 then return (a - rest) / b + 1 end
  return a / b
end

-- a*b/c rounded down, and what remains, for a < c <= 2^52: bit by bit, since a*b
-- may exceed 2^53.
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
  return quotient, rest
end

-- The time in microseconds: the one given (tests alone give one), or Redis' own.
local function time_of(given)
  if given ~= '' then return tonumber(given) end
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- A reply of redis.pcall that ends the script: an error, but for that of a key
-- with a value of another type. What we did not write counts as nothing.
local function fails(reply)
  return type(reply) == 'table' and reply.err and not string.find(reply.err, 'WRONGTYPE', 1, true)
end

-- The leases in the end of a bucket's value, and the tokens of all: nil where it is
-- not ours. They are in the order in which they end.
local function leases_parse(text)
  local leases, out, size = {}, 0, 0
  for id, amount, ends, number in string.gmatch(text, ';(%w+),(%d+),(%d+),(%d+)') do
    local lease = {id = id, amount = tonumber(amount), ends = tonumber(ends), number = tonumber(number)}
    if lease.amount > LARGEST or lease.ends > LARGEST or lease.number > LARGEST then return nil end
    leases[#leases + 1] = lease
    out = out + lease.amount
    size = size + 4 + #id + #amount + #ends + #number
  end
  if size ~= #text or out > LARGEST then return nil end
  return leases, out
end

-- Three numbers as a value of ours: the version of the format, and each as a
-- little-endian double, in which our integers are exact. To read and write them as
-- text would take longer than all arithmetic.
local VERSION, NUMBERS = '2', '<ddd'
local SIZE, FIRST = #VERSION + 3 * 8, byte(VERSION)

-- Whether a number is one that we count with.
local function countable(n)
  return n >= -LARGEST and n <= LARGEST and n % 1 == 0
end

local function value_of(a, b, c)
  return VERSION .. struct_pack(NUMBERS, a, b, c)
end

-- The numbers that a value begins with, or nil when it is not ours.
local function numbers_of(value)
  if type(value) ~= 'string' or #value < SIZE or #value > 16384 or byte(value) ~= FIRST then return nil end
  local a, b, c = struct_unpack(NUMBERS, value, 2)
  if countable(a) and countable(b) and countable(c) then return a, b, c end
end

-- The numbers of a bucket's value: level, unit and last, or nil when it is not ours.
-- One with leases has ";instance,amount,end,number" of each behind it; see lease.lua.
local function bucket_parse(value)
  local level, unit, last = numbers_of(value)
  if not level or unit < 1 or unit > LARGEST / 2 or last < 0 then return nil end
  if #value == SIZE then return level, unit, last end
  local leases, out = leases_parse(sub(value, SIZE + 1))
  if not leases then return nil end
  return level, unit, last, leases, out
end

-- A level in another unit, rounded down and cut to the capacity and to the debt
-- that can be counted.
local function bucket_converted(level, unit, capacity, to)
  local full = capacity * to
  if unit == to then return max(min(level, full), full - LARGEST) end
  local size = level < 0 and -level or level
  local whole = floor_div(size, unit)
  if level < 0 then
    if whole > floor_div(LARGEST - full, to) then return full - LARGEST end
    local parts, rest = mul_div(fmod(size, unit), to, unit)
    if rest > 0 then parts = parts + 1 end
    return max(-whole * to - parts, full - LARGEST)
  end
  if whole >= capacity then return full end
  return whole * to + (mul_div(fmod(size, unit), to, unit))
end

-- A level with leases beside it, cut so that all is not more than the capacity.
local function bucket_cut(level, capacity, unit, out)
  return min(level, max(capacity - out, 0) * unit)
end

-- The level of a bucket that is full at a level of full, after a time.
local function bucket_rise(level, elapsed, rate, full)
  if level >= full then return level end
  if elapsed >= ceil_div(full - level, rate) then return full end
  return level + elapsed * rate
end

-- The level of a bucket with a value at time now, and the time of that level: a
-- clock that was set back stands still until it has caught up. The third is true
-- where there was a value of ours. The fourth and fifth are its leases that have
-- not ended, nil where it had none, and the tokens of these: a bucket is full where
-- level and leases are its capacity, and an ended lease gives nothing back.
local function bucket_at(value, now, capacity, unit, rate)
  local full = capacity * unit
  local level, was, last, leases, out = bucket_parse(value)
  if not level then return full, now, false, nil, 0 end
  if was ~= unit or level > full or level < full - LARGEST then
    level = bucket_converted(level, was, capacity, unit)
  end
  if not leases then
    if last >= now then return level, last, true, nil, 0 end
    return bucket_rise(level, now - last, rate, full), now, true, nil, 0
  end
  local at = max(last, now)
  level = bucket_cut(level, capacity, unit, out)
  while leases[1] and leases[1].ends <= at do
    local lease = table.remove(leases, 1)
    local ends = max(lease.ends, last)
    level = bucket_rise(level, ends - last, rate, max(capacity - out, 0) * unit)
    last, out = ends, out - lease.amount
  end
  return bucket_rise(level, at - last, rate, max(capacity - out, 0) * unit), at, true, leases, out
end

-- Keeps a bucket until it is full by itself, and margin milliseconds after that.
-- It is not gone before that even by a clock that stands still for a while.
local function bucket_write(key, level, unit, at, leases, now, full, rate, keep, margin)
  local value = value_of(level, unit, at)
  local micros = at - now + max(ceil_div(full - level, rate), keep)
  if leases and leases[1] then
    micros = micros + leases[#leases].ends - at
    for _, lease in ipairs(leases) do
      value = value .. string.format(';%s,%.0f,%.0f,%.0f', lease.id, lease.amount, lease.ends, lease.number)
    end
  end
  -- As text: Redis writes a number with 17 digits, which takes it as long as the rest.
  redis.call('SET', key, value, 'PX', format('%d', ceil_div(micros, 1000) + margin))
end
