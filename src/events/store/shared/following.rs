//! The streams that a server reads from a shared store, and joining them: in each run of the store, first of all.

use std::sync::{Arc, Weak};

use super::Shared;
use super::calls::{Given, Held, Joined, Run, Standing};
use super::reader::Reader;
use crate::events::channel::Channel;
use crate::events::event::{Event, StreamName};
use crate::events::hub::Hub;
use crate::events::hub_error::HubError;
use crate::events::log::Log;
use crate::events::store::Times;
use crate::shared_store::LinkError;

/// The most runs of a stream that a server remembers.
const RUNS: usize = 16;

/// How often a stream that others change meanwhile is joined before the connection is made anew.
const JOINS: usize = 5;

/// The most bytes that a store is given back of a stream, from the end: as much as it takes well within a call's time.
const MAX_GIVEN: u64 = 16 << 20;

/// A stream that is read.
pub(super) struct Followed {
    pub(super) channel: Weak<Channel>,
    /// The names of the runs that it was joined in, the newest first, and the base of each.
    runs: Vec<(String, u64)>,
    /// The newest one.
    pub(super) run: Run,
}

impl Followed {
    fn new(channel: &Arc<Channel>, run: Run) -> Self {
        Self { channel: Arc::downgrade(channel), runs: vec![(run.name.clone(), run.base)], run }
    }
}

impl Shared {
    /// What `of` says of the stream `name`, if `channel` is what is read of it.
    pub(super) fn of_followed<T>(
        &self,
        name: &str,
        channel: &Arc<Channel>,
        of: impl FnOnce(&mut Followed) -> T,
    ) -> Option<T> {
        let mut state = self.state.lock();
        let followed = state.followed.get_mut(name)?;
        (followed.channel.as_ptr() == Arc::as_ptr(channel)).then(|| of(followed))
    }

    /// The run in which the stream `name` was joined; `None` if it is not read.
    pub(super) fn run_of(&self, name: &StreamName, channel: &Arc<Channel>) -> Option<String> {
        self.of_followed(name.as_str(), channel, |followed| followed.run.name.clone())
    }

    /// Has the stream `name` read from now on, if it is not. `None` if the store does not have it; it is made if it `begins`, and this
    /// server has it already.
    pub(super) async fn follow(
        &self,
        hub: &Hub,
        name: &StreamName,
        begins: bool,
    ) -> Result<Option<Arc<Channel>>, LinkError> {
        let own = hub.channel(name).ok();
        let incarnation = own.as_ref().map(|own| own.with(|stream| stream.log().incarnation().to_owned()));
        let held = Held {
            name: name.as_str().to_owned(),
            incarnation: incarnation.unwrap_or_default(),
            head: 0,
            evicted: 0,
            runs: Vec::new(),
        };
        let joined = self.calls.join(&held, begins && own.is_some(), hub.jitter(), None).await?;
        let standing = match joined {
            Joined::Nothing => return Ok(None),
            Joined::Give(_) => return Err(LinkError::odd("it asks for what this server does not have")),
            Joined::Stands(standing) => standing,
        };
        let Ok(channel) = hub.channel_or_new(name) else {
            return Err(LinkError::odd("it has more streams than this server may have"));
        };
        let mut state = self.state.lock();
        let is_read = |followed: &Followed| followed.channel.as_ptr() == Arc::as_ptr(&channel);
        // Not what another request began to read meanwhile.
        if !state.followed.get(name.as_str()).is_some_and(is_read) {
            stand(hub, &channel, &standing);
            state.followed.insert(name.as_str().to_owned(), Followed::new(&channel, standing.run));
        }
        drop(state);
        self.work.notify(usize::MAX);
        Ok(Some(channel))
    }

