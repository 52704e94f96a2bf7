-- Says whether streams are as a server has them: for each its incarnation or nothing, its head, and whether the server's last event is
-- there with the same content: 1, 0, or nothing where that cannot be said.
-- KEYS: about and log of each. ARGV: how long about is kept in ms or nothing; for each number, type and data of the server's last event; the
-- number is empty where content is not to be compared.
local answer = {}
for at = 0, #KEYS / 2 - 1 do
  local about, log = KEYS[at * 2 + 1], KEYS[at * 2 + 2]
  local was = redis.call('HMGET', about, 'incarnation', 'head')
  local number, same = ARGV[at * 3 + 2], ''
  if number ~= '' then
    local entry = redis.call('XRANGE', log, number .. '-0', number .. '-0')[1]
    if entry then
      same = (entry[2][4] == ARGV[at * 3 + 3] and entry[2][8] == ARGV[at * 3 + 4]) and '1' or '0'
    end
  end
  if was[1] and ARGV[1] ~= '' then
    local left = redis.call('PTTL', about)
    if left >= 0 and left < tonumber(ARGV[1]) then redis.call('PEXPIRE', about, ARGV[1]) end
  end
  answer[#answer + 1] = was[1] or ''
  answer[#answer + 1] = was[2] or '0'
  answer[#answer + 1] = same
end
return answer
