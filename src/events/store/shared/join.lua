-- Says whether the store goes on from what a server has of a stream, and has the store's process own the stream.
--
-- A process of the store that began, or took over, may lack the last events that another one took. So a stream belongs to one run of one
-- process, and whoever comes first in a new one gives the stream to it: from then on ids have the run's tag in them, and no id is given twice.
-- What is lost and what a server still has is given back, as long as nothing was published in that run.
--
-- KEYS: about, log, ids. ARGV: incarnation, number of the server's last event, rest in ms, a name that no other run has, whether a stream that
-- is not there begins (1), the runs the server had the stream in, the newest first, each as RUN=BASE, number up to which it knows events to be evicted, number that the
-- given events follow or nothing, number of given events; for each number, id, type, traceparent, data, born, expires, bytes, tag.
-- Answers `none`, `give` and the number that events to give follow, or `same` (all that the server has is there), or `other` with:
-- incarnation, head, evicted, run, tag, number of the first event in the log or nothing, tag of the last event, past, base: the number of the last event
-- before the first that was published in the run.
--
-- `past` says where the last runs ended: RUN=NUMBER@TIME of each, the newest first, with the number of the last event that the next run has of it, and when
-- that began. By these a server that had a run knows what is lost of it, and which ids of publishers' own may be of lost events.
local about, log, ids = KEYS[1], KEYS[2], KEYS[3]
local incarnation, head, rest = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local knew = {}
for name, base in string.gmatch(ARGV[6], '(%S+)=(%d+)') do knew[#knew + 1] = {name = name, base = tonumber(base)} end
local function plain(number) return string.format('%.0f', number) end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local was = redis.call('HMGET', about, 'incarnation', 'head', 'run', 'base', 'past', 'bytes', 'last', 'tag')
local at, run, base, tag = tonumber(was[2] or '0'), was[3] or '', tonumber(was[4] or '0'), was[8] or ''
local PAST, past = 32, {}
for name, number, began in string.gmatch(was[5] or '', '(%S+)=(%d+)@(%d+)') do
  past[#past + 1] = {name = name, number = tonumber(number), began = tonumber(began)}
end
local function past_text()
  local texts = {}
  for nth, of in ipairs(past) do texts[nth] = of.name .. '=' .. plain(of.number) .. '@' .. plain(of.began) end
  return table.concat(texts, ' ')
end
local function ended(name, number)
  table.insert(past, 1, {name = name, number = number, began = now})
  if #past > PAST then
    -- The last one stands for those before it, too: whoever had it is sent more than it lacks.
    past[PAST].number = math.min(past[PAST].number, past[PAST + 1].number)
    past[PAST + 1] = nil
  end
end
local is_now = was[1] and string.sub(run, 1, #process) == process
-- The run in `past` that the server had.
local had

-- Whether all that the server has is in the store, or is once it is given back; and whether it is to be given back.
local function compare()
  if not was[1] then return true, head > 0 end
  if was[1] ~= incarnation then return false, false end
  for _, of in ipairs(knew) do
    if of.name == run then
      local gives = head > at and not is_now
      return head <= at or gives, gives
    end
    for _, one in ipairs(past) do
      if one.name == of.name then had = one end
    end
    if had then break end
    -- It has events of a run that is lost as a whole.
    if head > of.base then return false, false end
  end
  local from = had and had.number
  local gives = from == at and at == base and head > at
  return gives or (from and head <= from) or false, gives
end

local function take_over()
  if not was[1] then
    -- Where one key of a stream went, the others may be there still.
    redis.call('DEL', log, ids)
    redis.call('HSET', about, 'incarnation', incarnation, 'evicted', ARGV[7])
    if knew[1] then ended(knew[1].name, 0) end
  elseif run ~= '' then
    ended(run, at)
  end
  -- The first run of a new stream needs no tag: nobody has ids of it.
  run, base = process .. ARGV[4], at
  tag = (was[1] or #knew > 0) and string.sub(redis.sha1hex(run), 1, 8) or ''
  redis.call('HSET', about, 'incarnation', was[1] or incarnation, 'run', run, 'base', plain(base), 'past', past_text(), 'tag', tag,
    'head', plain(at))
end

local bytes, last = tonumber(was[6] or '0'), tonumber(was[7] or '0')

local function take_back()
  for nth = 0, tonumber(ARGV[9]) - 1 do
    local function given(field) return ARGV[10 + nth * 9 + field] end
    redis.call('XADD', log, given(0) .. '-0', 'i', given(1), 'k', given(2), 't', given(3), 'd', given(4), 'b', given(5), 'e', given(6),
      'c', given(7), 'g', given(8))
    if given(1) ~= '' then redis.call('HSET', ids, given(1), given(0)) end
    redis.call('HSET', about, 'end', given(8))
    bytes, last = bytes + tonumber(given(7)), math.max(last, tonumber(given(6)))
  end
  at, base = head, head
  -- Not of the runs since, which had other events behind this one, if any.
  had = had or past[1]
  if had then had.number = at end
  redis.call('HSET', about, 'head', plain(at), 'base', plain(at), 'past', past_text())
  redis.call('PEXPIREAT', log, plain(last + 1000))
  redis.call('PEXPIREAT', ids, plain(last + 1000))
end

if not was[1] and head == 0 and ARGV[5] ~= '1' then return {'none'} end
local is_same, gives = compare()
if gives and ARGV[8] ~= plain(at) then return {'give', plain(at)} end
if not is_now then take_over() end
if redis.call('EXISTS', log) == 0 then bytes = 0 end
if gives then take_back() end
if gives or not is_now then
  redis.call('HSET', about, 'bytes', plain(bytes), 'last', plain(last))
  redis.call('PEXPIREAT', about, plain(math.max(last, now) + rest))
end
local first = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
local stands = redis.call('HMGET', about, 'incarnation', 'evicted', 'end')
return {is_same and 'same' or 'other', stands[1], plain(at), stands[2] or '0', run, tag, first and string.match(first[1], '^%d+') or '',
  stands[3] or '', past_text(), plain(base)}
