-- Answers requests to limits, in their order, each seeing what those before it
-- did: the arithmetic of the algorithms' Go files on Redis' clock.
--
-- KEYS     the keys of all items, each once: first those whose values are strings
--          (b, f, q), then all others
-- ARGV[1]  the time in microseconds, or '' for Redis' own (tests alone give one)
-- ARGV[2]  an array of MessagePack (numbers as text would take longer than all
--          arithmetic): the number of keys whose values are strings, the number
--          of definitions, and for each its kind, the number of its words, and
--          these; then for each request its op and three times the number of its
--          items in one, and for each item the numbers of its key and definition, its
--          cost and its extra. The keys of one request are distinct
--
--   op   0  take from all items, or from none
--        1  charge all items, whatever there is
--        2  give back what the items took
--
--   kind b  token bucket: capacity, unit, rate (see Bucket in bucket.go). Extra are the
--           microseconds that its value is kept at least
--        w  sliding window: limit, window, slot. Extra is the time that a refund names
--        l  sliding log: limit, window. Extra is the first id of the request
--        n  requests in flight: max, lease. Extra is the first id of the request
--        f  fixed window: limit, window. Extra is the time that a refund names
--        q  quota: limit, and five borders of the calendar. Extra as of f
--
-- Values are a string (b, f, q), a hash of slots (w), a sorted set of ids (l, n).
-- What is not as we write it, or of another type, counts as nothing, and the next
-- charge takes its place.
--
-- Returns  the time, then for each item 1 or 0 (it had the cost or not), what remains,
--          the microseconds until the same request passes (-1: never), and those
--          until nothing counts any more. Or else, of a bucket without leases,
--          what all that comes of: 3 or 2 (it had the cost or not), its level, and
--          by how much its time is after the time
--
-- A denial writes nothing. An error of Redis in any request is that of the whole.

local call, pcall, KEYS = redis.call, redis.pcall, KEYS
local now = time_of(ARGV[1])
local program = cmsgpack.unpack(ARGV[2])
-- The milliseconds that a value is kept after it says nothing any more. A clock of
-- a test is set back.
local MARGIN = ARGV[1] == '' and 100 or 3600000
local PIECE = 1000 -- what is handed to one command, since a stack has an end

-- Each kind is some functions of the number k of a key and a definition of it. define
-- makes a definition of the words from a place of the program on. read loads what is
-- kept, from the value where that is a string, or returns an error of Redis. holds says
-- whether it has a cost; charge and give change it; tell is what it says.
-- A kind with write is changed in the script alone, for as many requests as there
-- are, where charge and give return true, and written once; the others write in
-- charge and give, and are read for each. What a kind needs is made when it is first
-- asked for, since this text runs anew for each call.
local make = {}

