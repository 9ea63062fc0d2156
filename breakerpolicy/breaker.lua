-- The machine of machine.go for breakers that instances share, on Redis' clock.
-- Functions have the names and the order that they have there; report.go says what
-- a report, an offer and a reply are.
--
-- KEYS     the breakers
-- ARGV[1]  the time in milliseconds, or '' for Redis' own (tests alone give one)
-- ARGV[2]  the instance that reports
-- ARGV[3…] for each key its report, as JSON
--
-- Returns for each key the reply, as JSON. All numbers are integers below 2^53, and
-- those in JSON have at most 14 digits, which cjson writes without loss.
--
-- The value of a key is the machine as MessagePack, which takes a third of the time
-- of JSON. Its slots are one list of numbers: when each begins, its total, its
-- failures, and so on with the next.

local HOLD_FOR, WANT_FOR, SILENCE, TAKEOVER_FOR = 1000, 1000, 3000, 15000
local MILLION = 1000000
-- KEEP is for how long a breaker is kept that nobody reports on, beside its window
-- and the time that it is open; KEEP_FORCED where an operator has set it.
local KEEP, KEEP_FORCED = 600000, 604800000

local by = ARGV[2]
local floor, max, min, fmod = math.floor, math.max, math.min, math.fmod

local function clock()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local time = redis.call('TIME')
  return time[1] * 1000 + floor(time[2] / 1000)
end

-- numbers tells whether all fields of t are numbers.
local function numbers(t, ...)
  if type(t) ~= 'table' then return false end
  for _, field in ipairs({...}) do
    if type(t[field]) ~= 'number' then return false end
  end
  return true
end

