-- Writes what a server knows of its subscribers, unless they are another one's meanwhile.
-- KEYS: about, and the record of each. ARGV: incarnation, run, server; for each tenure, how long it is kept in ms or nothing if it is forgotten, id, window,
-- acked, why, position, sent, told, resumes.
-- Answers `join` as publishing does, or `kept` and for each `gone` if it is another server's, nothing if it was forgotten, or the number of the last event
-- that it has acknowledged, wherever.
local incarnation, run, me = ARGV[1], ARGV[2], ARGV[3]
local was = redis.call('HMGET', KEYS[1], 'incarnation', 'run')
if not is_joined(was, incarnation, run) then return {'join'} end

-- The greater of a number of this server's, and what the store has.
local function most(own, other)
  local is_number = other and #other < 16 and string.match(other, '^%d+$')
  return is_number and tonumber(other) > tonumber(own) and other or own
end

local answer = {'kept'}
for nth = 2, #KEYS do
  local record = KEYS[nth]
  local function given(field) return ARGV[3 + (nth - 2) * 10 + field] end
  local owner = me .. '.' .. given(1)
  local of = redis.pcall('HMGET', record, 'owner', 'incarnation', 'acked', 'why', 'position')
  if of.err then
    redis.call('DEL', record)
    of = {}
  end
  if string.match(of[1] or '', '^%x+%.%d+$') and of[1] ~= owner then
    answer[nth] = 'gone'
  elseif given(2) == '' then
    redis.call('DEL', record)
    answer[nth] = ''
  else
    local acked, position = given(5), given(7)
    if of[1] == owner and of[2] == incarnation then
      acked = most(acked, of[3])
      if position ~= '' and (of[4] or '') ~= '' then position = most(position, of[5]) end
    end
    redis.call('HSET', record, 'owner', owner, 'incarnation', incarnation, 'id', given(3), 'window', given(4), 'acked', acked, 'why', given(6),
      'position', position, 'sent', given(8), 'told', given(9), 'resumes', given(10))
    redis.call('PEXPIRE', record, given(2))
    answer[nth] = acked
  end
end
return answer
