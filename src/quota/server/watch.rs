//! Streams of changes: a client's own shares, and all shares for observers.
//!
//! Nothing is queued: a stream reads the book when its reader can take more, and sends what changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event_listener::EventListener;
use futures_lite::{FutureExt, Stream, stream};
use tonic::{Code, Status};

use super::shared_book::SharedBook;
use super::{messages, status};
use crate::clock::Sleep;
use crate::quota::book::ShareView;
use crate::quota::id::Id;
use crate::quota::wire::{AllocationChanges, ClientShare};

/// Shortest time between two reads of a stream, plus the same for each thousand clients, so that a change that concerns all
/// of them does not use a whole processor.
const PAUSE: Duration = Duration::from_millis(100);

/// Interval of updates to observers.
const TICK: Duration = Duration::from_millis(250);

/// Clients whose shares are read under one lock.
const PAGE: usize = 256;

/// Slots for streams of one kind.
#[derive(Clone)]
pub(super) struct Slots(Arc<AtomicUsize>, usize);

/// A slot; released when dropped.
pub(super) struct Slot(Arc<AtomicUsize>);

impl Slots {
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::default(), most)
    }

    /// # Errors
    /// All slots are taken.
    pub(super) fn take(&self) -> Result<Slot, Status> {
        let slot = Slot(Arc::clone(&self.0));
        if self.0.fetch_add(1, Ordering::Relaxed) < self.1 {
            return Ok(slot);
        }
        let text = format!("the limit of {} streams is reached", self.1);
        Err(status::of_reason(Code::ResourceExhausted, "TOO_MANY_STREAMS", &text))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

type Changes = Result<AllocationChanges, Status>;

/// Changes of a client's own shares, after all of them.
pub(super) fn own(
    book: Arc<SharedBook>,
    client: Id,
    instance: String,
    slot: Slot,
) -> impl Stream<Item = Changes> + Send + use<> {
    struct State {
        book: Arc<SharedBook>,
        client: Id,
        instance: String,
        told: BTreeMap<Id, u64>,
        is_first: bool,
        over: bool,
        ending: Option<EventListener>,
        _slot: Slot,
    }
    let ending = Some(book.ending.listen());
    let (told, is_first) = (BTreeMap::new(), true);
    let state = State { book, client, instance, told, is_first, over: false, ending, _slot: slot };
    stream::unfold(state, |mut state| async move {
        while !state.over {
            let freed = state.book.listen();
            let looked = state.book.granting(|book, now| {
                let allocations = book.allocations(now, &state.client, &state.instance);
                (allocations, book.epoch(), PAUSE + PAUSE * u32::try_from(book.live() / 1000).unwrap_or(0))
            });
            let looked = looked.await;
            let (allocations, epoch, pause) = match looked {
                Ok((Ok(allocations), epoch, pause)) => (allocations, epoch, pause),
                Ok((Err(error), ..)) => {
                    state.over = true;
                    return Some((Err(status::of_book(&error)), state));
                }
                Err(not_leader) => {
                    state.over = true;
                    return Some((Err(not_leader.into()), state));
                }
            };
            let changed: Vec<_> = allocations
                .iter()
                .filter(|allocation| state.told.get(&allocation.resource) != Some(&allocation.version))
                .map(messages::allocation)
                .collect();
            state.told =
                allocations.into_iter().map(|allocation| (allocation.resource, allocation.version)).collect();
            if !changed.is_empty() || state.is_first {
                state.is_first = false;
                return Some((Ok(AllocationChanges { epoch, allocations: changed, shares: vec![] }), state));
            }
            let ending = state.ending.take().unwrap_or_else(|| state.book.ending.listen());
            if !state.book.freed(freed, ending).await {
                state.over = true;
                return Some((Err(ends()), state));
            }
            state.ending = Some(state.book.ending.listen());
            Sleep::lasting(Arc::clone(state.book.clock()), pause).await;
        }
        None
    })
}

/// Changes of all clients' shares of one resource or of all, for observers.
pub(super) fn all(
    book: Arc<SharedBook>,
    resource: Option<Id>,
    slot: Slot,
) -> impl Stream<Item = Changes> + Send + use<> {
    struct State {
        book: Arc<SharedBook>,
        resource: Option<Id>,
        told: BTreeMap<(Id, Id), ShareView>,
        seen: Option<u64>,
        over: bool,
        _slot: Slot,
    }
    let state = State { book, resource, told: BTreeMap::new(), seen: None, over: false, _slot: slot };
    stream::unfold(state, |mut state| async move {
        while !state.over {
            let ending = state.book.ending.listen();
            let looked = state.book.leading(|book, now| {
                book.advance(now);
                (book.changed(), book.epoch())
            });
            let (changed, epoch) = match looked {
                Ok(looked) => looked,
                Err(not_leader) => {
                    state.over = true;
                    return Some((Err(not_leader.into()), state));
                }
            };
            let is_first = state.seen.is_none();
            if state.seen != Some(changed) {
                state.seen = Some(changed);
                let shares = differing(&state.book, state.resource.as_ref(), &mut state.told);
                if !shares.is_empty() || is_first {
                    return Some((Ok(AllocationChanges { epoch, allocations: vec![], shares }), state));
                }
            }
            let tick = async {
                Sleep::lasting(Arc::clone(state.book.clock()), TICK).await;
                false
            };
            let ended = async {
                ending.await;
                true
            };
            if ended.or(tick).await {
                state.over = true;
                return Some((Err(ends()), state));
            }
        }
        None
    })
}

fn ends() -> Status {
    Status::unavailable("the server ends; connect again")
}

/// The shares that differ from `told`, which is updated. The lock is released between pages.
fn differing(
    book: &SharedBook,
    only: Option<&Id>,
    told: &mut BTreeMap<(Id, Id), ShareView>,
) -> Vec<ClientShare> {
    let mut shares = Vec::new();
    let mut now = BTreeMap::new();
    let mut after: Option<Id> = None;
    loop {
        let page = book.with(|book, now| book.clients(now, after.as_ref(), PAGE));
        let Some(last) = page.last() else { break };
        after = Some(last.client.clone());
        for client in page {
            for share in client.shares {
                if only.is_none_or(|only| *only == share.resource) {
                    now.insert((client.client.clone(), share.resource.clone()), share);
                }
            }
        }
    }
    for ((client, resource), share) in &now {
        if told.get(&(client.clone(), resource.clone())) != Some(share) {
            let share = Some(messages::share(share));
            shares.push(ClientShare { client_id: client.to_string(), share, gone: false });
        }
    }
    for ((client, resource), share) in told.iter() {
        if !now.contains_key(&(client.clone(), resource.clone())) {
            let share = Some(messages::share(&ShareView { rate: 0, target: 0, ..share.clone() }));
            shares.push(ClientShare { client_id: client.to_string(), share, gone: true });
        }
    }
    *told = now;
    shares
}
