import { latenessMs, mostPromisedWindows } from '../local-counter.ts';

// Two scripts, one round trip each. Every key of a decision is decided in one, so all carry one hash tag: in a cluster they live in
// one slot. Times are microseconds of the server's own clock; numbers are whole and below 2^53, which Lua's doubles hold exactly.

/** `windowAt`, for tests to compare with the one in calendar.ts. */
export const calendarLua = `
-- Days since 1970 to the first of that month and of the next (proleptic Gregorian; March is the first month of its year).
local function daysOf(year, month)
  if month <= 2 then year = year - 1 end
  local era = math.floor(year / 400)
  local yearOfEra = year - era * 400
  local dayOfYear = math.floor((153 * ((month + 9) % 12) + 2) / 5)
  return era * 146097 + yearOfEra * 365 + math.floor(yearOfEra / 4) - math.floor(yearOfEra / 100) + dayOfYear - 719468
end
local function monthAt(days)
  local shifted = days + 719468
  local era = math.floor(shifted / 146097)
  local dayOfEra = shifted - era * 146097
  local yearOfEra = math.floor((dayOfEra - math.floor(dayOfEra / 1460) + math.floor(dayOfEra / 36524) - math.floor(dayOfEra / 146096)) / 365)
  local dayOfYear = dayOfEra - (365 * yearOfEra + math.floor(yearOfEra / 4) - math.floor(yearOfEra / 100))
  local shiftedMonth = math.floor((5 * dayOfYear + 2) / 153)
  local month = (shiftedMonth + 2) % 12 + 1
  local year = yearOfEra + era * 400
  if month <= 2 then year = year + 1 end
  local nextMonth, nextYear = month % 12 + 1, year
  if nextMonth == 1 then nextYear = year + 1 end
  return daysOf(year, month) * 86400000, daysOf(nextYear, nextMonth) * 86400000
end

-- Start and end of the calendar window, ms.
local lengths = { minute = 60000, hour = 3600000, day = 86400000 }
local function windowAt(window, ms)
  if window == 'month' then return monthAt(math.floor(ms / 86400000)) end
  local start = ms - ms % lengths[window]
  return start, start + lengths[window]
end
`;

/** The parts that both scripts use. */
const common = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local replicas, epochKey = KEYS[1], KEYS[2]
local holder, knownEpoch, leaseUs = ARGV[1], ARGV[2], tonumber(ARGV[3]) * 1000
local hour = 3600000
local mostPromisedWindows, latenessUs = ${mostPromisedWindows}, ${latenessMs * 1000}

local function text(number) return string.format('%.0f', number) end

${calendarLua}
-- Whether this holder renews its lease; asked once per holder.
local known = { [holder] = true }
local function isAlive(name)
  if known[name] == nil then
    local expiry = redis.call('ZSCORE', replicas, name)
    known[name] = expiry ~= false and tonumber(expiry) > now
  end
  return known[name]
end

local function renew()
  redis.call('ZADD', replicas, text(now + leaseUs), holder)
  redis.call('PEXPIRE', replicas, 24 * hour)
end

-- A rate is a hash of entries by number, each an amount and the newest time of its calls, and of m: head and tail are the numbers of the
-- first and last entry, total what they hold, last the newest time, offset what is added to the server's clock so that time never goes
-- back, then what the first and last entry hold, and when the key's time to live was set. A log that begins anew begins at a number
-- of its own, so that nobody takes its entries for those of the one before. A second log in the same hash, of fields that begin with p,
-- has who was refused and told when to come back.
local function readLog(key, prefix, windowUs)
  local log = { key = key, prefix = prefix, window = windowUs, changed = {} }
  local fields = redis.call('HGET', key, prefix .. 'm')
  if fields then
    log.head, log.tail, log.total, log.last, log.offset, log.headTime, log.headAmount, log.tailAmount, log.livesFrom =
      struct.unpack('>ddddddddd', fields)
  else
    log.isNew = true
    log.head, log.tail, log.total, log.last, log.offset, log.headTime, log.headAmount, log.tailAmount, log.livesFrom =
      now, now - 1, 0, 0, 0, 0, 0, 0, 0
  end
  return log
end

local function readRate(key, windowUs)
  local rate = readLog(key, '', windowUs)
  rate.at = now + rate.offset
  if rate.at < rate.last then
    rate.offset = rate.last - now
    rate.at = rate.last
  end
  return rate
end

local function entryOf(rate, number)
  if number == rate.head then return rate.headTime, rate.headAmount end
  local entry = rate.changed[number] or redis.call('HGET', rate.key, rate.prefix .. text(number))
  if not entry then return 0, 0 end
  local newest, amount = struct.unpack('>dd', entry)
  return newest, amount
end

