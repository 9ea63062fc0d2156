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
--        w  sliding window: limit, window, slot, and the time that a refund names
--        l  sliding log: limit, window, and the first id of the request
--        n  requests in flight: max, lease, and the first id of the request
--        f  fixed window: limit, window, -, and the time that a refund names
--        q  quota: limit, five borders of the calendar, -, and that time
--
-- Values are a string (b, f, q), a hash of slots (w), a sorted set of ids (l, n).
-- What is not as we write it, or of another type, counts as nothing, and the next
-- charge takes its place.
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
    it.holds = it.cost <= it.capacity and it.cost * it.unit <= it.level
  end

  local function write(it)
    bucket_write(it.key, it.level, it.unit, it.at, it.leases, now, it.full, it.rate, it.keep, MARGIN)
  end

  function kind.charge(it)
    local least = it.full - LARGEST
    if not it.holds and it.cost > floor_div(it.level - least, it.unit) then
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
      local full = max(it.capacity - out, 0) * it.unit
      if full >= level then break end
      from = bucket_rise(from, lease.ends - at, it.rate, full)
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

  function kind.read(it, a)
    it.limit, it.window, it.slot = tonumber(ARGV[a]), tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
    it.charged = a + 3
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
    it.holds = it.cost <= it.limit - it.total
  end

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

  function kind.charge(it)
    local cost = min(it.cost, LARGEST - it.total)
    it.total, it.count = it.total + cost, it.count + cost
    write(it, it.index, it.count)
  end

  function kind.give(it)
    local at = tonumber(ARGV[it.charged])
    if it.fresh or at < it.first * it.slot or at >= (it.newest + 1) * it.slot then return end
    local slot = floor_div(at, it.slot)
    local count = tonumber(counts(it, slot, slot)[1]) or 0
    local n = min(it.cost, count)
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

  function kind.tell(it)
    local retry, reset = 0, 0
    if it.total > 0 then reset = (it.newest + 1) * it.slot + it.window - now end
    if it.holds then
    elseif it.cost > it.limit then
      retry = -1
    else
      retry = frees(it, it.total + it.cost - it.limit)
    end
    return max(it.limit - it.total, 0), retry, reset
  end

  return kind
end

-- slidinglog.go. The members of the sorted set are the ids of requests, and their
-- scores the times.
function make.l()
  local kind = {}
  local PIECE = 1000 -- what is handed to one command, since a stack has an end

  local function newest(it)
    local value = pcall('ZREVRANGE', it.key, 0, 0, 'WITHSCORES')
    if fails(value) then return nil, value end
    local time = tonumber(value[2])
    it.foreign = value.err or time and (time < 0 or time > LARGEST or fmod(time, 1) ~= 0)
    return not it.foreign and time or nil
  end

  function kind.read(it, a)
    it.limit, it.window, it.id = tonumber(ARGV[a]), tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
    local fault
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
    it.holds = it.cost <= it.limit - it.count
  end

  -- Takes out what has left the window.
  local function clean(it)
    if it.foreign or it.newest and it.count == 0 then
      call('DEL', it.key)
    elseif it.newest then
      call('ZREMRANGEBYSCORE', it.key, '-inf', string.format('%.0f', it.at - it.window))
    end
  end

  -- Does command with the ids from it.id on, in pieces, and returns the sum of the
  -- answers. Each has the score before it where one is given.
  local function each(command, it, n, score)
    local sum = 0
    for from = 0, n - 1, PIECE do
      local words = {}
      for i = from, min(from + PIECE, n) - 1 do
        if score then words[#words + 1] = score end
        words[#words + 1] = it.id + i
      end
      sum = sum + call(command, it.key, unpack(words))
    end
    return sum
  end

  -- A log is never in debt: that would be as long a list.
  function kind.charge(it)
    local n = min(it.cost, it.limit - it.count)
    if n <= 0 then return end
    clean(it)
    each('ZADD', it, n, it.at)
    call('PEXPIRE', it.key, ceil_div(it.at - now + it.window, 1000) + MARGIN)
    it.count, it.newest = it.count + n, it.at
    it.after = string.format('(%.0f', it.at - it.window)
  end

  function kind.give(it)
    if it.count == 0 then return end
    clean(it)
    it.count = it.count - each('ZREM', it, min(it.cost, 100000))
    it.newest = newest(it)
  end

  function kind.tell(it)
    local retry, reset = 0, 0
    if it.count > 0 then reset = it.newest + it.window - now end
    if it.holds then
    elseif it.cost > it.limit then
      retry = -1
    else -- as many must leave as there are too many
      local leaves = call('ZRANGEBYSCORE', it.key, it.after, '+inf', 'WITHSCORES', 'LIMIT', it.count + it.cost - it.limit - 1, 1)
      retry = leaves[2] + it.window - now
    end
    return max(it.limit - it.count, 0), retry, reset
  end

  return kind
end

make.n = make.l

-- fixedwindow.go and quota.go. The value is "1:count:last:end": the count of the
-- window that the time of the last charge is in, and the end of that window.
local function counter(span)
  local kind = {}

  function kind.read(it, a)
    local value = pcall('GET', it.key)
    if fails(value) then return value end
    it.limit, it.charged = tonumber(ARGV[a]), a + 3
    local count, last, ends
    if type(value) == 'string' and #value <= 64 then
      count, last, ends = whole(string.match(value, '^1:(%d+):(%d+):(%d+)$'))
    end
    it.at = max(now, last or 0)
    it.start, it.ends = span(it.at, ARGV[a + 1], ends)
    it.count = count and last >= it.start and count or 0
    it.holds = it.cost <= it.limit - it.count
  end

  local function write(it)
    call('SET', it.key, string.format('1:%.0f:%.0f:%.0f', it.count, it.at, it.ends),
      'PX', ceil_div(it.ends - now, 1000) + MARGIN)
  end

  function kind.charge(it)
    it.count = min(it.count + it.cost, LARGEST)
    write(it)
  end

  function kind.give(it)
    local at, n = tonumber(ARGV[it.charged]), min(it.cost, it.count)
    if n > 0 and it.start <= at and at < it.ends then
      it.count = it.count - n
      write(it)
    end
  end

  function kind.tell(it)
    local retry = 0
    if it.holds then
    elseif it.cost > it.limit then
      retry = -1
    else
      retry = it.ends - now
    end
    return max(it.limit - it.count, 0), retry, it.ends - now
  end

  return kind
end

function make.f()
  return counter(function(at, window)
    window = tonumber(window)
    local start = at - fmod(at, window)
    return start, start + window
  end)
end

-- Above the last border is the time of a charge when the clock has been set back
-- since, by more than two units: the window then ends where it was said to end.
-- Or else the clock that the borders are of is behind this one by as much.
function make.q()
  return counter(function(at, borders, ends)
    local start, before = 0, 0
    for border in string.gmatch(borders, '%-?%d+') do
      border = tonumber(border)
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
    -- With room for what a kind puts in: a table that grows costs more than the rest.
    local it = {
      key = KEYS[before + i], kind = kind, cost = tonumber(ARGV[word + 1]), holds = false,
      at = 0, level = 0, full = 0, capacity = 0, unit = 0, rate = 0, keep = 0, found = false, out = 0,
    }
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
