//! Delivery spans of traced events to one subscriber. Pure: passed the time.
//!
//! A delivery lasts from the write of an event to its acknowledgement; its span is recorded then. Only events with a
//! sampled trace are kept here; others cost nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use super::event::Event;
use crate::clock::Instant;
use crate::tracing::{Origin, Outcome, Place, Record, Tracer};

#[derive(Debug)]
pub(super) struct Tracing {
    pub(super) tracer: Arc<Tracer>,
    /// The path of the route.
    pub(super) route: Arc<str>,
}

/// What a span is recorded with: subscriber, time and tracer.
#[derive(Clone, Copy)]
pub(super) struct TraceContext<'a> {
    pub(super) subscriber: &'a str,
    pub(super) now: Instant,
    pub(super) tracing: Option<&'a Tracing>,
}

/// Traced events that were written to a subscriber and not acknowledged, in order.
#[derive(Debug, Default)]
pub(super) struct DeliveryTrace(VecDeque<Unacknowledged>);

#[derive(Debug)]
struct Unacknowledged {
    seq: u64,
    origin: Arc<Origin>,
    /// When it was last written, and how often.
    written: (Instant, u32),
    _place: Place,
}

impl Tracing {
    /// Sets the origin of an event published on `stream` if its trace is sampled.
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
    fn record(&self, origin: &Arc<Origin>, written: Option<(Instant, u32)>, outcome: Outcome) {
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
    /// Notes that an event was written, for the first time or again.
    pub(super) fn written(&mut self, event: &Event, trace: TraceContext<'_>) {
        let (Some(origin), Some(tracing)) = (&event.origin, trace.tracing) else { return };
        match self.0.binary_search_by_key(&event.seq, |awaited| awaited.seq) {
            Ok(at) => self.0[at].written = (trace.now, self.0[at].written.1.saturating_add(1)),
            Err(at) => match tracing.tracer.place() {
                Some(place) => {
                    let (origin, written) = (Arc::clone(origin), (trace.now, 1));
                    self.0.insert(at, Unacknowledged { seq: event.seq, origin, written, _place: place });
                }
                None => trace.record(origin, Some((trace.now, 1)), Outcome::Written),
            },
        }
    }

    /// Notes that everything up to `through` was acknowledged.
    pub(super) fn acknowledged(&mut self, through: u64, trace: TraceContext<'_>) {
        while self.0.front().is_some_and(|awaited| awaited.seq <= through) {
            self.end_first(Outcome::Acknowledged, trace);
        }
    }

    /// Notes that an event is lost to this subscriber, which never had it or was to be sent it again.
    pub(super) fn lost(&mut self, seq: u64, origin: &Arc<Origin>, outcome: Outcome, trace: TraceContext<'_>) {
        let at = self.0.binary_search_by_key(&seq, |awaited| awaited.seq).ok();
        let written = at.and_then(|at| self.0.remove(at)).map(|awaited| awaited.written);
        trace.record(origin, written, outcome);
    }

    /// Records events last written before `before` as unacknowledged.
    pub(super) fn give_up(&mut self, before: Instant, trace: TraceContext<'_>) {
        while self.0.front().is_some_and(|awaited| awaited.written.0 < before) {
            self.end_first(Outcome::Unacknowledged, trace);
        }
    }

    fn end_first(&mut self, outcome: Outcome, trace: TraceContext<'_>) {
        if let Some(awaited) = self.0.pop_front() {
            trace.record(&awaited.origin, Some(awaited.written), outcome);
        }
    }
}
