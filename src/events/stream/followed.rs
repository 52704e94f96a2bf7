//! Subscribers that a shared store knows: what is to be written of them, and those that come from another server or go
//! to one.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::super::log::Located;
use super::super::subscriber::{Known, Phase, Subscriber};
use super::super::subscriber_record::{SubscriberRecord, life};
use super::{Stream, StreamContext};
use crate::budget::ClientKey;

/// The most forgotten subscribers that are to be taken out of the store; it takes out others itself when their time is over.
const MAX_GONE: usize = 10_000;

/// Which subscribers a store knows, and what is to be written of them.
#[derive(Debug)]
pub(super) struct Followed {
    /// What the store calls the subscriber with a token.
    name_of: fn(&str) -> String,
    /// Keys by the names that the store has for them. Invariant: exactly the subscribers whose `known` is set.
    names: HashMap<Box<str>, usize>,
    /// Those among them whose record is to be written.
    changed: BTreeSet<usize>,
    /// Those that were forgotten before their time, by name and tenure.
    gone: Vec<(Box<str>, u64)>,
}

impl Followed {
    pub(super) fn new(name_of: fn(&str) -> String) -> Self {
        Self { name_of, names: HashMap::new(), changed: BTreeSet::new(), gone: Vec::new() }
    }
}

/// What a store is to write.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::events) struct Change {
    pub(in crate::events) name: Box<str>,
    pub(in crate::events) tenure: u64,
    /// The record, and how long it is kept; `None` if the subscriber is forgotten.
    pub(in crate::events) kept: Option<(SubscriberRecord, Duration)>,
}

/// What a store had of a subscriber that is this server's from now on.
#[derive(Debug)]
pub(in crate::events) struct Claimed {
    pub(in crate::events) record: SubscriberRecord,
    pub(in crate::events) tenure: u64,
    /// The tenure before, if it was this server's.
    pub(in crate::events) former: Option<u64>,
    /// [`Stream::generation`] when the store was asked: the record's numbers are of the log of that time.
    pub(in crate::events) generation: u64,
}

/// What became of a subscriber that was claimed.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::events) enum Adopted {
    /// It goes on as it is known here.
    Kept,
    /// It goes on as another server knew it. An older one of the same token is gone: its key, and the client whose slot
    /// it had.
    Inserted { gone: Option<(usize, ClientKey)> },
    /// The log is another one now: the store is to be asked again.
    Again,
}

impl Stream {
    /// Whether a subscriber has this token.
    pub(in crate::events) fn has_token(&self, token: &str) -> bool {
        self.tokens.contains_key(token)
    }

    /// How often the log began anew with what a store has: numbers of another generation say nothing.
    pub(in crate::events) fn generation(&self) -> u64 {
        self.generation
    }

    /// Has the store know the subscriber at `key` as it is now.
    pub(super) fn note(&mut self, key: usize) {
        let Some(followed) = &mut self.followed else { return };
        let subscriber = &mut self.subscribers[key];
        if subscriber.known.is_none() {
            let name: Box<str> = (followed.name_of)(&subscriber.token).into();
            followed.names.insert(name.clone(), key);
            subscriber.known = Some(Box::new(Known { name, tenure: 0, written: None }));
        }
        followed.changed.insert(key);
    }

    /// Has the store forget a subscriber, unless its record is over by itself.
    pub(super) fn note_forgotten(&mut self, key: usize, context: &StreamContext<'_>) {
        let Some(followed) = &mut self.followed else { return };
        let subscriber = &self.subscribers[key];
        if let Some(known) = &subscriber.known
            && !subscriber.is_forgotten(context.settings, context.now)
            && followed.gone.len() < MAX_GONE
        {
            followed.gone.push((known.name.clone(), known.tenure));
        }
    }

    /// Writes no more of a subscriber.
    pub(super) fn unfollow(&mut self, key: usize) {
        let Some(followed) = &mut self.followed else { return };
        followed.changed.remove(&key);
        if let Some(known) = self.subscribers[key].known.take() {
            followed.names.remove(&known.name);
        }
    }

    /// Has the records of connected subscribers written again before they are over.
    pub(super) fn renew(&mut self, context: &StreamContext<'_>) {
        let Some(followed) = &mut self.followed else { return };
        let half = context.settings.ttl / 2;
        let is_due = |known: &Known| known.written.is_none_or(|written| context.now - written >= half);
        for (key, subscriber) in &self.subscribers {
            if subscriber.idle.is_none() && subscriber.known.as_deref().is_some_and(is_due) {
                followed.changed.insert(key);
            }
        }
    }

    /// Has all records written again: the store may have lost some, and this server what others said of its subscribers.
    pub(in crate::events) fn renew_all(&mut self) {
        if let Some(followed) = &mut self.followed {
            followed.changed.extend(followed.names.values());
        }
    }

    /// Whether something is to be written.
    pub(in crate::events) fn has_changes(&self) -> bool {
        self.followed
            .as_ref()
            .is_some_and(|followed| !(followed.changed.is_empty() && followed.gone.is_empty()))
    }

    /// Takes at most `most` of what is to be written; what was forgotten first.
    pub(in crate::events) fn take_changes(
        &mut self,
        most: usize,
        context: &StreamContext<'_>,
    ) -> Vec<Change> {
        let Some(followed) = &mut self.followed else { return Vec::new() };
        let gone = followed.gone.drain(..most.min(followed.gone.len()));
        let mut changes: Vec<Change> =
            gone.map(|(name, tenure)| Change { name, tenure, kept: None }).collect();
        while changes.len() < most
            && let Some(key) = followed.changed.pop_first()
        {
            changes.extend(change(&mut self.subscribers[key], context));
        }
        changes
    }

