//! Spans of traced events, exported over OTLP. Fails open: event streams never wait for a collector.
//!
//! A span is recorded by pushing a [`Record`] into the bounded queue of a [`Tracer`], under a lock. A thread takes batches
//! out, turns them into spans and exports them; while it cannot, the queue fills, and records that do not fit are dropped
//! and counted.
//!
//! The SDK's own queue is not used: it drops silently, and needs complete spans where a small record suffices. Only
//! `otlp.rs` and `post.rs` name OpenTelemetry.

mod exporting;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "otlp")]
mod post;
mod queue;
mod record;
mod settings;

use std::fmt;
use std::sync::{Arc, Once};
use std::time::Duration;

use self::exporting::Exporting;
use self::otlp::Exporter;
use self::queue::Queue;
use crate::clock::Clock;
use crate::rt::{self, SplitMix64};
use crate::sync::Mutex;

pub(crate) use self::queue::Place;
pub use self::queue::TracingCounts;
pub use self::record::{Origin, Outcome, Record};
pub use self::settings::{CollectorUrl, CollectorUrlError, TracingError, TracingSettings};

/// Queues records of spans for export. When dropped it exports the rest, if it can.
pub struct Tracer {
    endpoint: String,
    queue: Arc<Queue>,
    rng: SplitMix64,
    exporting: Mutex<Option<Exporting>>,
    started: Once,
}

impl Tracer {
    /// Creates a tracer for `settings` and the environment. `clock` is the clock of records' instants. The exporting thread
    /// starts with the first record.
    ///
    /// # Errors
    /// The environment names no usable collector.
    pub fn new(settings: &TracingSettings, clock: Arc<dyn Clock>) -> Result<Self, TracingError> {
        let endpoint = settings::endpoint(settings.otlp.as_ref(), |name| std::env::var(name).ok())?;
        let exporter = Exporter::new(&endpoint, settings.service.as_deref())?;
        let exporting = Exporting::new(exporter, endpoint.clone(), clock);
        Ok(Self::of(settings.queue, endpoint, Some(exporting)))
    }

    /// A tracer that exports nothing: records stay in its queue.
    #[cfg(test)]
    pub(crate) fn mute(most: usize) -> Self {
        Self::of(most, String::new(), None)
    }

    fn of(most: usize, endpoint: String, exporting: Option<Exporting>) -> Self {
        Self {
            queue: Arc::new(Queue::new(most)),
            rng: SplitMix64::new(),
            exporting: Mutex::new(exporting),
            endpoint,
            started: Once::new(),
        }
    }

    /// Queues a span for export; counts it as dropped if the queue is full. Never waits for a collector.
    pub fn record(&self, record: Record) {
        self.started.call_once(|| self.start());
        self.queue.push(record);
    }

    /// The URL that spans are posted to.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Counters of spans.
    pub fn counts(&self) -> TracingCounts {
        self.queue.counts()
    }

    /// Spans that wait for export, those being sent included.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Deliveries that wait for their acknowledgement.
    pub fn open(&self) -> usize {
        self.queue.open()
    }

    /// Refuses further records, and waits at most `most` for the export of the rest. Returns how many were dropped. Blocks
    /// the thread.
    pub fn close(&self, most: Duration) -> usize {
        self.queue.close(most)
    }

    /// An id for a span.
    pub(crate) fn span_id(&self) -> u64 {
        span_id(&self.rng)
    }

    /// A slot for a delivery that waits for its acknowledgement, if one is free.
    pub(crate) fn place(&self) -> Option<Place> {
        self.queue.place()
    }

    #[cfg(test)]
    pub(crate) fn drain(&self) -> Vec<Record> {
        self.queue.drain()
    }

    fn start(&self) {
        let exporting = self.exporting.lock().take();
        let Some(exporting) = exporting else { return };
        let (queue, rng) = (Arc::clone(&self.queue), SplitMix64::new());
        queue.run(true);
        let begun = rt::thread("spans", move || {
            exporting.run(&queue, || span_id(&rng));
            queue.run(false);
        });
        if let Err(error) = begun {
            self.queue.run(false);
            log::warn!(error:%; "cannot start the thread that exports spans");
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        self.queue.shut();
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

/// A span id: never 0, which is invalid.
fn span_id(rng: &SplitMix64) -> u64 {
    rng.next_u64().max(1)
}

/// Stands in for the exporter in builds without the feature `otlp`: there is never one.
#[cfg(not(feature = "otlp"))]
mod otlp {
    use std::convert::Infallible;

    use super::Record;
    use super::TracingError;
    use crate::clock::Clock;

    #[derive(Debug)]
    pub(super) struct Exporter(Infallible);

    impl Exporter {
        pub(super) fn new(_endpoint: &str, _service: Option<&str>) -> Result<Self, TracingError> {
            Err(TracingError("this build exports no spans: build it with the feature otlp".to_owned()))
        }

        pub(super) async fn export(&self, _batch: Vec<()>) -> Result<(), String> {
            match self.0 {}
        }
    }

    pub(super) struct Moments;

    impl Moments {
        pub(super) fn of(_clock: &dyn Clock) -> Self {
            Self
        }

        pub(super) fn span(&self, _record: &Record, _id: impl FnOnce() -> u64) {}
    }
}
