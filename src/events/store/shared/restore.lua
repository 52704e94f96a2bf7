-- Gives a store that lost the end of a stream back what a server has of it, if nobody went on with the stream meanwhile.
-- KEYS: about, log, ids. ARGV: incarnation, number that the first event follows, rest in ms, number of the last event,
-- number of events; for each event number, id, type,
-- traceparent, data, born, expires, bytes.
local about, log, ids = KEYS[1], KEYS[2], KEYS[3]
local was = redis.call('HMGET', about, 'incarnation', 'head', 'bytes', 'last')
if was[1] and (was[1] ~= ARGV[1] or was[2] ~= ARGV[2]) then return {'no'} end
local bytes, last = tonumber(was[3] or '0'), tonumber(was[4] or '0')
if redis.call('EXISTS', log) == 0 then bytes = 0 end
for at = 0, tonumber(ARGV[5]) - 1 do
  local function given(field) return ARGV[6 + at * 8 + field] end
  local head = given(0)
  redis.call('XADD', log, head .. '-0', 'i', given(1), 'k', given(2), 't', given(3), 'd', given(4), 'b', given(5), 'e', given(6),
    'c', given(7), 'a', ARGV[1])
  if given(1) ~= '' then redis.call('HSET', ids, given(1), head) end
  bytes = bytes + tonumber(given(7))
  last = math.max(last, tonumber(given(6)))
end
redis.call('HSET', about, 'incarnation', ARGV[1], 'head', ARGV[4], 'bytes', string.format('%.0f', bytes), 'last',
  string.format('%.0f', last))
redis.call('PEXPIREAT', log, string.format('%.0f', last + 1000))
redis.call('PEXPIREAT', ids, string.format('%.0f', last + 1000))
redis.call('PEXPIREAT', about, string.format('%.0f', last + tonumber(ARGV[3])))
return {'ok'}
