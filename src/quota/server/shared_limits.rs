//! What quota servers share in a store: who of them leads, and the limits that were set by hand.
//!
//! Five keys, which stand on one node of a cluster: `{PREFIX:quota}:leader` (a hash that expires), `:term` (the number of the
//! last leader), `:longest` (the longest heartbeat timeout of leases that may run, in ms), `:limits` (a hash: by resource,
//! `100m` or `deleted`) and `:leases` (a hash: by client, what it may be spending). A write says its term and its own number; one of a
//! server that is no longer the leader, or one that comes behind a later one, changes nothing.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::kept_leases::{Answered, Batch};
use super::lease_record::{self, LeaseRecord, Leases};
use super::store::QuotaStoreError;
use crate::quota::by_hand::{ByHand, Setting};
use crate::quota::id::Id;
use crate::quota::lead::{PART, Reply, Term};
use crate::shared_store::{Link, RedisSource, Script};

/// Gives the lease to the caller if nobody has it, or the caller. Says at which of the caller's questions it was given: the
/// answer to that one may have been lost. A longer heartbeat timeout of others is forgotten when the caller says that its
/// term has outlasted all leases of theirs.
const ASK: &str = "
local held = redis.call('HMGET', KEYS[1], 'id', 'term', 'address', 'question')
if held[1] and held[1] ~= ARGV[1] then return {'other', held[3]} end
local term, question = held[2], held[4]
if not held[1] then term, question = redis.call('INCR', KEYS[2]), ARGV[4] end
redis.call('HSET', KEYS[1], 'id', ARGV[1], 'term', term, 'address', ARGV[2], 'question', question)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
local longest = ARGV[5]
if held[4] ~= ARGV[6] then
  longest = math.max(tonumber(redis.call('GET', KEYS[3]) or 0), tonumber(longest))
end
redis.call('SET', KEYS[3], string.format('%.0f', longest))
return {'held', tostring(term), question, string.format('%.0f', longest)}
";

const READ: &str = "return redis.call('HGETALL', KEYS[1])";

/// Keeps a setting, if the caller still leads and no later setting of it is kept.
const PUT: &str = "
local held = redis.call('HMGET', KEYS[1], 'id', 'term', 'question', 'put')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] or held[3] ~= ARGV[5] then return {'stale'} end
if held[4] and tonumber(held[4]) >= tonumber(ARGV[6]) then return {'late'} end
redis.call('HSET', KEYS[1], 'put', ARGV[6])
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
    longest: String,
    limits: String,
    leases: LeaseRecord,
    ask: Script,
    read: Script,
    put: Script,
    release: Script,
    /// Calls that failed.
    pub(super) errors: Arc<AtomicU64>,
    /// Questions asked, and settings put.
    questions: AtomicU64,
    puts: AtomicU64,
}

impl SharedLimits {
    /// # Errors
    /// A file of the source cannot be read.
    pub(super) fn new(source: RedisSource, address: String) -> Result<Self, QuotaStoreError> {
        let key = |name: &str| format!("{{{}:quota}}:{name}", source.prefix);
        let [leader, term, longest, limits] = ["leader", "term", "longest", "limits"].map(key);
        let leases = LeaseRecord::new(key("leases"));
        let link = Link::new(source).map_err(|error| QuotaStoreError(error.to_string()))?;
        Ok(Self {
            link,
            id: format!("{:016x}", RandomState::new().build_hasher().finish()),
            address,
            leader,
            term,
            longest,
            limits,
            leases,
            ask: Script::new(ASK),
            read: Script::new(READ),
            put: Script::new(PUT),
            release: Script::new(RELEASE),
            errors: Arc::default(),
            questions: AtomicU64::new(0),
            puts: AtomicU64::new(0),
        })
    }

    /// The store, for messages.
    pub(super) fn source(&self) -> &RedisSource {
        self.link.source()
    }

