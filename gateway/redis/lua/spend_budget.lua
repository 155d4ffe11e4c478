-- What all processes together ask one provider, in one hash:
--   paid_at_us       when everything spent is paid (GCRA); a batch may overdraw, then everybody waits
--   rate, rated_at_us  calls a second learnt from refusals, and when; grows back with time
--   second, sent, sent_before  calls let through in this second and in the one before
--   by:<process>     the second in which a process last asked
-- ARGV: calls, configured calls a second (0: none), how far this lane may run ahead in microseconds,
--       1 if the provider refused since this process last asked, the process.
-- Answers {microseconds to wait, processes asking}; nothing is spent unless the wait is 0.
local calls, ceiling, ahead_us = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local refused, process = ARGV[4] == '1', ARGV[5]
local RATE_MIN, SHRINK_BY, GROW_BY_PER_S, RATE_UNLIMITED = 1, 0.5, 1.1, 5000
local COOLDOWN_US, DEBT_US_MAX, SEEN_S, KEPT_MS = 1000000, 600000000, 10, 60000

local now = redis.call('time')
local second = tonumber(now[1])
local now_us = second * 1000000 + tonumber(now[2])

local state, processes = {}, 1
local fields = redis.call('hgetall', KEYS[1])
for i = 1, #fields, 2 do
  local name, value = fields[i], tonumber(fields[i + 1]) or 0
  if string.sub(name, 1, 3) ~= 'by:' then
    state[name] = value
  elseif math.abs(second - value) > SEEN_S then
    redis.call('hdel', KEYS[1], name)
  elseif name ~= 'by:' .. process then
    processes = processes + 1
  end
end

local sent, before = 0, 0
if state.second == second then
  sent, before = state.sent or 0, state.sent_before or 0
elseif state.second == second - 1 then
  before = state.sent or 0
end

local rate, rated_at_us = state.rate, math.min(state.rated_at_us or 0, now_us)
if rate then
  local grown = rate * GROW_BY_PER_S ^ math.min((now_us - rated_at_us) / 1000000, 600)
  if grown >= RATE_UNLIMITED or (ceiling > 0 and grown >= ceiling) then
    rate = nil
    redis.call('hdel', KEYS[1], 'rate', 'rated_at_us')
  else
    rate = grown
  end
end
local allowed = rate or (ceiling > 0 and ceiling) or nil
if refused and now_us - rated_at_us > COOLDOWN_US then
  local measured = math.max(sent, before, RATE_MIN)
  allowed = math.max(math.min(measured, allowed or measured) * SHRINK_BY, RATE_MIN)
  redis.call('hset', KEYS[1], 'rate', string.format('%.6f', allowed), 'rated_at_us', string.format('%.0f', now_us))
end

local debt_us = math.min(math.max((state.paid_at_us or 0) - now_us, 0), DEBT_US_MAX)
local wait_us = 0
if allowed and debt_us > ahead_us then
  wait_us = debt_us - ahead_us
else
  sent = sent + calls
  debt_us = allowed and debt_us + calls / allowed * 1000000 or 0
end
redis.call('hset', KEYS[1], 'paid_at_us', string.format('%.0f', now_us + debt_us), 'second', second,
  'sent', sent, 'sent_before', before, 'by:' .. process, second)
redis.call('pexpire', KEYS[1], KEPT_MS + math.ceil(debt_us / 1000))
return {math.ceil(wait_us), processes}
