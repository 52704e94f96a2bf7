//! What quota servers share in a store: who of them leads, and the limits that were set by hand.
//!
//! Three keys, which stand on one node of a cluster: `{PREFIX:quota}:leader` (a hash that expires), `:term` (the number of the
//! last leader) and `:limits` (a hash: by resource, `100m` or `deleted`). A write says its term; one of a server that is no
//! longer the leader changes nothing.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use super::store::QuotaStoreError;
use crate::quota::by_hand::{ByHand, Setting};
use crate::quota::id::Id;
use crate::quota::lead::Reply;
use crate::shared_store::{Link, RedisSource, Script};

/// Gives the lease to the caller if nobody has it, or the caller.
const ASK: &str = "
local held = redis.call('HMGET', KEYS[1], 'id', 'term', 'address')
if held[1] and held[1] ~= ARGV[1] then return {'other', held[3]} end
local term = held[2]
if not held[1] then term = redis.call('INCR', KEYS[2]) end
redis.call('HSET', KEYS[1], 'id', ARGV[1], 'term', term, 'address', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {'held', tostring(term)}
";

const READ: &str = "return redis.call('HGETALL', KEYS[1])";

/// Keeps a setting, if the caller still leads.
const PUT: &str = "
local held = redis.call('HMGET', KEYS[1], 'id', 'term')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return {'stale'} end
if ARGV[4] == '' then redis.call('HDEL', KEYS[2], ARGV[3]) else redis.call('HSET', KEYS[2], ARGV[3], ARGV[4]) end
return {'kept'}
";

const RELEASE: &str = "
if redis.call('HGET', KEYS[1], 'id') == ARGV[1] then redis.call('DEL', KEYS[1]) end
return {}
";

/// How long a change may take.
const PUT_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct SharedLimits {
    link: Link,
    /// Which run of a server this is.
    id: String,
    /// Where clients reach it.
    address: String,
    leader: String,
    term: String,
    limits: String,
    ask: Script,
    read: Script,
    put: Script,
    release: Script,
}

impl SharedLimits {
    /// # Errors
    /// A file of the source cannot be read.
    pub(super) fn new(source: RedisSource, address: String) -> Result<Self, QuotaStoreError> {
        let key = |name: &str| format!("{{{}:quota}}:{name}", source.prefix);
        let [leader, term, limits] = ["leader", "term", "limits"].map(key);
        let link = Link::new(source).map_err(|error| QuotaStoreError(error.to_string()))?;
        Ok(Self {
            link,
            id: format!("{:016x}", RandomState::new().build_hasher().finish()),
            address,
            leader,
            term,
            limits,
            ask: Script::new(ASK),
            read: Script::new(READ),
            put: Script::new(PUT),
            release: Script::new(RELEASE),
        })
    }

    /// The store, for messages.
    pub(super) fn source(&self) -> &RedisSource {
        self.link.source()
    }

    /// Asks for the lease, or to have it longer.
    pub(super) async fn ask(&self, lease: Duration, timeout: Duration) -> Result<Reply, QuotaStoreError> {
        let lease = lease.as_millis().to_string();
        let answer = self
            .link
            .run(&self.ask, &[&self.leader, &self.term], &[&self.id, &self.address, &lease], timeout)
            .await
            .map_err(|error| self.failed(&error))?;
        match answer.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["held", term] => {
                let term = term.parse().map_err(|_| self.failed(&"the number of its leader is not valid"))?;
                Ok(Reply::Held { term })
            }
            ["other", leader] => Ok(Reply::Other { leader: leader.to_owned() }),
            _ => Err(self.failed(&"its answer is not valid")),
        }
    }

    /// Reads what was set by hand.
    pub(super) async fn read(&self, timeout: Duration) -> Result<ByHand, QuotaStoreError> {
        let answer = self.link.run(&self.read, &[&self.limits], &[], timeout).await;
        let words = answer.map_err(|error| self.failed(&error))?;
        let words = words.chunks_exact(2).map(|pair| (pair[0].as_str(), pair[1].as_str()));
        ByHand::from_words(words).map_err(|error| {
            self.failed(&format_args!("{}: {error}; correct it (HSET) or take it out (HDEL)", self.limits))
        })
    }

    /// Keeps a setting, if this server leads in `term`.
    ///
    /// # Errors
    /// It does not, or the store cannot be reached. It may be kept all the same if the store did not answer.
    pub(super) async fn put(
        &self,
        term: u64,
        resource: &Id,
        setting: Option<Setting>,
    ) -> Result<(), QuotaStoreError> {
        let (term, word) = (term.to_string(), setting.map_or_else(String::new, Setting::word));
        let args = [self.id.as_str(), &term, resource.as_str(), &word];
        let answer = self.link.run(&self.put, &[&self.leader, &self.limits], &args, PUT_TIMEOUT).await;
        match answer.map_err(|error| self.failed(&error))?.first().map(String::as_str) {
            Some("kept") => Ok(()),
            Some("stale") => Err(QuotaStoreError("another server leads now; ask again".to_owned())),
            _ => Err(self.failed(&"its answer is not valid")),
        }
    }

    /// Gives the lease back, so that another server need not wait for its end.
    pub(super) async fn release(&self, timeout: Duration) -> Result<(), QuotaStoreError> {
        let answer = self.link.run(&self.release, &[&self.leader], &[&self.id], timeout).await;
        answer.map(drop).map_err(|error| self.failed(&error))
    }

    fn failed(&self, why: &dyn std::fmt::Display) -> QuotaStoreError {
        QuotaStoreError(format!("store {}: {why}", self.link.source()))
    }
}