-- bucket.go. Nearly all that this script does is done here, and so it does without
-- tables for each key, and where it can without calls.
function make.b()
  local kind = {}
  -- All by the number of the key. leases and out are of those with leases alone.
  local levels, times, keeps, found, leases, outs = {}, {}, {}, {}, {}, {}

  function kind.define(a)
    local capacity, unit, rate = program[a], program[a + 1], program[a + 2]
    local full = capacity * unit
    return {kind = kind, capacity = capacity, unit = unit, rate = rate, full = full, least = full - LARGEST}
  end

  -- A value as this definition writes it, or another.
  function kind.read(k, of, value)
    keeps[k] = 0
    if value and #value == SIZE and byte(value) == FIRST then
      local level, unit, last = struct_unpack(NUMBERS, value, 2)
      if unit == of.unit and level <= of.full and level >= of.least and level % 1 == 0 and
        last >= 0 and last <= LARGEST and last % 1 == 0 then
        if last < now then
          -- Above 2^53 a product is not exact, but still above all levels.
          local risen = (now - last) * of.rate
          level = risen < of.full - level and level + risen or of.full
          last = now
        end
        levels[k], times[k], found[k], leases[k] = level, last, true, nil
        return
      end
    end
    levels[k], times[k], found[k], leases[k], outs[k] = bucket_at(value, now, of.capacity, of.unit, of.rate)
  end

  function kind.holds(k, of, cost) return cost <= of.capacity and cost * of.unit <= levels[k] end

  function kind.write(k, of)
    local level, at, keep = levels[k], times[k], keeps[k]
    if leases[k] then
      return bucket_write(KEYS[k], level, of.unit, at, leases[k], now, of.full, of.rate, keep, MARGIN)
    end
    -- As bucket_write does, but for a millisecond at most that it is kept longer.
    local fill = (of.full - level) / of.rate
    if keep > fill then fill = keep end
    call('SET', KEYS[k], VERSION .. struct_pack(NUMBERS, level, of.unit, at), 'PX', format('%d', (at - now + fill) / 1000 + 1 + MARGIN))
  end

  function kind.charge(k, of, cost, keep)
    if keep > keeps[k] then keeps[k] = keep end
    local level = levels[k]
    if cost * of.unit > level and cost > floor_div(level - of.least, of.unit) then
      levels[k] = of.least
    else
      levels[k] = level - cost * of.unit
    end
    return true
  end

  function kind.give(k, of, cost, keep)
    if keep > keeps[k] then keeps[k] = keep end
    local level, full = levels[k], of.full
    if leases[k] then full = max(of.capacity - outs[k], 0) * of.unit end
    if cost >= ceil_div(full - level, of.unit) then
      levels[k] = max(level, full)
    else
      levels[k] = level + cost * of.unit
    end
    return found[k]
  end

  -- The time until the level has been reached: by itself, while what is out with
  -- instances is neither spent nor given back.
  local function wait(k, of, level)
    local from, at, out = levels[k], times[k], outs[k]
    if from >= level then return 0 end
    for _, lease in ipairs(leases[k]) do
      local full = max(of.capacity - out, 0) * of.unit
      if full >= level then break end
      from = bucket_rise(from, lease.ends - at, of.rate, full)
      at, out = lease.ends, out - lease.amount
    end
    return at - now + ceil_div(level - from, of.rate)
  end

  function kind.tell(k, of, cost, holds)
    local level = levels[k]
    if not leases[k] then return holds and 3 or 2, level, times[k] - now end
    local retry = 0
    if holds then
    elseif cost > of.capacity then
      retry = -1
    else
      retry = wait(k, of, cost * of.unit)
    end
    return holds and 1 or 0, level > 0 and floor_div(level, of.unit) or 0, retry, wait(k, of, of.full)
  end

  return kind
end

-- A value's whole numbers, or none where one of them is above 2^53.
local function whole(a, b, c, d)
  a, b, c, d = tonumber(a), tonumber(b), tonumber(c or 0), tonumber(d or 0)
  if a and a <= LARGEST and b <= LARGEST and c <= LARGEST and d <= LARGEST then return a, b, c, d end
end