local function pruneRate(rate, isTaking)
  local gone = {}
  while rate.head <= rate.tail and rate.headTime + rate.window <= rate.at do
    gone[#gone + 1] = rate.prefix .. text(rate.head)
    rate.total = rate.total - rate.headAmount
    local nextTime, nextAmount = 0, 0
    if rate.head < rate.tail then nextTime, nextAmount = entryOf(rate, rate.head + 1) end
    rate.head, rate.headTime, rate.headAmount = rate.head + 1, nextTime, nextAmount
    if #gone == 500 then
      if isTaking then redis.call('HDEL', rate.key, unpack(gone)) end
      gone = {}
    end
  end
  if #gone > 0 and isTaking then redis.call('HDEL', rate.key, unpack(gone)) end
end

local function changeEntry(rate, number, newest, amount)
  rate.changed[number] = struct.pack('>dd', newest, amount)
  if number == rate.head then rate.headTime, rate.headAmount = newest, amount end
  if number == rate.tail then rate.tailAmount = amount end
end

-- See rate-log.ts for why entries may be shared, and how far.
local function addToRate(rate, at, amount, limit)
  local share = math.max(1, math.floor(limit / 100))
  at = math.max(at, rate.last)
  local mayShare = rate.head <= rate.tail and (rate.tailAmount + amount <= share or at == rate.last)
  rate.total = rate.total + amount
  rate.last = at
  if mayShare then
    amount = rate.tailAmount + amount
  else
    rate.tail = rate.tail + 1
  end
  changeEntry(rate, rate.tail, at, amount)
end

local function writeLog(rate)
  local fields = { rate.prefix .. 'm', struct.pack('>ddddddddd', rate.head, rate.tail, rate.total, rate.last, rate.offset,
    rate.headTime, rate.headAmount, rate.tailAmount, rate.livesFrom) }
  for number, entry in pairs(rate.changed) do
    fields[#fields + 1] = rate.prefix .. text(number)
    fields[#fields + 1] = entry
  end
  redis.call('HSET', rate.key, unpack(fields))
end

-- Two and a half windows beyond its use, or beyond the last promise.
local function writeRate(rate)
  local promised = rate.promised
  if promised then writeLog(promised) end
  local from = rate.at
  if promised and promised.last > from then from = promised.last end
  local isAging = from - rate.livesFrom > rate.window / 2
  if isAging then rate.livesFrom = from end
  writeLog(rate)
  if isAging then redis.call('PEXPIRE', rate.key, text(math.floor((from - rate.at) / 1000 + rate.window / 400) + 1000)) end
end

-- What holders hold: a field per holder. Those of holders that are gone are dropped.
local function heldIn(key, pairsOf)
  local held, gone = 0, {}
  for at = 1, #pairsOf, 2 do
    local name = string.match(pairsOf[at], '^h:(.*)$')
    if name then
      if isAlive(name) then held = held + tonumber(pairsOf[at + 1]) else gone[#gone + 1] = pairsOf[at] end
    end
  end
  if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
  return held
end

-- A call may last a day; a budget may have to last longer.
local function hold(key, amount)
  if redis.call('HINCRBY', key, 'h:' .. holder, text(amount)) <= 0 then redis.call('HDEL', key, 'h:' .. holder) end
  if redis.call('PTTL', key) < 48 * hour then redis.call('PEXPIRE', key, 72 * hour) end
end

-- A budget: w is the start of its window, s what is spent in it, b how much of that is from before Redis lost its data, and a field
-- per holder what is only held. A clock that was set back takes the window along, so that nothing is filled again.
local function readBudget(key, window)
  local all = redis.call('HGETALL', key)
  local budget = { key = key, spent = 0, before = 0 }
  local was
  for at = 1, #all, 2 do
    if all[at] == 'w' then was = tonumber(all[at + 1])
    elseif all[at] == 's' then budget.spent = tonumber(all[at + 1])
    elseif all[at] == 'b' then budget.before = tonumber(all[at + 1]) end
  end
  budget.start, budget.finish = windowAt(window, math.floor(now / 1000))
  if not was or budget.start > was then budget.spent, budget.before = 0, 0 end
  budget.isMoved = was ~= budget.start
  budget.held = heldIn(key, all)
  return budget
end

-- Replicas saw different parts of what was lost: the largest counts, on top of what was spent since.
local function restoreBudget(budget, seen)
  if seen <= budget.before then return end
  budget.spent = budget.spent + seen - budget.before
  budget.before = seen
end

-- What is held outlasts the window.
local function writeBudget(budget)
  redis.call('HSET', budget.key, 'w', text(budget.start), 's', text(budget.spent), 'b', text(budget.before))
  if budget.isMoved or budget.held > 0 then
    local extra = hour
    if budget.held > 0 then extra = 72 * hour end
    redis.call('PEXPIRE', budget.key, text(budget.finish - math.floor(now / 1000) + extra))
  end
end
`;

/**
 * Decides one call over all its counters. KEYS: replicas, epoch, one per demand. ARGV: holder, epoch known to it, lease ms, an
 * epoch to begin if there is none, mode (`take` or `look`), then for each demand: kind (`rate`, `concurrency`, `calls` or `estimate` budget),
 * limit, window (ms or name), amount, `1` if it is a shadow, and what this replica saw last: for rates `amount` and `age ms`, for budgets
 * `spent` and `window start ms`, for use after Redis lost its data; an amount of -1 where it saw nothing, and `1` if its view is of another epoch.
 * Returns epoch, replicas, index of the refusing demand or 0, its wait ms, then for each demand: used, spent, mark, window start ms, window
 * end ms, `1` if it would have refused.
 */
export const takeScript = `${common}
local epoch = redis.call('GET', epochKey)
if not epoch then
  epoch = ARGV[4]
  redis.call('SET', epochKey, epoch, 'PX', 24 * hour)
end
local isStale = epoch ~= knownEpoch
local isTaking = ARGV[5] == 'take'
if isStale and isTaking then renew() end

-- What this replica saw last, as if it had come evenly, less what has left the window since; never more than is missing.
local function restoreRate(rate, demand)
  local parts, aged = {}, 0
  for part = 1, 10 do
    local at = rate.at - demand.seenAt * 1000 - math.floor((10 - part) * rate.window / 10)
    local amount = math.floor(demand.seen * part / 10) - math.floor(demand.seen * (part - 1) / 10)
    if amount > 0 and at + rate.window > rate.at then
      parts[#parts + 1] = { at = at, amount = amount }
      aged = aged + amount
    end
  end
  local missing = aged - rate.total
  for _, part in ipairs(parts) do
    local amount = math.floor(part.amount * missing / aged)
    if amount > 0 then addToRate(rate, part.at, amount, demand.limit) end
  end
end

-- When the newest entry was made that must go before no more than that is left: looked for from the nearer end.
local function newestOver(log, most)
  local isNearHead = most * 2 > log.total
  local first, last, step = log.tail, log.head, -1
  if isNearHead then first, last, step = log.head, log.tail, 1 end
  local passed = 0
  for number = first, last, step do
    local newest, amount = entryOf(log, number)
    passed = passed + amount
    if isNearHead and log.total - passed <= most or not isNearHead and passed > most then return newest end
  end
  return log.at
end

-- How long until there is room, if all who were told to come back before do as they were told: see RateCounter in local-counter.ts.
local function waitOf(rate, demand)
  if demand.amount > demand.limit then return rate.window end
  local promised = readLog(rate.key, 'p', 0)
  promised.at = rate.at
  pruneRate(promised, isTaking)
  rate.promised = promised
  local most, leaves = demand.limit - demand.amount, nil
  if promised.total > most then leaves = newestOver(promised, most) else leaves = newestOver(rate, most - promised.total) end
  return math.max(leaves + rate.window - rate.at, promised.last - 1000000 - latenessUs - rate.at)
end

-- By the second: a crowd takes an entry for each and no more.
local function promise(rate, demand, waitMs)
  local promised = rate.promised
  if not promised or promised.total + demand.amount > mostPromisedWindows * demand.limit then return end
  local latest = rate.at + math.ceil(waitMs / 1000) * 1000000 + latenessUs
  addToRate(promised, math.ceil(latest / 1000000) * 1000000, demand.amount, demand.limit)
end

local refusing, longest = 0, 0
local demands = {}
for index = 1, #KEYS - 2 do
  local base = 5 + (index - 1) * 8
  local demand = {
    key = KEYS[index + 2], kind = ARGV[base + 1], limit = tonumber(ARGV[base + 2]), window = ARGV[base + 3], amount = tonumber(ARGV[base + 4]),
    isShadow = ARGV[base + 5] == '1', seen = tonumber(ARGV[base + 6]), seenAt = tonumber(ARGV[base + 7]), skip = false,
  }
  local hasLost = demand.seen >= 0 and (isStale or ARGV[base + 8] == '1')
  local wait = 0
  if demand.kind == 'rate' then
    local rate = readRate(demand.key, tonumber(demand.window) * 1000)
    pruneRate(rate, isTaking)
    if hasLost and isTaking then restoreRate(rate, demand) end
    demand.counter, demand.used = rate, rate.total
    if demand.amount > 0 and rate.total + demand.amount > demand.limit then
      wait = math.max(1, math.ceil(waitOf(rate, demand) / 1000))
    end
  elseif demand.kind == 'concurrency' then
    demand.used = heldIn(demand.key, redis.call('HGETALL', demand.key))
    if demand.used + demand.amount > demand.limit then wait = 1000 end
  else
    local budget = readBudget(demand.key, demand.window)
    if hasLost and demand.seenAt == budget.start then restoreBudget(budget, demand.seen) end
    demand.counter, demand.used = budget, budget.spent + budget.held
    if demand.amount > 0 and demand.used + demand.amount > demand.limit then
      wait = math.max(1, budget.finish - math.floor(now / 1000))
    end
  end
  if wait > 0 then
    if demand.isShadow then demand.skip = true
    elseif wait > longest then refusing, longest = index, wait end
  end
  demands[index] = demand
end

if isTaking and refusing > 0 and demands[refusing].kind == 'rate' then promise(demands[refusing].counter, demands[refusing], longest) end

local reply = { epoch, redis.call('ZCOUNT', replicas, text(now), '+inf'), refusing, longest }
for _, demand in ipairs(demands) do
  local counter = demand.counter
  local isCounted = isTaking and refusing == 0 and not demand.skip and demand.amount > 0
  if isCounted then
    demand.used = demand.used + demand.amount
    if demand.kind == 'rate' then addToRate(counter, counter.at, demand.amount, demand.limit)
    elseif demand.kind == 'concurrency' then hold(demand.key, demand.amount)
    elseif demand.kind == 'calls' then counter.spent = counter.spent + demand.amount
    else
      hold(demand.key, demand.amount)
      counter.held = counter.held + demand.amount
    end
  end
  if isTaking and demand.kind == 'rate' and not (counter.isNew and counter.total == 0) then writeRate(counter) end
  if isTaking and (demand.kind == 'calls' or demand.kind == 'estimate') and demand.amount > 0 then writeBudget(counter) end
  reply[#reply + 1] = demand.used
  reply[#reply + 1] = counter and (counter.spent or 0) or 0
  reply[#reply + 1] = counter and (counter.tail or 0) or 0
  reply[#reply + 1] = counter and (counter.start or 0) or 0
  reply[#reply + 1] = counter and (counter.finish or 0) or 0
  reply[#reply + 1] = demand.skip and 1 or 0
end
return reply
`;

/**
 * Tells what happened to what was taken, and renews the lease. KEYS: replicas, epoch, one per change. ARGV: holder, epoch known to it, lease ms,
 * an epoch to begin, holders that are no more (apart by spaces), then for each change: what, and four values:
 * `add` amount, age ms, window ms, limit - counts in a rate; `subtract` amount, entry, window ms - takes back;
 * `hold` amount - holds more, or less, of slots or a budget; `floor` amount, window, window start ms - what was seen spent in that window is the
 * least that is; `before` likewise - what was seen spent before Redis lost its data; `spend` amount, window, window start ms or '' - spends of a
 * budget, in the window of that start only.
 * Returns the epoch and the number of replicas.
 */
export const tellScript = `${common}
local epoch = redis.call('GET', epochKey)
if not epoch then epoch = ARGV[4] end
redis.call('SET', epochKey, epoch, 'PX', 24 * hour)
for gone in string.gmatch(ARGV[5], '%S+') do redis.call('ZREM', replicas, gone) end
renew()
redis.call('ZREMRANGEBYSCORE', replicas, '-inf', text(now - 60000000))
for index = 1, #KEYS - 2 do
  local base = 5 + (index - 1) * 5
  local key, what, amount = KEYS[index + 2], ARGV[base + 1], tonumber(ARGV[base + 2])
  if what == 'add' then
    local rate = readRate(key, tonumber(ARGV[base + 4]) * 1000)
    addToRate(rate, rate.at - tonumber(ARGV[base + 3]) * 1000, amount, tonumber(ARGV[base + 5]))
    writeRate(rate)
  elseif what == 'subtract' then
    local rate, number = readRate(key, tonumber(ARGV[base + 4]) * 1000), tonumber(ARGV[base + 3])
    if not rate.isNew and number >= rate.head and number <= rate.tail then
      local newest, held = entryOf(rate, number)
      amount = math.min(amount, held)
      rate.total = rate.total - amount
      changeEntry(rate, number, newest, held - amount)
      writeRate(rate)
    end
  elseif what == 'hold' then
    hold(key, amount)
  else
    local budget = readBudget(key, ARGV[base + 3])
    if ARGV[base + 4] == '' or tonumber(ARGV[base + 4]) == budget.start then
      if what == 'floor' then budget.spent = math.max(budget.spent, amount)
      elseif what == 'before' then restoreBudget(budget, amount)
      else budget.spent = math.max(0, budget.spent + amount) end
      writeBudget(budget)
    end
  end
end
return { epoch, redis.call('ZCOUNT', replicas, text(now), '+inf') }
`;