    /// Asks for the lease, or to have it longer. `timeout` is the server's heartbeat timeout, and `settled` the term if that
    /// has outlasted all leases of earlier ones.
    pub(super) async fn ask(
        &self,
        timeout: Duration,
        settled: Option<Term>,
        within: Duration,
    ) -> Result<Reply, QuotaStoreError> {
        let lease = (timeout / PART).as_millis().to_string();
        let timeout = timeout.as_millis().to_string();
        let settled = settled.map_or_else(String::new, |term| term.question.to_string());
        let question = next(&self.questions);
        let keys = [self.leader.as_str(), &self.term, &self.longest];
        let args = [self.id.as_str(), &self.address, &lease, &question, &timeout, &settled];
        let answer = self.link.run(&self.ask, &keys, &args, within).await;
        let answer = answer.map_err(|error| self.failed(&error))?;
        match answer.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["held", number, question, longest] => {
                let parsed = number.parse().and_then(|number| {
                    let term = Term { number, question: question.parse()? };
                    Ok(Reply::Held { term, longest: Duration::from_millis(longest.parse()?) })
                });
                parsed.map_err(|_| self.failed(&"the number of its leader is not valid"))
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
        term: Term,
        resource: &Id,
        setting: Option<Setting>,
    ) -> Result<(), QuotaStoreError> {
        let (number, question) = (term.number.to_string(), term.question.to_string());
        let (word, put) = (setting.map_or_else(String::new, Setting::word), next(&self.puts));
        let args = [self.id.as_str(), &number, resource.as_str(), &word, &question, &put];
        let answer = self.link.run(&self.put, &[&self.leader, &self.limits], &args, PUT_TIMEOUT).await;
        match answer.map_err(|error| self.failed(&error))?.first().map(String::as_str) {
            Some("kept") => Ok(()),
            Some("late") => Err(QuotaStoreError("a later change is kept; ask again".to_owned())),
            Some("stale") => Err(QuotaStoreError("another server leads now; ask again".to_owned())),
            _ => Err(self.failed(&"its answer is not valid")),
        }
    }

    /// Keeps what clients may be spending.
    ///
    /// # Errors
    /// The store cannot be reached, or cannot keep it. It may have kept it all the same.
    pub(super) async fn keep(&self, batch: &Batch, timeout: Duration) -> Result<Answered, QuotaStoreError> {
        let number = next(&self.puts);
        let records = batch.clients.iter().map(|(client, shares)| (client, lease_record::text(shares)));
        let records: Vec<(&Id, String)> = records.collect();
        let extent = if batch.is_all { "all" } else { "some" };
        let mut args = vec![number.as_str(), extent];
        args.extend(records.iter().flat_map(|(client, record)| [client.as_str(), record]));
        let answer = self.of_leases(&self.leases.keep, batch.term, &args, timeout).await?;
        self.answered(&answer)
    }

    /// What clients may be spending, if nothing of that can be lost; `None` if it has to be learned.
    ///
    /// # Errors
    /// The store cannot be reached, another server leads, or what it keeps is not valid.
    pub(super) async fn read_leases(
        &self,
        term: Term,
        timeout: Duration,
    ) -> Result<Option<Leases>, QuotaStoreError> {
        let number = next(&self.puts);
        let answer = self.of_leases(&self.leases.read, term, &[&number], timeout).await?;
        match &answer[..] {
            [] => Ok(None),
            // A record has two words for each client, whose name may be one of these.
            [only] if only == "stale" => Err(QuotaStoreError("another server leads now".to_owned())),
            [only] if only == "late" => Err(self.failed(&"a later write of what is leased came first")),
            _ => lease_record::parse(&answer)
                .map(Some)
                .map_err(|error| self.failed(&format_args!("{}: {error}; delete it (DEL)", self.leases.key))),
        }
    }

    /// Takes out what is kept of leases: the next leader learns them. `Kept` says that it is so.
    ///
    /// # Errors
    /// The store cannot be reached, or cannot do it. It may be done all the same.
    pub(super) async fn forget_leases(
        &self,
        term: Term,
        timeout: Duration,
    ) -> Result<Answered, QuotaStoreError> {
        let number = next(&self.puts);
        let answer = self.of_leases(&self.leases.forget, term, &[&number], timeout).await?;
        self.answered(&answer)
    }

    /// What the store said to a write of leases.
    fn answered(&self, answer: &[String]) -> Result<Answered, QuotaStoreError> {
        match answer.first().map(String::as_str) {
            Some("kept") => Ok(Answered::Kept),
            Some("lost") => Ok(Answered::Lost),
            Some("stale") => Ok(Answered::Stale),
            Some("late") => Err(self.failed(&"a later write of what is leased came first")),
            _ => Err(self.failed(&"its answer is not valid")),
        }
    }

    async fn of_leases(
        &self,
        script: &Script,
        term: Term,
        args: &[&str],
        timeout: Duration,
    ) -> Result<Vec<String>, QuotaStoreError> {
        let (number, question) = (term.number.to_string(), term.question.to_string());
        let args = [&[self.id.as_str(), &number, &question], args].concat();
        let answer = self.link.run(script, &[&self.leader, &self.leases.key], &args, timeout).await;
        answer.map_err(|error| self.failed(&error))
    }

    /// Gives the lease back, so that another server need not wait for its end.
    pub(super) async fn release(&self, timeout: Duration) -> Result<(), QuotaStoreError> {
        let answer = self.link.run(&self.release, &[&self.leader], &[&self.id], timeout).await;
        answer.map(drop).map_err(|error| self.failed(&error))
    }

    fn failed(&self, why: &dyn std::fmt::Display) -> QuotaStoreError {
        self.errors.fetch_add(1, Ordering::Relaxed);
        QuotaStoreError(format!("store {}: {why}", self.link.source()))
    }
}

fn next(counter: &AtomicU64) -> String {
    (counter.fetch_add(1, Ordering::Relaxed) + 1).to_string()
}
