-- Says where streams stand: for each its incarnation or nothing, its run or nothing if that is not one of this process, and its head.
-- KEYS: about of each. ARGV: how long about is kept in ms, or nothing.
local answer = {process}
for _, about in ipairs(KEYS) do
  local was = redis.call('HMGET', about, 'incarnation', 'run', 'head')
  if was[1] and ARGV[1] ~= '' then
    local left = redis.call('PTTL', about)
    if left >= 0 and left < tonumber(ARGV[1]) then redis.call('PEXPIRE', about, ARGV[1]) end
  end
  answer[#answer + 1] = was[1] or ''
  answer[#answer + 1] = was[2] and string.sub(was[2], 1, #process) == process and was[2] or ''
  answer[#answer + 1] = was[3] or '0'
end
return answer
