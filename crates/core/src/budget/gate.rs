//! The budgets that one stream passes, tree after tree.

use std::fmt;
use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::{ClientKey, Clients, Flow, FlowWatch, Held, HeldBy, Node};
use crate::limit::{Budget, Weight};

/// A stream's flows in the trees that limit it; the default is not limited.
///
/// Requests turns tree after tree: a turn in the first is kept while the next is waited for, so a node of the first may
/// let out one interval's worth more in a window. A tree in which no node has a rate is passed without a flow.
///
/// *Cancel safety*: as [`Flow`]'s. Dropping the gate returns what was granted and not sent.
#[derive(Default)]
pub struct Gate {
    lanes: [Option<Lane>; 2],
    /// Bytes granted in every lane.
    ready: u64,
    /// The lane that waits.
    waiting: Option<usize>,
    /// Of flows that were dropped when their tree had no rate any more.
    past: Waited,
}

#[derive(Default)]
struct Waited {
    times: u64,
    lasted: Vec<(Arc<str>, Duration)>,
}

struct Lane {
    under: Under,
    weight: Weight,
    /// Created by the first turn under a limit.
    flow: Option<Box<Flow>>,
}

enum Under {
    Node(Node),
    Client(Clients, ClientKey),
}

impl Gate {
    /// Creates a gate for a stream below `node`.
    pub fn new(node: Node, weight: Weight) -> Self {
        Self { lanes: [Some(Lane { under: Under::Node(node), weight, flow: None }), None], ..Self::default() }
    }

    /// Creates a gate for a stream of one client: below its node in `route`, which comes first, and in `server`.
    pub fn of_client(route: Option<&Clients>, server: &Clients, key: &ClientKey, weight: Weight) -> Self {
        let lane = |clients: &Clients| Lane {
            under: Under::Client(clients.clone(), key.clone()),
            weight,
            flow: None,
        };
        Self { lanes: [route.map(lane), Some(lane(server))], ..Self::default() }
    }

    /// Requests a turn of at most `wanted` bytes in every tree. Ready with at least one, or with zero if `wanted` is zero;
    /// otherwise the task is woken when the next turn is granted.
    ///
    /// Pass what was sent to [`sent`](Self::sent) before the next call.
    pub fn poll_turn(&mut self, cx: &mut Context<'_>, wanted: u64) -> Poll<u64> {
        let mut allowed = wanted;
        for (at, lane) in self.lanes.iter_mut().enumerate() {
            let Some(lane) = lane else { continue };
            if !lane.is_limited() {
                if let Some(flow) = lane.flow.take() {
                    self.past.times += flow.waits();
                    self.past.lasted.extend_from_slice(flow.waited());
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

    /// Deducts `bytes` from the turn.
    ///
    /// # Panics
    /// In debug builds, if that is more than was granted.
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

    /// Returns how many bytes may be sent before the next request.
    pub fn granted(&self) -> u64 {
        self.ready
    }

    /// Has the processor fetch what the next turn uses. See [`PacedBody::prefetch`](crate::body::PacedBody::prefetch).
    pub(crate) fn prefetch(&self) {
        black_box(self.ready);
        self.flows().for_each(Flow::prefetch);
    }

    /// Returns the rest of the turn to the trees.
    pub fn give_back(&mut self) {
        self.ready = 0;
        self.flows_mut().for_each(Flow::give_back);
    }

    /// Returns the time waited for turns, by name of the node that could not pay; a name may occur more than once. A wait
    /// that lasts is not included.
    pub fn waited(&self) -> impl Iterator<Item = &(Arc<str>, Duration)> {
        self.past.lasted.iter().chain(self.flows().flat_map(Flow::waited))
    }

    /// Returns the number of waits.
    pub fn waits(&self) -> u64 {
        self.past.times + self.flows().map(Flow::waits).sum::<u64>()
    }

    /// Returns whether it waits for a turn.
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Returns the node that it waits for; `None` if it does not wait.
    pub fn held(&self) -> Option<Held> {
        self.waiting_flow()?.held().map(|(node, until)| Held { by: HeldBy::Budget(node), until })
    }

    /// Reports from elsewhere what [`held`](Self::held) does, as long as it waits for the same tree.
    pub fn watch(&self) -> Option<FlowWatch> {
        self.waiting_flow().map(Flow::watch)
    }

    /// Returns the budgets above it in the trees that have a rate somewhere, each as it is in force. Locks these trees.
    pub fn budgets(&self) -> impl Iterator<Item = Budget> {
        self.lanes.iter().flatten().filter(|lane| lane.is_limited()).flat_map(Lane::budgets)
    }

    fn waiting_flow(&self) -> Option<&Flow> {
        self.lanes[self.waiting?].as_ref()?.flow.as_deref()
    }

    fn flows(&self) -> impl Iterator<Item = &Flow> {
        self.lanes.iter().flatten().filter_map(|lane| lane.flow.as_deref())
    }

    fn flows_mut(&mut self) -> impl Iterator<Item = &mut Flow> {
        self.lanes.iter_mut().flatten().filter_map(|lane| lane.flow.as_deref_mut())
    }
}

impl Lane {
    fn is_limited(&self) -> bool {
        match &self.under {
            Under::Node(node) => node.is_limited(),
            Under::Client(clients, _) => clients.parent().is_limited(),
        }
    }

    fn budgets(&self) -> impl Iterator<Item = Budget> {
        let (node, of_client) = match (&self.flow, &self.under) {
            (Some(flow), _) => (flow.node(), None),
            (None, Under::Node(node)) => (node, None),
            (None, Under::Client(clients, _)) => (clients.parent(), Some(clients.budget())),
        };
        let nodes = std::iter::successors(Some(node), |node| node.parent());
        of_client.into_iter().chain(nodes.map(Node::in_force))
    }

    fn pass_unasked(&self, bytes: u64) {
        match &self.under {
            Under::Node(node) => node.pass_unasked(bytes),
            // Without a limit no node is created for a client.
            Under::Client(clients, _) => clients.parent().pass_unasked(bytes),
        }
    }

    fn flow(&mut self) -> &mut Flow {
        self.flow.get_or_insert_with(|| {
            Box::new(match &self.under {
                Under::Node(node) => node.flow(self.weight),
                Under::Client(clients, key) => clients.node(key).flow(self.weight),
            })
        })
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("ready", &self.ready).field("held", &self.held()).finish()
    }
}