-- slidingwindow.go. Field m of the hash is "1:window:last:total:first": what it was
-- counted for, the time of the last charge, the sum of all slots, and the first of
-- them. The others are slots, by their index.
function make.w()
  local kind = {}

  local function indexes(first, last)
    local all = {}
    for slot = first, last do all[#all + 1] = slot end
    return all
  end

  -- The counts of the slots from first to last, as an array.
  local function counts(it, first, last)
    local all = indexes(first, last)
    if #all == 0 then return all end
    if not it.slots then return call('HMGET', it.key, unpack(all)) end
    for i, slot in ipairs(all) do all[i] = it.slots[slot] or 0 end
    return all
  end

  -- Slots of another window's length as slots of this one's. Those that have left
  -- the window are not among them.
  local function convert(it, was)
    local size = ceil_div(was, 60000) * 1000
    local all = call('HGETALL', it.key)
    it.slots, it.first = {}, it.oldest
    for i = 1, #all, 2 do
      local slot, n = tonumber(all[i]), tonumber(all[i + 1])
      if slot and n then
        slot = min(floor_div((slot + 1) * size - 1, it.slot), it.newest)
        if slot < it.oldest then
          it.total = it.total - n
        else
          it.slots[slot] = (it.slots[slot] or 0) + n
        end
      end
    end
    it.count = it.slots[it.index] or 0
  end

  -- Leaves out the slots that have left the window. A write takes them out.
  local function age(it)
    it.gone = it.first
    for _, n in ipairs(counts(it, it.first, it.oldest - 1)) do it.total = it.total - (tonumber(n) or 0) end
    it.first = it.oldest
  end

  function kind.define(a)
    return {kind = kind, limit = program[a], window = program[a + 1], slot = program[a + 2]}
  end

  local its = {}

  function kind.read(k, of)
    local it = {key = KEYS[k], limit = of.limit, window = of.window, slot = of.slot}
    its[k] = it
    it.at, it.index = now, floor_div(now, it.slot)
    it.total, it.count, it.fresh = 0, 0, true
    local value = pcall('HMGET', it.key, 'm', it.index)
    if fails(value) then return value end
    local was, last, total, first
    if value[1] then was, last, total, first = whole(string.match(value[1], '^1:(%d+):(%d+):(%d+):(%d+)$')) end
    if was and was > 0 then
      it.newest = floor_div(last, it.slot)
      if last > now then it.at, it.index = last, it.newest end
      it.oldest = floor_div(max(it.at - it.window, 0), it.slot)
      -- Else all have left, or another has written.
      if it.newest >= it.oldest and (was ~= it.window or it.newest - first <= 60) then
        it.fresh, it.total, it.first = false, total, first
        if was ~= it.window then
          convert(it, was)
        else
          local count = value[2]
          if last > now then count = call('HGET', it.key, it.index) end
          it.count = tonumber(count) or 0
          if first < it.oldest then age(it) end
        end
        it.total = max(it.total, 0)
      end
    end
  end

  function kind.holds(k, of, cost) return cost <= of.limit - its[k].total end

  -- Writes one slot, and with it what reading has found.
  local function write(it, slot, count)
    if it.fresh or it.slots then
      call('DEL', it.key)
      for i, n in pairs(it.slots or {}) do call('HSET', it.key, i, n) end
    elseif it.gone then
      call('HDEL', it.key, unpack(indexes(it.gone, it.oldest - 1)))
    end
    if it.fresh then it.first = slot end
    call('HSET', it.key, 'm', string.format('1:%.0f:%.0f:%.0f:%.0f', it.window, it.at, it.total, it.first), slot, count)
    if it.fresh or it.slots or it.index ~= it.newest then
      call('PEXPIRE', it.key, ceil_div((it.index + 1) * it.slot + it.window - now, 1000) + MARGIN)
    end
    it.fresh, it.slots, it.gone, it.newest = false, nil, nil, it.index
  end

  function kind.charge(k, _, cost)
    local it = its[k]
    cost = min(cost, LARGEST - it.total)
    it.total, it.count = it.total + cost, it.count + cost
    write(it, it.index, it.count)
  end

  function kind.give(k, _, cost, at)
    local it = its[k]
    if it.fresh or at < it.first * it.slot or at >= (it.newest + 1) * it.slot then return end
    local slot = floor_div(at, it.slot)
    local count = tonumber(counts(it, slot, slot)[1]) or 0
    local n = min(cost, count)
    if n == 0 then return end
    it.total = it.total - n
    write(it, slot, count - n)
  end

  -- The time until so much has left the window.
  local function frees(it, need)
    for i, n in ipairs(counts(it, it.first, it.newest)) do
      need = need - (tonumber(n) or 0)
      if need <= 0 then return (it.first + i) * it.slot + it.window - now end
    end
    return 1 -- not reached, but where somebody else has written
  end

  function kind.tell(k, _, cost, holds)
    local it, retry, reset = its[k], 0, 0
    if it.total > 0 then reset = (it.newest + 1) * it.slot + it.window - now end
    if holds then
    elseif cost > it.limit then
      retry = -1
    else
      retry = frees(it, it.total + cost - it.limit)
    end
    return holds and 1 or 0, max(it.limit - it.total, 0), retry, reset
  end

  return kind
end

-- slidinglog.go. The members of the sorted set are the ids of requests, and their
-- scores the times.
function make.l()
  local kind = {}

  local function newest(it)
    local value = pcall('ZREVRANGE', it.key, 0, 0, 'WITHSCORES')
    if fails(value) then return nil, value end
    local time = tonumber(value[2])
    it.foreign = value.err or time and (time < 0 or time > LARGEST or fmod(time, 1) ~= 0)
    return not it.foreign and time or nil
  end

  function kind.define(a)
    return {kind = kind, limit = program[a], window = program[a + 1]}
  end

  local its = {}

  function kind.read(k, of)
    local it, fault = {key = KEYS[k], limit = of.limit, window = of.window}, nil
    its[k] = it
    it.newest, fault = newest(it)
    if fault then return fault end
    it.at, it.count = now, 0
    if it.newest then
      it.at = max(now, it.newest)
      it.after = string.format('(%.0f', it.at - it.window)
      if it.newest > it.at - it.window then
        it.count = call('ZCOUNT', it.key, it.after, '+inf')
      end
    end
  end

  function kind.holds(k, of, cost) return cost <= of.limit - its[k].count end

  -- Takes out what has left the window.
  local function clean(it)
    if it.foreign or it.newest and it.count == 0 then
      call('DEL', it.key)
    elseif it.newest then
      call('ZREMRANGEBYSCORE', it.key, '-inf', string.format('%.0f', it.at - it.window))
    end
  end

  -- Does command with n ids from the first on, in pieces, and returns the sum of the
  -- answers. Each has the score before it where one is given.
  local function each(command, it, first, n, score)
    local sum = 0
    for from = 0, n - 1, PIECE do
      local words = {}
      for i = from, min(from + PIECE, n) - 1 do
        if score then words[#words + 1] = score end
        words[#words + 1] = first + i
      end
      sum = sum + call(command, it.key, unpack(words))
    end
    return sum
  end

  -- A log is never in debt: that would be as long a list.
  function kind.charge(k, _, cost, id)
    local it = its[k]
    local n = min(cost, it.limit - it.count)
    clean(it)
    if n <= 0 then return end
    each('ZADD', it, id, n, it.at)
    call('PEXPIRE', it.key, ceil_div(it.at - now + it.window, 1000) + MARGIN)
    it.count, it.newest = it.count + n, it.at
    it.after = string.format('(%.0f', it.at - it.window)
  end

  function kind.give(k, _, cost, id)
    local it = its[k]
    if it.count == 0 then return end
    clean(it)
    it.count = it.count - each('ZREM', it, id, min(cost, 100000))
    it.newest = newest(it)
  end

  function kind.tell(k, _, cost, holds)
    local it, retry, reset = its[k], 0, 0
    if it.count > 0 then reset = it.newest + it.window - now end
    if holds then
    elseif cost > it.limit then
      retry = -1
    else -- as many must leave as there are too many
      local leaves = call('ZRANGEBYSCORE', it.key, it.after, '+inf', 'WITHSCORES', 'LIMIT', it.count + cost - it.limit - 1, 1)
      retry = leaves[2] + it.window - now
    end
    return holds and 1 or 0, max(it.limit - it.count, 0), retry, reset
  end

  return kind
end

make.n = make.l

-- fixedwindow.go and quota.go. The value's numbers are the count of the window that
-- the time of the last charge is in, that time, and the end of that window.
local function counter(span)
  local kind = {}
  local counts, times, starts, ends = {}, {}, {}, {} -- by the number of the key

  function kind.define(a, words)
    return {kind = kind, limit = program[a], first = a + 1, last = a + words - 1}
  end

  function kind.read(k, of, value)
    local count, last, till = numbers_of(value)
    if count and (count < 0 or last < 0 or #value > SIZE) then count, last, till = nil, nil, nil end
    local at = max(now, last or 0)
    times[k] = at
    starts[k], ends[k] = span(at, of, till)
    counts[k] = count and last >= starts[k] and count or 0
  end

  function kind.holds(k, of, cost) return cost <= of.limit - counts[k] end

  function kind.write(k)
    call('SET', KEYS[k], value_of(counts[k], times[k], ends[k]), 'PX', format('%d', ceil_div(ends[k] - now, 1000) + MARGIN))
  end

  function kind.charge(k, _, cost)
    counts[k] = min(counts[k] + cost, LARGEST)
    return true
  end

  function kind.give(k, _, cost, at)
    local n = min(cost, counts[k])
    if n == 0 or at < starts[k] or at >= ends[k] then return false end
    counts[k] = counts[k] - n
    return true
  end

  function kind.tell(k, of, cost, holds)
    local left = ends[k] - now
    local retry = 0
    if holds then
    elseif cost > of.limit then
      retry = -1
    else
      retry = left
    end
    return holds and 1 or 0, max(of.limit - counts[k], 0), retry, left
  end

  return kind
end

function make.f()
  return counter(function(at, of)
    local window = program[of.first]
    local start = at - fmod(at, window)
    return start, start + window
  end)
end

-- Above the last border is the time of a charge when the clock has been set back
-- since, by more than two units: the window then ends where it was said to end.
-- Or else the clock that the borders are of is behind this one by as much.
function make.q()
  return counter(function(at, of, ends)
    local start, before = 0, 0
    for i = of.first, of.last do
      local border = program[i]
      if at < border then return start, border end
      start, before = border, start
    end
    if ends and at < ends then return start, ends end
    return start, at + start - before
  end)
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

-- All values that are strings, by one command. One of another type is none.
local values = {}
for from = 1, program[1], PIECE do
  local till = min(from + PIECE - 1, program[1])
  local some = pcall('MGET', unpack(KEYS, from, till))
  if some.err then return some end
  if till == program[1] and from == 1 then
    values = some
  else
    for i = from, till do values[i] = some[i - from + 1] end
  end
end

local definitions, at = {}, 3
for i = 1, program[2] do
  local words = program[at + 1]
  definitions[i] = kind_of(program[at]).define(at + 2, words)
  at = at + 2 + words
end

-- By the number of a key: the definition by which it has been read, and whether it
-- has been changed since.
local read, changed = {}, {}

-- Reads a key by a definition, or returns an error of Redis.
local function load(k, of)
  if changed[k] then -- one definition after another: what the first has left is the second's
    read[k].kind.write(k, read[k])
    changed[k] = nil
    values[k] = call('GET', KEYS[k])
  end
  read[k] = of
  return of.kind.read(k, of, values[k])
end

local reply, said = {now}, 1
local has, last = {}, #program
while at <= last do
  local op, charged, first = program[at] % 3, true, at + 1
  at = first + 4 * (program[at] - op) / 3
  for a = first, at - 4, 4 do
    local k, of = program[a], definitions[program[a + 1]]
    if read[k] ~= of or not of.kind.write then
      local fault = load(k, of)
      if fault then return fault end
    end
    local holds = of.kind.holds(k, of, program[a + 2])
    has[a] = holds
    charged = charged and holds
  end
  for a = first, at - 4, 4 do
    local k, of, cost, holds = program[a], read[program[a]], program[a + 2], has[a]
    local kind, change = of.kind, false
    if op == 2 then holds = true end
    if cost == 0 then -- a look changes nothing
    elseif op == 2 then
      change = kind.give(k, of, cost, program[a + 3])
    elseif charged or op == 1 then
      change = kind.charge(k, of, cost, program[a + 3])
    end
    if change then changed[k] = true end
    local had, b, c, d = kind.tell(k, of, cost, holds)
    reply[said + 1], reply[said + 2], reply[said + 3], reply[said + 4] = had, b, c, d
    said = said + (d and 4 or 3)
  end
end
for k in pairs(changed) do read[k].kind.write(k, read[k]) end
return reply
