//! The budgets one stream passes, one tree after the other.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::{ClientKey, Clients, Flow, Held, HeldBy, Node};
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
    flow: Option<Flow>,
}

enum Under {
    Node(Node),
    Client(Clients, ClientKey),
}

impl Gate {
    /// A stream below one node.
    pub fn new(node: Node, weight: Weight) -> Self {
        Self { lanes: [Some(Lane { under: Under::Node(node), weight, flow: None }), None], ..Self::default() }
    }

    /// A stream of one client: below its node in `route`, asked first, and in `server`.
    pub fn of_client(route: Option<&Clients>, server: &Clients, key: &ClientKey, weight: Weight) -> Self {
        let lane = |clients: &Clients| Lane {
            under: Under::Client(clients.clone(), key.clone()),
            weight,
            flow: None,
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
                if let Some(flow) = lane.flow.take() {
                    self.before.times += flow.waits();
                    self.before.lasted.extend_from_slice(flow.waited());
                }
                continue;
            }
            let flow = lane.flow();
            self.waiting = Some(at);
            allowed = ready!(flow.poll_turn(cx, allowed));
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
            match &mut lane.flow {
                Some(flow) => flow.sent(bytes),
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
        self.flows_mut().for_each(Flow::give_back);
    }

    /// How long it waited for turns, by the names of the nodes that could not pay; a name may come more
    /// than once. The present wait is not included.
    pub fn waited(&self) -> impl Iterator<Item = &(Arc<str>, Duration)> {
        self.before.lasted.iter().chain(self.flows().flat_map(Flow::waited))
    }

    /// How often it had to wait.
    pub fn waits(&self) -> u64 {
        self.before.times + self.flows().map(Flow::waits).sum::<u64>()
    }

    /// Whether it waits for a turn.
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// What makes it wait at the moment.
    pub fn held(&self) -> Option<Held> {
        let flow = self.lanes[self.waiting?].as_ref()?.flow.as_ref()?;
        flow.held().map(|(node, until)| Held { by: HeldBy::Budget(node), until })
    }

    fn flows(&self) -> impl Iterator<Item = &Flow> {
        self.lanes.iter().flatten().filter_map(|lane| lane.flow.as_ref())
    }

    fn flows_mut(&mut self) -> impl Iterator<Item = &mut Flow> {
        self.lanes.iter_mut().flatten().filter_map(|lane| lane.flow.as_mut())
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
    fn flow(&mut self) -> &mut Flow {
        self.flow.get_or_insert_with(|| match &self.under {
            Under::Node(node) => node.flow(self.weight),
            Under::Client(clients, key) => clients.node(key).flow(self.weight),
        })
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("ready", &self.ready).field("held", &self.held()).finish()
    }
}
