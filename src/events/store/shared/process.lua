-- Begins each script. Since when this server of the store takes writes, without a restart or another one's taking over: as long as that is the
-- same, nothing is lost that it took. A primary draws its replication id anew when it starts, and when it was made one; a copy has its primary's.
-- One section of INFO, and no more of it than that: it is asked with each publication, and `INFO server` costs as much again.
local replication = redis.pcall('INFO', 'replication')
local since = type(replication) == 'string' and string.match(replication, 'master_replid:(%w+)')
if not since then return redis.error_reply('ERR INFO must be allowed: it says whether something may be lost') end
if not string.find(replication, 'role:master', 1, true) then return redis.error_reply('READONLY it is a copy of another one, which takes writes') end
local process = string.sub(since, 1, 16) .. '-'
