-- Notes what a subscriber has, and has the server that it belongs to hear of it if that is another one.
-- KEYS: about, record. ARGV: incarnation, run, server, number of the event or nothing if nobody knows it, whether this server has sent it to a subscriber
-- of its own (1), what keys of notices begin with, name of the stream, name of the subscriber, how long notices are kept in ms.
-- Answers `join` as publishing does, `none` if nothing is known of the subscriber, `never` if it cannot have the event, or `ok`.
local about, record = KEYS[1], KEYS[2]
local incarnation, run, me, number = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local was = redis.call('HMGET', about, 'incarnation', 'run')
if not is_joined(was, incarnation, run) then return {'join'} end

local of = redis.pcall('HMGET', record, 'owner', 'incarnation', 'acked', 'why', 'position', 'sent')
local server = not of.err and string.match(of[1] or '', '^(%x+)%.%d+$')
if not server then return {'none'} end
local is_own = server == me
if not number or of[2] ~= incarnation or (is_own and ARGV[5] ~= '1') then return {'never'} end
if (of[4] or '') ~= '' then
  local position = tonumber(of[5] or '') or 0
  if not is_own and number > math.max(position, tonumber(of[6] or '') or 0) then return {'never'} end
  if number > position then redis.call('HSET', record, 'position', ARGV[4]) end
end
if number > (tonumber(of[3] or '') or 0) then redis.call('HSET', record, 'acked', ARGV[4]) end
if not is_own then
  local notices = ARGV[6] .. server
  redis.pcall('XADD', notices, 'MAXLEN', '~', '1000', '*', 's', ARGV[7], 'n', ARGV[8], 'a', ARGV[4], 'r', run)
  redis.pcall('PEXPIRE', notices, ARGV[9])
end
return {'ok'}
