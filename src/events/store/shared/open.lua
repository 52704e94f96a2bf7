-- Says where a stream stands: incarnation, head, evicted, number of its first event in the log or nothing. Nothing at all if there is
-- no such stream and ARGV[1], the incarnation of a new one, is empty.
-- KEYS: about, log. ARGV: incarnation of a new stream, rest in ms.
local was = redis.call('HMGET', KEYS[1], 'incarnation', 'head', 'evicted')
if not was[1] then
  if ARGV[1] == '' then return {} end
  redis.call('HSET', KEYS[1], 'incarnation', ARGV[1], 'head', '0', 'bytes', '0', 'last', '0')
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return {ARGV[1], '0', '0', ''}
end
local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
return {was[1], was[2] or '0', was[3] or '0', first and string.match(first[1], '^%d+') or ''}