-- ours tells whether a value is one that this script has written.
local function ours(m)
  if not numbers(m, 'gen', 'since', 'until', 'trips', 'streak', 'heard', 'silent', 'resumed') then return false end
  if m.state ~= 'closed' and m.state ~= 'open' and m.state ~= 'half-open' then return false end
  if not numbers(m.tripped, 'n', 'f') then return false end
  if m.slots and (type(m.slots) ~= 'table' or #m.slots % 3 ~= 0) then return false end
  for _, n in ipairs(m.slots or {}) do
    if type(n) ~= 'number' then return false end
  end
  if m.wanted and not numbers(m, 'asked') then return false end
  return not m.probe or numbers(m.probe, 'ends') and type(m.probe.id) == 'string' and type(m.probe.by) == 'string'
end

-- read is the machine under a key: a new one where there is none, or what is there
-- is not ours. The second is an error, for the caller to return.
local function read(key)
  local value = redis.pcall('GET', key)
  if type(value) == 'table' then
    if not string.find(value.err, 'WRONGTYPE', 1, true) then return nil, value end
    redis.call('DEL', key)
  end
  if type(value) == 'string' then
    local decoded, m, more = pcall(cmsgpack.unpack, value)
    if decoded and more == nil and ours(m) then return m end
  end
  return {gen = 0, state = 'closed', since = 0, ['until'] = 0, trips = 0, streak = 0, tripped = {n = 0, f = 0}, heard = 0, silent = 0, resumed = 0}
end

local function sum(slots)
  local n, f = 0, 0
  slots = slots or {}
  for i = 1, #slots, 3 do n, f = n + slots[i + 1], f + slots[i + 2] end
  return {n = n, f = f}
end

-- since is slots without those that end at a time or before.
local function since(slots, at, length)
  local i = 1
  while slots[i] and slots[i] + length <= at do i = i + 3 end
  if i == 1 then return slots end
  return {unpack(slots, i)}
end

-- add counts what has ended at a time, in a slot of a length.
local function add(slots, at, length, n, f)
  if n <= 0 then return end
  at = at - fmod(at, length)
  local i = #slots - 2
  while i > 0 and slots[i] > at do i = i - 3 end
  if i > 0 and slots[i] == at then
    slots[i + 1], slots[i + 2] = slots[i + 1] + n, slots[i + 2] + f
  else
    for j, number in ipairs({at, n, f}) do table.insert(slots, i + 2 + j, number) end
  end
end

local function open_for(rules, trips, random)
  local t = rules.open
  if rules.growth > 1000 then
    local i = 1
    while i < trips and t < rules.longest do
      t = floor(t * rules.growth / 1000)
      i = i + 1
    end
  end
  t = min(t, rules.longest)
  return t + floor(floor(t * rules.jitter / 1000) * random / MILLION)
end

local function too_many(rules, counts)
  return counts.n >= rules.least and counts.f * MILLION > counts.n * rules.rate
end

local function move(m, back)
  for _, field in ipairs({'since', 'until', 'heard', 'silent', 'resumed'}) do m[field] = m[field] - back end
  if m.asked then m.asked = m.asked - back end
  for i = 1, #(m.slots or {}), 3 do m.slots[i] = m.slots[i] - back end
  if m.probe then m.probe.ends = m.probe.ends - back end
end

local function hear(m, now)
  if m.heard > now then move(m, m.heard - now) end
  if now - m.heard > SILENCE then m.silent, m.resumed = m.heard, now end
  m.heard = now
end

local function adopt(m, o, now)
  if o.gen <= m.gen then return false end
  local at = now - o.age
  local alone = at >= m.silent and at <= m.resumed and now - m.resumed <= TAKEOVER_FOR
  if not o.told and not alone then return false end
  m.gen, m.state, m.forced = o.gen, o.state, o.forced
  m.since, m['until'] = at, now + o['in']
  m.trips, m.streak, m.reopened, m.tripped = o.trips, o.streak, o.reopened, o.tripped
  m.slots, m.probe = nil, nil
  if o.probe then m.probe = {id = o.probe, by = o.by, ends = now + o.probeIn} end
  return true
end

local function turn(m, to, why, now, till)
  local t = {gen = m.gen + 1, from = m.state, to = to, why = why, openFor = max(till - now, 0), trips = m.trips, counts = {n = 0, f = 0}}
  if why == 'too-many-failures' then t.counts = m.tripped end
  m.gen = m.gen + 1
  m.state, m.since, m['until'] = to, now, till
  m.streak, m.reopened = 0, nil
  m.slots, m.probe, m.wanted, m.asked = nil, nil, nil, nil
  return t
end

local function obey(m, r, now)
  local asked = r.force
  if not asked or asked == m.forced or asked == 'auto' and not m.forced then return nil end
  if asked == 'auto' then asked = nil end
  local to = 'closed'
  if asked == 'open' or m.forced == 'open' and not asked then to = 'open' end
  m.forced, m.trips, m.tripped = asked, 0, {n = 0, f = 0}
  return turn(m, to, 'operator', now, now)
end

local function conclude(m, r, now)
  for _, v in ipairs(r.results or {}) do
    if m.probe and m.probe.id == v.id then
      m.probe = nil
      if v.verdict == 'failed' then
        m.trips = m.trips + 1
        return turn(m, 'open', 'probe-failed', now, now + open_for(r.rules, m.trips, r.random))
      elseif v.verdict == 'ok' then
        m.streak = m.streak + 1
        if m.streak >= r.rules.probes then
          m.trips = 0
          local t = turn(m, 'closed', 'probes-succeeded', now, 0)
          m.reopened = true
          return t
        end
      end
    end
  end
  if m.probe and m.probe.id == r.back and m.probe.by == by then m.probe = nil end
end

local function count(m, r, now)
  if m.state ~= 'closed' then return nil end
  local slots = since(m.slots or {}, now - r.rules.window, r.rules.slot)
  if r.gen == m.gen then
    for _, c in ipairs(r.counts or {}) do
      if c.at < r.rules.window then add(slots, now - c.at, r.rules.slot, c.n, c.f) end
    end
  end
  m.slots = slots[1] and slots or nil
  if r.gen ~= m.gen or m.forced == 'closed' or not r.counts then return nil end
  local counts = sum(slots)
  if not too_many(r.rules, counts) then return nil end
  m.trips, m.tripped = 1, counts
  return turn(m, 'open', 'too-many-failures', now, now + open_for(r.rules, 1, r.random))
end

local function awake(m, r, now)
  if m.state ~= 'open' or m.forced or now < m['until'] or r.claim == 0 then return nil end
  return turn(m, 'half-open', 'open-time-over', now, 0)
end

local function wanted_beside(m, now)
  return m.wanted and m.wanted ~= by and now - m.asked <= WANT_FOR
end

local function grant(m, r, now)
  if m.state ~= 'half-open' then return nil, nil end
  local p = m.probe
  local ends = now + HOLD_FOR + r.rules.lease
  if p and now < p.ends then
    if p.by == by and p.id == r.held then
      p.ends = ends
      return p.id, wanted_beside(m, now) or nil
    elseif p.by ~= by or p.id == r.out then
      if p.by ~= by and r.claim == 2 then m.wanted, m.asked = by, now end
      return nil, nil
    end
    m.probe = nil
  end
  if r.claim == 0 or wanted_beside(m, now) then return nil, nil end
  m.probe = {id = r.id, by = by, ends = ends}
  m.wanted, m.asked = nil, nil
  return r.id, nil
end

local function reply(m, now, granted, yield, made)
  local a = {
    gen = m.gen, state = m.state, forced = m.forced, age = now - m.since, ['in'] = max(m['until'] - now, 0),
    trips = m.trips, streak = m.streak, reopened = m.reopened, tripped = m.tripped, told = true,
    now = sum(m.slots), granted = granted, yield = yield, made = made,
  }
  if m.probe then a.probe, a.by, a.probeIn = m.probe.id, m.probe.by, max(m.probe.ends - now, 0) end
  return cjson.encode(a)
end

-- keep is for how many milliseconds the machine says something.
local function keep(m, r, now)
  if m.forced then return KEEP_FORCED end
  return KEEP + r.rules.window + max(m['until'] - now, 0)
end

local now, replies = clock(), {}
for i, key in ipairs(KEYS) do
  local r = cjson.decode(ARGV[2 + i])
  local m, fault = read(key)
  if fault then return fault end
  hear(m, now)
  adopt(m, r.offer, now)
  local made = obey(m, r, now) or conclude(m, r, now) or count(m, r, now) or awake(m, r, now)
  local granted, yield = grant(m, r, now)
  redis.call('SET', key, cmsgpack.pack(m), 'PX', floor(keep(m, r, now)))
  replies[i] = reply(m, now, granted, yield, made)
end
return replies
