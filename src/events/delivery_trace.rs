//! What becomes of traced events on their way to one subscriber, told to the tracer. Pure: told the time.
//!
//! A delivery is waited for from its write to its acknowledgement, and its span told then. Only events that
//! came with a sampled trace are here; for others nothing is done and nothing held.

use std::collections::VecDeque;
use std::sync::Arc;

use super::event::Event;
use crate::clock::Instant;
use crate::tracing::{Origin, Outcome, Place, Record, Tracer};

/// Where the spans of a hub go.
#[derive(Debug)]
pub(super) struct Tracing {
    pub(super) tracer: Arc<Tracer>,
    /// The path of the route.
    pub(super) route: Arc<str>,
}

/// Who tells, when, and to whom.
#[derive(Clone, Copy)]
pub(super) struct TraceContext<'a> {
    pub(super) subscriber: &'a str,
    pub(super) now: Instant,
    pub(super) tracing: Option<&'a Tracing>,
}

/// The traced events that were written to a subscriber and are not acknowledged, in their order.
#[derive(Debug, Default)]
pub(super) struct DeliveryTrace(VecDeque<Unacknowledged>);

#[derive(Debug)]
struct Unacknowledged {
    seq: u64,
    origin: Arc<Origin>,
    /// When it was written last, and how often.
    written: (Instant, u32),
    _place: Place,
}

impl Tracing {
    /// Marks an event that is published on `stream` if its publisher records the trace.
    pub(super) fn mark(&self, event: &mut Event, stream: &str) {
        let Some(trace) = event.trace.filter(|trace| trace.is_sampled()) else { return };
        event.origin = Some(Arc::new(Origin {
            trace: trace.trace_id(),
            parent: trace.parent_id(),
            span: self.tracer.span_id(),
            route: Arc::clone(&self.route),
            stream: stream.into(),
            event: event.id.clone(),
            bytes: event.data.len() as u64,
            born: event.born,
        }));
    }
}

impl TraceContext<'_> {
    fn tell(&self, origin: &Arc<Origin>, written: Option<(Instant, u32)>, outcome: Outcome) {
        if let Some(tracing) = self.tracing {
            tracing.tracer.record(Record::Delivered {
                origin: Arc::clone(origin),
                subscriber: self.subscriber.into(),
                written,
                end: self.now,
                outcome,
            });
        }
    }
}

impl DeliveryTrace {
    /// Notes that an event is on its way, for the first time or again.
    pub(super) fn written(&mut self, event: &Event, told: TraceContext<'_>) {
        let (Some(origin), Some(tracing)) = (&event.origin, told.tracing) else { return };
        match self.0.binary_search_by_key(&event.seq, |awaited| awaited.seq) {
            Ok(at) => self.0[at].written = (told.now, self.0[at].written.1.saturating_add(1)),
            Err(at) => match tracing.tracer.place() {
                Some(place) => {
                    let (origin, written) = (Arc::clone(origin), (told.now, 1));
                    self.0.insert(at, Unacknowledged { seq: event.seq, origin, written, _place: place });
                }
                None => told.tell(origin, Some((told.now, 1)), Outcome::Written),
            },
        }
    }

    /// Notes that everything up to `through` is acknowledged.
    pub(super) fn acknowledged(&mut self, through: u64, told: TraceContext<'_>) {
        while self.0.front().is_some_and(|awaited| awaited.seq <= through) {
            self.end_first(Outcome::Acknowledged, told);
        }
    }

    /// Notes that an event cannot be had any more, by who never had it, or was to have it again.
    pub(super) fn missed(
        &mut self,
        seq: u64,
        origin: &Arc<Origin>,
        outcome: Outcome,
        told: TraceContext<'_>,
    ) {
        let at = self.0.binary_search_by_key(&seq, |awaited| awaited.seq).ok();
        let written = at.and_then(|at| self.0.remove(at)).map(|awaited| awaited.written);
        told.tell(origin, written, outcome);
    }

    /// Waits no more for what was written last before `before`.
    pub(super) fn give_up(&mut self, before: Instant, told: TraceContext<'_>) {
        while self.0.front().is_some_and(|awaited| awaited.written.0 < before) {
            self.end_first(Outcome::Unacknowledged, told);
        }
    }

    fn end_first(&mut self, outcome: Outcome, told: TraceContext<'_>) {
        if let Some(awaited) = self.0.pop_front() {
            told.tell(&awaited.origin, Some(awaited.written), outcome);
        }
    }
}
