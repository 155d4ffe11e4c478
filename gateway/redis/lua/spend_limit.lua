-- One caller's bucket, as gateway/ratelimits.py counts it: one number, the moment at which everything is paid.
-- ARGV: the limit's period and the cost of this call, in microseconds. Answers {1 or 0, microseconds owed now}.
-- The clock is the server's, so that gateways need not agree about time; a debt never exceeds one period.
local period_us, cost_us = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = redis.call('time')
local now_us = tonumber(now[1]) * 1000000 + tonumber(now[2])

local paid_at_us = tonumber(redis.call('get', KEYS[1]) or '') or now_us
local owed_us = math.min(math.max(paid_at_us - now_us, 0), period_us)
local after_us = owed_us + cost_us
if after_us > period_us then
  return {0, owed_us}
end
redis.call('set', KEYS[1], string.format('%.0f', now_us + after_us), 'px', math.ceil(after_us / 1000))
return {1, after_us}
