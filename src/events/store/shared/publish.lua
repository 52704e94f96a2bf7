-- Publishes a batch on a stream, all of it or nothing, and takes out what is over the bounds.
-- Answers `join` if the stream is not in the run that the server knows, or this is not the process of that run: something may be lost.
-- KEYS: about, log, ids. ARGV: incarnation, run, most events, most bytes, rest in ms, number of events; for each event id, type,
-- traceparent, data, ttl in ms, bytes.
local about, log, ids = KEYS[1], KEYS[2], KEYS[3]
local count = tonumber(ARGV[6])
local function given(at, field) return ARGV[7 + at * 6 + field] end
local function plain(number) return string.format('%.0f', number) end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local was = redis.call('HMGET', about, 'incarnation', 'head', 'bytes', 'last', 'run', 'tag')
if was[1] ~= ARGV[1] or was[5] ~= ARGV[2] then return {'join'} end
if string.sub(was[5], 1, #process) ~= process then return {'join'} end
local incarnation, head, tag = was[1], tonumber(was[2]), was[6] or ''
local bytes, last = tonumber(was[3] or '0'), tonumber(was[4] or '0')
local suffix = tag ~= '' and '.' .. tag or ''
local length = redis.call('XLEN', log)
if length == 0 then bytes = 0 end

-- Fields of an entry stand in one order: i, k, t, d, b, e, c, g.
local known, seen = {}, {}
for at = 0, count - 1 do
  local id = given(at, 0)
  if id ~= '' then
    if string.sub(id, 1, #incarnation + 1) == incarnation .. '-' then
      local digits = string.sub(id, #incarnation + 2)
      digits = string.match(digits, '^(%d+)$') or string.match(digits, '^(%d+)%.%x%x%x%x%x%x%x%x$')
      if digits and (digits == '0' or string.sub(digits, 1, 1) ~= '0') then
        return {'reserved', tostring(at)}
      end
    end
    local number = redis.call('HGET', ids, id)
    local entry = number and redis.call('XRANGE', log, number .. '-0', number .. '-0')[1]
    if entry and entry[2][2] == id then
      if entry[2][4] ~= given(at, 1) or entry[2][8] ~= given(at, 3) then return {'conflict', tostring(at)} end
      known[at] = true
    end
    if seen[id] then return {'conflict', tostring(at)} end
    seen[id] = true
  end
end

local answer = {'ok', incarnation, ''}
for at = 0, count - 1 do
  local id = given(at, 0)
  if not known[at] then
    head = head + 1
    local expires = now + tonumber(given(at, 4))
    last = math.max(last, expires)
    bytes = bytes + tonumber(given(at, 5))
    length = length + 1
    redis.call('XADD', log, plain(head) .. '-0', 'i', id, 'k', given(at, 1), 't', given(at, 2), 'd', given(at, 3),
      'b', plain(now), 'e', plain(expires), 'c', given(at, 5), 'g', tag)
    if id ~= '' then redis.call('HSET', ids, id, plain(head)) end
  end
  answer[#answer + 1] = id ~= '' and id or incarnation .. '-' .. plain(head) .. suffix
end
answer[3] = plain(head)
if head > tonumber(was[2]) then redis.call('HSET', about, 'end', tag) end

while length > 0 do
  local entry = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
  if not entry then break end
  local of = entry[2]
  local is_live = tonumber(of[12]) > now
  if is_live and length <= tonumber(ARGV[3]) and bytes <= tonumber(ARGV[4]) then break end
  local number = string.match(entry[1], '^%d+')
  if is_live then redis.call('HSET', about, 'evicted', number) end
  if of[2] ~= '' and redis.call('HGET', ids, of[2]) == number then redis.call('HDEL', ids, of[2]) end
  redis.call('XDEL', log, entry[1])
  bytes = bytes - tonumber(of[14])
  length = length - 1
end

redis.call('HSET', about, 'head', plain(head), 'bytes', plain(bytes), 'last', plain(last))
-- What nobody publishes on any more goes by itself; its numbers a while later.
redis.call('PEXPIREAT', log, plain(last + 1000))
redis.call('PEXPIREAT', ids, plain(last + 1000))
redis.call('PEXPIREAT', about, plain(last + tonumber(ARGV[5])))
return answer
