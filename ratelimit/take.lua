-- Answers requests to limits, in their order, each seeing what those before it
-- did: the arithmetic of the algorithms' Go files on Redis' clock.
--
-- KEYS     the keys of all items of all requests, in order; distinct in a request
-- ARGV[1]  the time in microseconds, or '' for Redis' own (tests alone give one)
-- ARGV[2…] for each request: its op and the number of its items, and for each item
--          six words: kind, cost and p1 to p4
--
--   op   t  take from all items, or from none
--        f  charge all items, whatever there is
--        r  give back what the items took
--
--   kind b  token bucket: capacity, unit, rate (see Bucket in bucket.go), and the
--           microseconds that its value is kept at least
--
-- Returns  the time, then for each request 1 or 0 (charged or not), and for each
--          of its items: 1 or 0 (it had the cost or not), what remains, the
--          microseconds until the same request passes (-1: never), and those
--          until nothing counts any more
--
-- A denial writes nothing. An error of Redis in any request is that of the whole.

local call, pcall, KEYS, ARGV = redis.call, redis.pcall, KEYS, ARGV
local now = time_of(ARGV[1])
-- The milliseconds that a value is kept after it says nothing any more. A clock of
-- a test is set back.
local MARGIN = ARGV[1] == '' and 100 or 3600000

-- Each kind is four functions. read loads an item and says whether it has the
-- cost, as it.holds, or returns an error of Redis; charge and give change it and
-- write; tell is what it says: remaining, retry, reset. What a kind needs is made
-- when it is first asked for, since this text runs anew for each call.
local make = {}

function make.b()
  local kind = {}

  function kind.read(it, a)
    local value = pcall('GET', it.key)
    if fails(value) then return value end
    it.capacity, it.unit, it.rate = tonumber(ARGV[a]), tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
    it.keep = tonumber(ARGV[a + 3])
    it.full = it.capacity * it.unit
    it.level, it.at, it.found, it.leases, it.out = bucket_at(value, now, it.capacity, it.unit, it.rate)
    it.holds = it.cost == 0 or it.cost <= it.capacity and it.cost * it.unit <= it.level
  end

  local function write(it)
    bucket_write(it.key, it.level, it.unit, it.at, it.leases, now, it.full, it.rate, it.keep, MARGIN)
  end

  function kind.charge(it)
    local least = it.full - LARGEST
    if it.cost > floor_div(it.level - least, it.unit) then
      it.level = least
    else
      it.level = it.level - it.cost * it.unit
    end
    write(it)
  end

  function kind.give(it)
    local full = max(it.capacity - it.out, 0) * it.unit
    if it.cost >= ceil_div(full - it.level, it.unit) then
      it.level = max(it.level, full)
    else
      it.level = it.level + it.cost * it.unit
    end
    if it.found then write(it) end
  end

  -- The time until the level has been reached: by itself, while what is out with
  -- instances is neither spent nor given back.
  local function wait(it, level)
    if it.level >= level then return 0 end
    local from, at, out = it.level, it.at, it.out
    for _, lease in ipairs(it.leases or {}) do
      local full = (it.capacity - out) * it.unit
      if full >= level then break end
      from = bucket_rise(from, lease.ends - at, it.rate, max(full, 0))
      at, out = lease.ends, out - lease.amount
    end
    return at - now + ceil_div(level - from, it.rate)
  end

  function kind.tell(it)
    local retry = 0
    if it.holds then
    elseif it.cost > it.capacity then
      retry = -1
    else
      retry = wait(it, it.cost * it.unit)
    end
    return it.level > 0 and floor_div(it.level, it.unit) or 0, retry, wait(it, it.full)
  end

  return kind
end

local kinds = {}
local function kind_of(letter)
  local kind = kinds[letter]
  if not kind then
    kind = make[letter]()
    kinds[letter] = kind
  end
  return kind
end

local reply, said = {now}, 1
local function say(word)
  said = said + 1
  reply[said] = word
end

local items, word, before = {}, 2, 0
while ARGV[word] do
  local op, n, holds = ARGV[word], tonumber(ARGV[word + 1]), 1
  word = word + 2
  for i = 1, n do
    local kind = kind_of(ARGV[word])
    local it = {key = KEYS[before + i], kind = kind, cost = tonumber(ARGV[word + 1])}
    local fault = kind.read(it, word + 2)
    if fault then return fault end
    if not it.holds then holds = 0 end
    items[i] = it
    word = word + 6
  end
  before = before + n
  local charged = op == 't' and holds or 1
  say(charged)
  for i = 1, n do
    local it = items[i]
    if op == 'r' then it.holds = true end
    if it.cost == 0 then -- a look changes nothing
    elseif op == 'r' then
      it.kind.give(it)
    elseif charged == 1 then
      it.kind.charge(it)
    end
    local remaining, retry, reset = it.kind.tell(it)
    say(it.holds and 1 or 0)
    say(remaining)
    say(retry)
    say(reset)
  end
end
return reply
