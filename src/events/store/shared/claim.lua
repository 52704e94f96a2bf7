-- Gives a subscriber to the server that it came to, says what is known of it, and has the server that had it hear of that.
-- KEYS: about, record. ARGV: incarnation, run, server, tenure, whether it polls (1), window or nothing, number of the event that it says it has or
-- nothing, how long the record is kept in ms, what keys of notices begin with, name of the stream, name of the subscriber, how long notices are kept in ms.
-- Answers `join` as publishing does, `none` if nothing is known, `elsewhere` if it polls and has a stream at another server, or `known`
-- with: the tenure before if it was this server's, number of the stream's last event, and the record.
local about, record = KEYS[1], KEYS[2]
local incarnation, run, me = ARGV[1], ARGV[2], ARGV[3]
local was = redis.call('HMGET', about, 'incarnation', 'run', 'head')
if not is_joined(was, incarnation, run) then return {'join'} end

local of = redis.pcall('HMGET', record, 'owner', 'incarnation', 'id', 'window', 'acked', 'why', 'position', 'sent', 'told', 'resumes')
local server, former
if of.err then
  redis.call('DEL', record)
else
  server, former = string.match(of[1] or '', '^(%x+)%.(%d+)$')
end
if not server then return {'none'} end
for field = 3, 10 do of[field] = of[field] or '' end
if ARGV[5] == '1' and of[6] == '' then return {server == me and 'none' or 'elsewhere'} end

if server ~= me then
  local notices = ARGV[9] .. server
  redis.pcall('XADD', notices, 'MAXLEN', '~', '1000', '*', 's', ARGV[10], 'n', ARGV[11], 't', former)
  redis.pcall('PEXPIRE', notices, ARGV[12])
end
if of[2] ~= incarnation then
  -- Of another stream of this name: its numbers say nothing.
  redis.call('DEL', record)
  return {'none'}
end
if of[6] == '' and ARGV[7] ~= '' and (ARGV[6] == '' or ARGV[6] ~= of[4]) then
  -- Without the window that it had, it goes on after what it says.
  of[5] = ARGV[7]
  redis.call('HSET', record, 'acked', of[5])
end
redis.call('HSET', record, 'owner', me .. '.' .. ARGV[4])
redis.call('PEXPIRE', record, ARGV[8])
return {'known', server == me and former or '', was[3] or '0', of[3], of[4], of[5], of[6], of[7], of[8], of[9], of[10]}
