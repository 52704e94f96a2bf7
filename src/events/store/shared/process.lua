-- Begins each script. Which process of the store this is, and since when it takes writes: as long as that is the same, nothing is lost that it took.
-- After a restart, or where a copy has taken over, the last of it may be.
local server, replication = redis.pcall('INFO', 'server'), redis.pcall('INFO', 'replication')
local id = type(server) == 'string' and string.match(server, 'run_id:(%w+)')
local since = type(replication) == 'string' and string.match(replication, 'master_replid:(%w+)')
if not id or not since then return redis.error_reply('ERR INFO must be allowed: it says whether something may be lost') end
local process = string.sub(redis.sha1hex(id .. since), 1, 16) .. '-'
