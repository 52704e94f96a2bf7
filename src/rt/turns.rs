//! Bounds what new connections of one listener wait for at a time: TLS handshakes, PROXY headers.
//!
//! Connections beyond the bound wait for their turn. A free turn goes to the client with the fewest turns, and among
//! equals to the connection that came last: the client of one that has waited for long has most likely left. One that
//! has had its turn for [`GRACE`] loses it to those that wait, unless its client has fewer turns than theirs. So
//! clients that open connections and send nothing delay others by [`GRACE`], not by the whole timeout.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_lite::future;

use crate::clock::{Clock, Sleep};
use crate::sync::Mutex;

/// How long a connection has its turn while others wait. A round trip to the far side of the earth and back twice.
const GRACE: Duration = Duration::from_secs(1);

/// An address, or all clients of Unix sockets.
type Client = Option<IpAddr>;

/// The turns of a listener's new connections.
#[derive(Debug)]
pub struct Turns {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// All that wait or have a turn, by the number in which they came.
    entries: HashMap<u64, Entry>,
    came: u64,
    clients: HashMap<Client, Share>,
    /// Turns that are taken.
    running: usize,
    /// Of these, turns that were lost and not yet dropped.
    leaving: usize,
    waiting: usize,
    /// Clients that wait: the one with the fewest turns first, then the one that came last.
    next: BTreeSet<(usize, Reverse<u64>, Client)>,
    /// Clients with overdue turns, by the number of their turns.
    overdue: BTreeSet<(usize, Client)>,
}

#[derive(Debug)]
struct Entry {
    client: Client,
    phase: Phase,
    task: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting,
    Running,
    /// It has had its turn for [`GRACE`].
    Overdue,
    /// It lost its turn.
    Leaving,
}

/// What one client has.
#[derive(Debug, Default)]
struct Share {
    /// Turns, without those that were lost.
    running: usize,
    waiting: BTreeSet<u64>,
    overdue: BTreeSet<u64>,
}

/// Why a connection did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TurnLost {
    /// Others had all turns for the whole timeout.
    NoTurn,
    /// Others waited, and it had had its turn for a second.
    Given,
    /// Its turn lasted for the whole timeout.
    TooSlow,
}

/// One that waits or has its turn, until it is dropped.
struct Turn<'a> {
    of: &'a Turns,
    number: u64,
}

impl Turns {
    /// `most` turns at a time.
    pub fn new(most: usize) -> Self {
        Self { most, state: Mutex::default() }
    }

    /// Runs `work` when it is the turn of `client`. Each, the wait and the turn, may last for `timeout`.
    ///
    /// # Errors
    /// Others had the turns, or it was too slow.
    pub async fn run<T>(
        &self,
        client: Client,
        clock: &Arc<dyn Clock>,
        timeout: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, TurnLost> {
        let sleep = |time| Sleep::lasting(Arc::clone(clock), time);
        let turn = self.enter(client);
        let in_vain = async {
            sleep(timeout).await;
            Err(TurnLost::NoTurn)
        };
        let begun = async {
            turn.begun().await;
            Ok(())
        };
        future::or(begun, in_vain).await?;
        let late = async {
            sleep(timeout).await;
            Err(TurnLost::TooSlow)
        };
        let lost = async {
            sleep(GRACE).await;
            turn.lost().await;
            Err(TurnLost::Given)
        };
        future::or(async { Ok(work.await) }, future::or(late, lost)).await
    }

    fn enter(&self, client: Client) -> Turn<'_> {
        let mut state = self.state.lock();
        state.came += 1;
        let number = state.came;
        state.entries.insert(number, Entry { client, phase: Phase::Waiting, task: None });
        state.waiting += 1;
        state.change(client, |share| _ = share.waiting.insert(number));
        self.settle(state);
        Turn { of: self, number }
    }

    /// Gives free turns to those that wait, and has overdue ones given up for the others. Wakes them unlocked.
    fn settle(&self, mut state: impl std::ops::DerefMut<Target = State>) {
        let mut woken = Vec::new();
        while state.running < self.most
            && let Some((_, Reverse(number), client)) = state.next.first().copied()
        {
            state.waiting -= 1;
            state.running += 1;
            state.change(client, |share| {
                share.waiting.remove(&number);
                share.running += 1;
            });
            woken.extend(state.enters(number, Phase::Running));
        }
        while state.waiting > state.leaving
            && let Some((fewest, ..)) = state.next.first().copied()
            && let Some((turns, client)) = state.overdue.last().copied()
            && turns >= fewest
            && let Some(number) = state.clients.get(&client).and_then(|share| share.overdue.first().copied())
        {
            state.leaving += 1;
            state.change(client, |share| {
                share.overdue.remove(&number);
                share.running -= 1;
            });
            woken.extend(state.enters(number, Phase::Leaving));
        }
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

impl State {
    /// Changes what a client has, and its places in the orders.
    fn change(&mut self, client: Client, change: impl FnOnce(&mut Share)) {
        let share = self.clients.entry(client).or_default();
        if let Some(last) = share.waiting.last() {
            self.next.remove(&(share.running, Reverse(*last), client));
        }
        self.overdue.remove(&(share.running, client));
        change(share);
        if let Some(last) = share.waiting.last() {
            self.next.insert((share.running, Reverse(*last), client));
        }
        if !share.overdue.is_empty() {
            self.overdue.insert((share.running, client));
        }
        if share.running == 0 && share.waiting.is_empty() {
            self.clients.remove(&client);
        }
    }

    /// Notes the phase of an entry. Returns the task to wake.
    fn enters(&mut self, number: u64, phase: Phase) -> Option<Waker> {
        let entry = self.entries.get_mut(&number)?;
        entry.phase = phase;
        entry.task.take()
    }
}

impl Turn<'_> {
    /// Waits until it has its turn.
    async fn begun(&self) {
        self.reaches(|phase| phase != Phase::Waiting).await;
    }

    /// Offers the turn to those that wait, and waits until they take it.
    async fn lost(&self) {
        self.offer();
        self.reaches(|phase| phase == Phase::Leaving).await;
    }

    fn offer(&self) {
        let mut state = self.of.state.lock();
        if let Some(entry) = state.entries.get_mut(&self.number) {
            entry.phase = Phase::Overdue;
            let client = entry.client;
            state.change(client, |share| _ = share.overdue.insert(self.number));
        }
        self.of.settle(state);
    }

    async fn reaches(&self, wanted: impl Fn(Phase) -> bool) {
        poll_fn(|cx| {
            let mut state = self.of.state.lock();
            match state.entries.get_mut(&self.number) {
                Some(entry) if !wanted(entry.phase) => {
                    entry.task = Some(cx.waker().clone());
                    Poll::Pending
                }
                _ => Poll::Ready(()),
            }
        })
        .await;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.of.state.lock();
        let Some(Entry { client, phase, .. }) = state.entries.remove(&self.number) else { return };
        match phase {
            Phase::Waiting => {
                state.waiting -= 1;
                state.change(client, |share| _ = share.waiting.remove(&self.number));
            }
            Phase::Running | Phase::Overdue => {
                state.running -= 1;
                state.change(client, |share| {
                    share.overdue.remove(&self.number);
                    share.running -= 1;
                });
            }
            Phase::Leaving => {
                state.running -= 1;
                state.leaving -= 1;
            }
        }
        self.of.settle(state);
    }
}

#[cfg(test)]
mod tests;