    /// What is to be written of the subscriber with this token, which the store knows from now on.
    pub(in crate::events) fn change_of(
        &mut self,
        token: &str,
        context: &StreamContext<'_>,
    ) -> Option<Change> {
        let key = *self.tokens.get(token)?;
        self.note(key);
        self.followed.as_mut()?.changed.remove(&key);
        change(&mut self.subscribers[key], context)
    }

    /// Has what could not be written be written later.
    pub(in crate::events) fn return_changes(&mut self, changes: Vec<Change>) {
        let Some(followed) = &mut self.followed else { return };
        for change in changes {
            match followed.names.get(&change.name) {
                Some(key) => _ = followed.changed.insert(*key),
                None if followed.gone.len() < MAX_GONE => followed.gone.push((change.name, change.tenure)),
                None => {}
            }
        }
    }

    /// Forgets a subscriber that another server has since its tenure here, also if it is connected. Returns its key, and
    /// the client whose slot it had.
    pub(in crate::events) fn taken(
        &mut self,
        name: &str,
        tenure: u64,
        context: &StreamContext<'_>,
    ) -> Option<(usize, ClientKey)> {
        let key = *self.followed.as_ref()?.names.get(name)?;
        let is_of_it = self.subscribers[key].known.as_ref().is_some_and(|known| known.tenure == tenure);
        is_of_it.then(|| (key, self.remove(key, context)))
    }

    /// Acknowledges everything up to the number `seq` of a log of this generation, as another server was told. Returns the
    /// subscriber's key: it may be sent more now.
    pub(in crate::events) fn acknowledged_elsewhere(
        &mut self,
        name: &str,
        seq: u64,
        generation: u64,
        context: &StreamContext<'_>,
    ) -> Option<usize> {
        if generation != self.generation {
            return None;
        }
        let key = *self.followed.as_ref()?.names.get(name)?;
        self.acknowledge(key, seq, context);
        Some(key)
    }

    fn acknowledge(&mut self, key: usize, seq: u64, context: &StreamContext<'_>) {
        // What was not read here yet was not sent from here either.
        let seq = seq.min(self.log.head());
        let subscriber = &mut self.subscribers[key];
        if let Phase::Suspended(suspension) = &mut subscriber.phase {
            suspension.position = suspension.position.max(seq);
        }
        subscriber.queue.sent_elsewhere(seq);
        let took = subscriber.queue.ack(seq, context.now).unwrap_or_default();
        context.counts.note_acknowledged(took);
        subscriber.settle(context);
    }

    /// Goes on with a subscriber that was claimed: as it is known here if nobody else had it since, else as the store has
    /// it. `last_id` is what its client says that it has.
    pub(in crate::events) fn adopt(
        &mut self,
        claimed: Claimed,
        token: &str,
        client: &ClientKey,
        last_id: Option<&str>,
        context: &StreamContext<'_>,
    ) -> Adopted {
        if claimed.generation != self.generation {
            return Adopted::Again;
        }
        let mut gone = None;
        if let Some(key) = self.tokens.get(token).copied() {
            let tenure = self.subscribers[key].known.as_ref().map(|known| known.tenure);
            if tenure.is_some_and(|tenure| tenure > claimed.tenure) {
                // Another request of this token came first.
                return Adopted::Kept;
            }
            if tenure.is_some() && tenure == claimed.former {
                // Another server may have been told of an acknowledgement.
                let polled = claimed.record.suspended.as_ref().map_or(0, |of| of.position);
                self.acknowledge(key, claimed.record.acked.max(polled), context);
                self.set_tenure(key, claimed.tenure);
                return Adopted::Kept;
            }
            gone = Some((key, self.remove(key, context)));
        }
        let mut subscriber =
            claimed.record.into_subscriber(token.to_owned(), client.clone(), &self.log, context.now);
        let is_unknown = |id: &&str| self.log.locate(id) == Located::Unknown;
        if let (Some(id), Phase::Away { .. }) = (last_id.filter(is_unknown), &subscriber.phase) {
            // The store may have lost what it had.
            subscriber.unknown = Some(self.unknown(id.to_owned()));
        }
        let key = self.subscribers.insert(subscriber);
        self.tokens.insert(token.to_owned(), key);
        self.enter_idle(key, context.now);
        self.note(key);
        self.set_tenure(key, claimed.tenure);
        Adopted::Inserted { gone }
    }

    fn set_tenure(&mut self, key: usize, tenure: u64) {
        if let Some(known) = &mut self.subscribers[key].known {
            known.tenure = known.tenure.max(tenure);
        }
    }

    /// The number of the event that a client says it has; that before the log if nobody knows it any more.
    pub(in crate::events) fn received(&self, last_id: Option<&str>) -> Option<u64> {
        match self.log.locate(last_id?) {
            Located::At(seq) | Located::Behind(seq) => Some(seq),
            Located::Unknown => Some(self.log.first() - 1),
        }
    }
}

fn change(subscriber: &mut Subscriber, context: &StreamContext<'_>) -> Option<Change> {
    let kept = (SubscriberRecord::of(subscriber), life(subscriber, context.settings, context.now));
    let known = subscriber.known.as_mut()?;
    known.written = Some(context.now);
    Some(Change { name: known.name.clone(), tenure: known.tenure, kept: Some(kept) })
}
