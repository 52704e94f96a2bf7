//! The record in a shared store of what clients may be spending: scripts that keep and read it, and its text.
//!
//! It is trusted only where the store cannot have lost some of it: in the process that it was written to, and only as long as
//! that takes writes. A restart, or another process that takes over, may lack the last of them.

use crate::quota::book::StoredShares;
use crate::quota::id::Id;
use crate::shared_store::Script;

/// Which process of the store this is, and since when it takes writes: as long as that is the same, it has lost nothing that
/// it was told. A script is copied by what it does, so that a copy does not say its own name.
const RUN: &str = "
if redis.replicate_commands then redis.replicate_commands() end
local function run()
  local server, replication = redis.pcall('INFO', 'server'), redis.pcall('INFO', 'replication')
  if type(server) ~= 'string' or type(replication) ~= 'string' then return nil end
  local id, since = string.match(server, 'run_id:(%w+)'), string.match(replication, 'master_replid:(%w+)')
  return id and since and '1 ' .. id .. ' ' .. since
end
local held = redis.call('HMGET', KEYS[1], 'id', 'term', 'question', 'kept')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] or held[3] ~= ARGV[3] then return {'stale'} end
";

/// Keeps what clients may be spending, in the place of all that is kept or of what is kept of them.
const KEEP: &str = "
if held[4] and tonumber(held[4]) >= tonumber(ARGV[4]) then return {'late'} end
local all, now = ARGV[5] == 'all', run()
if not now then return redis.error_reply('ERR INFO must be allowed: it says whether something may be lost') end
if not all and redis.call('HGET', KEYS[2], '#') ~= now then return {'lost'} end
redis.call('HSET', KEYS[1], 'kept', ARGV[4])
if all then
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[2], '#', now)
end
for at = 6, #ARGV, 2 do
  if ARGV[at + 1] == '' then redis.call('HDEL', KEYS[2], ARGV[at]) else redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 1]) end
end
return {'kept'}
";

/// Reads that, unless some of it may be lost: then nothing is left of it. Earlier writes of the same term come too late from
/// then on: what is read stays as it is.
const READ: &str = "
if held[4] and tonumber(held[4]) >= tonumber(ARGV[4]) then return {'late'} end
redis.call('HSET', KEYS[1], 'kept', ARGV[4])
local now = run()
if now and redis.call('HGET', KEYS[2], '#') == now then return redis.call('HGETALL', KEYS[2]) end
redis.call('DEL', KEYS[2])
return {}
";

/// Takes it out, also where the store is full: that refuses what needs memory, unless something was deleted before.
const FORGET: &str = "
if held[4] and tonumber(held[4]) >= tonumber(ARGV[4]) then return {'late'} end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[1], 'kept', ARGV[4])
return {'kept'}
";

/// The record, by client.
pub(super) type Leases = Vec<(Id, StoredShares)>;

/// Its key, and what is done with it. Each script is passed the keys of the leader and of the record, and the leader's id, term
/// and question, and the number of the call.
pub(super) struct LeaseRecord {
    pub(super) key: String,
    pub(super) keep: Script,
    pub(super) read: Script,
    pub(super) forget: Script,
}

impl LeaseRecord {
    pub(super) fn new(key: String) -> Self {
        let script = |text: &str| Script::new(&format!("{RUN}{text}"));
        Self { key, keep: script(KEEP), read: script(READ), forget: script(FORGET) }
    }
}

/// A client's entry: `egress=1000000 api=500`, in micro-units a second, and on the next line its instance. Empty if it may be
/// spending nothing.
pub(super) fn text(stored: &Option<StoredShares>) -> String {
    let Some(StoredShares { instance, shares }) = stored else { return String::new() };
    let shares: Vec<String> = shares.iter().map(|(resource, held)| format!("{resource}={held}")).collect();
    format!("{}\n{instance}", shares.join(" "))
}

/// Reads the fields and values of a record.
///
/// # Errors
/// One is not valid; says which.
pub(super) fn parse(words: &[String]) -> Result<Leases, String> {
    let entries = words.chunks_exact(2).filter(|entry| entry[0] != "#");
    let read = |entry: &[String]| Some((entry[0].parse().ok()?, parse_entry(&entry[1])?));
    entries.map(|entry| read(entry).ok_or_else(|| format!("the entry {:?} is not valid", entry[0]))).collect()
}

fn parse_entry(text: &str) -> Option<StoredShares> {
    let (shares, instance) = text.split_once('\n')?;
    let share = |word: &str| {
        let (resource, held) = word.split_once('=')?;
        Some((resource.parse().ok()?, held.parse().ok().filter(|held| *held > 0)?))
    };
    let shares = shares.split(' ').map(share).collect::<Option<Vec<_>>>()?;
    Some(StoredShares { instance: instance.to_owned(), shares })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        for (instance, shares) in
            [("", &[("a", 1)][..]), ("run 7\nof = it", &[("a", u64::MAX), ("b:/@-._", 5)])]
        {
            let shares = shares.iter().map(|(resource, held)| (resource.parse().unwrap(), *held)).collect();
            let stored = StoredShares { instance: instance.to_owned(), shares };
            let words = ["#", "1 a b", "web-1", &text(&Some(stored.clone()))].map(str::to_owned);
            assert_eq!(parse(&words), Ok(vec![("web-1".parse().unwrap(), stored)]));
        }
        assert_eq!(text(&None), "");
        for wrong in ["", "a=1", "a\n", "a=0\n", "a=-1\n", "=1\n", "a=1  b=2\n"] {
            let error = parse(&["c".to_owned(), wrong.to_owned()]).unwrap_err();
            assert_eq!(error, "the entry \"c\" is not valid", "{wrong:?}");
        }
        assert!(parse(&["a b".to_owned(), "a=1\n".to_owned()]).is_err());
    }
}