    /// Asks the store how far a stream goes that is read. Returns false if it is not as it was, and must be joined anew.
    pub(super) async fn is_current(
        &self,
        name: &StreamName,
        channel: &Arc<Channel>,
    ) -> Result<bool, HubError> {
        let Some(run) = self.run_of(name, channel) else { return Ok(false) };
        let (incarnation, head) = channel.with(|of| (of.log().incarnation().to_owned(), of.log().head()));
        let looked = self.calls.look(&[name.as_str()], false).await.map_err(|_| HubError::StoreDown)?;
        let Some(found) = looked.streams.first() else { return Ok(false) };
        let is_same = (&found.0, &found.1) == (&incarnation, &run) && found.2 >= head;
        if is_same {
            channel.with(|stream| stream.set_due(found.2));
        }
        Ok(is_same)
    }
}

impl Reader {
    /// Joins a stream that is read in another run, or another one of its name: gives back what the store lost, or begins anew with what it has.
    pub(super) async fn join(
        &self,
        hub: &Arc<Hub>,
        name: &str,
        channel: &Arc<Channel>,
    ) -> Result<(), LinkError> {
        let mut events = Vec::new();
        let mut after = None;
        for _ in 0..JOINS {
            let Some(runs) = self.shared.of_followed(name, channel, |followed| followed.runs.clone()) else {
                return Ok(());
            };
            let mut held = held(name, channel, runs);
            // What it is not given any more is evicted there.
            held.evicted = events
                .first()
                .map_or(held.evicted, |(first, _): &(Arc<Event>, _)| held.evicted.max(first.seq - 1));
            let given = after.map(|after| Given { after, events: &events, times: Times::of(&*self.clock) });
            match self.shared.calls.join(&held, true, hub.jitter(), given).await? {
                Joined::Nothing => return Err(LinkError::odd("it has no stream that it was to make")),
                Joined::Give(behind) => {
                    events = channel.with(|stream| {
                        let tag = |event: &_| stream.log().tag_of(event).unwrap_or_default().to_owned();
                        let events = the_last(stream.events_after(behind)).into_iter();
                        events.map(|event| (Arc::clone(&event), tag(&event))).collect()
                    });
                    after = Some(behind);
                    log::warn!(route = self.route.as_str(), events = events.len(); "the store lost events: it is given back what is in memory");
                }
                Joined::Stands(standing) => {
                    self.stands(hub, name, channel, standing);
                    return Ok(());
                }
            }
        }
        Err(LinkError::odd("a stream there changes all the time"))
    }

    fn stands(&self, hub: &Hub, name: &str, channel: &Arc<Channel>, standing: Standing) {
        if standing.is_same {
            channel.with(|stream| stream.set_due(standing.head));
        } else {
            log::warn!(route = self.route.as_str(); "the store has another stream than it had: subscribers are sent a gap");
            stand(hub, channel, &standing);
        }
        self.shared.of_followed(name, channel, |followed| {
            if !standing.is_same {
                followed.runs.clear();
            }
            followed.runs.retain(|(run, _)| *run != standing.run.name);
            followed.runs.insert(0, (standing.run.name.clone(), standing.run.base));
            followed.runs.truncate(RUNS);
            followed.run = standing.run;
        });
    }
}

/// Begins anew with what the store has.
fn stand(hub: &Hub, channel: &Channel, standing: &Standing) {
    let after = standing.first.map_or(standing.head, |first| first.saturating_sub(1));
    // Of a log that goes on, nobody knows the tag of what was before it.
    let tag = standing.first.is_none().then_some(standing.end.as_str());
    let log = Log::restored(&standing.incarnation, after, standing.evicted).with_tag(tag);
    hub.with_context(|context| channel.stand(log, standing.head, context));
}

/// The end of `events`, no larger than what a store is given at once, and one event at least.
fn the_last(mut events: Vec<Arc<Event>>) -> Vec<Arc<Event>> {
    let mut bytes = 0;
    let fits = |event: &&Arc<Event>| {
        bytes += event.cost();
        bytes <= MAX_GIVEN
    };
    let given = events.iter().rev().take_while(fits).count().max(1);
    events.split_off(events.len().saturating_sub(given))
}

fn held(name: &str, channel: &Channel, runs: Vec<(String, u64)>) -> Held {
    channel.with(|stream| Held {
        name: name.to_owned(),
        incarnation: stream.log().incarnation().to_owned(),
        head: stream.log().head(),
        evicted: stream.log().evicted(),
        runs,
    })
}
