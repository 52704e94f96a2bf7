//! The budgets one stream passes, one tree after the other.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::{ClientKey, Clients, Held, HeldBy, Node, Seat};
use crate::limit::Weight;

/// Where a stream stands in the trees that bound it. The default is bounded by nothing.
///
/// Asks the trees one after the other: a turn in the first is kept while it waits for one in the next, so
/// a node of the first may let out one interval's worth more in a window. While no node of a tree has a
/// rate it is not asked, and no place in it is taken.
///
/// Cancel safe; dropping it gives back what was granted and not sent.
#[derive(Default)]
pub struct Gate {
    lanes: [Option<Lane>; 2],
    /// Of all lanes, of which the fewest bytes are granted.
    ready: u64,
    /// The lane that waits.
    waiting: Option<usize>,
    /// Of places that were left since.
    before: Waited,
}

#[derive(Default)]
struct Waited {
    times: u64,
    lasted: Vec<(Arc<str>, Duration)>,
}

struct Lane {
    under: Under,
    weight: Weight,
    /// From the first turn asked for under a limit.
    seat: Option<Seat>,
}

enum Under {
    Node(Node),
    Client(Clients, ClientKey),
}

impl Gate {
    /// A stream below one node.
    pub fn below(node: Node, weight: Weight) -> Self {
        Self { lanes: [Some(Lane { under: Under::Node(node), weight, seat: None }), None], ..Self::default() }
    }

    /// A stream of one client: below its node in `route`, asked first, and in `server`.
    pub fn of_client(route: Option<&Clients>, server: &Clients, key: &ClientKey, weight: Weight) -> Self {
        let lane = |clients: &Clients| Lane {
            under: Under::Client(clients.clone(), key.clone()),
            weight,
            seat: None,
        };
        Self { lanes: [route.map(lane), Some(lane(server))], ..Self::default() }
    }

    /// Ready with how many bytes may be sent now, at least one and at most `wanted`; or waits for the
    /// turns, and the task is woken when the next has come. `wanted` of zero is ready with zero.
    ///
    /// Say what was [`sent`](Self::sent) of it before asking again.
    pub fn poll_turn(&mut self, cx: &mut Context<'_>, wanted: u64) -> Poll<u64> {
        let mut allowed = wanted;
        for (at, lane) in self.lanes.iter_mut().enumerate() {
            let Some(lane) = lane else { continue };
            if !lane.is_limited() {
                if let Some(seat) = lane.seat.take() {
                    self.before.times += seat.waits();
                    self.before.lasted.extend_from_slice(seat.waited());
                }
                continue;
            }
            let seat = lane.seat();
            self.waiting = Some(at);
            allowed = ready!(seat.poll_turn(cx, allowed));
        }
        self.waiting = None;
        self.ready = allowed;
        Poll::Ready(allowed)
    }

    /// Takes what was sent off the turn.
    pub fn sent(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.ready, "no more is sent than was granted");
        self.ready = self.ready.saturating_sub(bytes);
        for lane in self.lanes.iter_mut().flatten() {
            match &mut lane.seat {
                Some(seat) => seat.sent(bytes),
                None => lane.pass_unasked(bytes),
            }
        }
    }

    /// Bytes that may be sent without asking again.
    pub fn granted(&self) -> u64 {
        self.ready
    }

    /// Gives what was granted and not sent back to the others.
    pub fn give_back(&mut self) {
        self.ready = 0;
        self.seats_mut().for_each(Seat::give_back);
    }

    /// How long it waited for turns, by the names of the nodes that could not pay; a name may come more
    /// than once. The present wait is not included.
    pub fn waited(&self) -> impl Iterator<Item = &(Arc<str>, Duration)> {
        self.before.lasted.iter().chain(self.seats().flat_map(Seat::waited))
    }

    /// How often it had to wait.
    pub fn waits(&self) -> u64 {
        self.before.times + self.seats().map(Seat::waits).sum::<u64>()
    }

    /// Whether it waits for a turn.
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// What makes it wait at the moment.
    pub fn held(&self) -> Option<Held> {
        let seat = self.lanes[self.waiting?].as_ref()?.seat.as_ref()?;
        seat.held().map(|(node, until)| Held { by: HeldBy::Budget(node), until })
    }

    fn seats(&self) -> impl Iterator<Item = &Seat> {
        self.lanes.iter().flatten().filter_map(|lane| lane.seat.as_ref())
    }

    fn seats_mut(&mut self) -> impl Iterator<Item = &mut Seat> {
        self.lanes.iter_mut().flatten().filter_map(|lane| lane.seat.as_mut())
    }
}

impl Lane {
    fn is_limited(&self) -> bool {
        match &self.under {
            Under::Node(node) => node.is_limited(),
            Under::Client(clients, _) => clients.above().is_limited(),
        }
    }

    fn pass_unasked(&self, bytes: u64) {
        match &self.under {
            Under::Node(node) => node.pass_unasked(bytes),
            // What clients had without a limit is not remembered of each.
            Under::Client(clients, _) => clients.above().pass_unasked(bytes),
        }
    }

    /// The place in the tree.
    fn seat(&mut self) -> &mut Seat {
        self.seat.get_or_insert_with(|| match &self.under {
            Under::Node(node) => node.seat(self.weight),
            Under::Client(clients, key) => clients.node(key).seat(self.weight),
        })
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("ready", &self.ready).field("held", &self.held()).finish()
    }
}
