//! Spans of traced events, exported over OTLP. It fails open: nothing here ever waits for a collector.
//!
//! Who has a span to tell puts a [`Record`] into the bounded queue of a [`Tracer`]: a lock and a push. A
//! thread of its own takes batches out, makes spans of them and sends them on; while it cannot, the queue
//! fills, and what finds no room is dropped and counted.
//!
//! The queue is ours and not that of the SDK, which drops in silence and wants whole spans where here a few
//! words will do. `otlp.rs` and `post.rs` are the only files that name OpenTelemetry.

mod endpoint;
mod exporting;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(not(feature = "otlp"))]
#[path = "no_otlp.rs"]
mod otlp;
#[cfg(feature = "otlp")]
mod post;
mod queue;
mod record;
mod settings;

use std::fmt;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use self::exporting::Exporting;
use self::otlp::Exporter;
use self::queue::Queue;
use crate::clock::Clock;
use crate::rt::{self, SplitMix64};

pub use self::endpoint::CollectorUrl;
pub(crate) use self::queue::Place;
pub use self::queue::TracingCounts;
pub use self::record::{Origin, Outcome, Record};
pub use self::settings::TracingSettings;

/// Takes records of spans, and has them exported. Dropped, it has exported what is there yet, if it can be.
pub struct Tracer {
    endpoint: String,
    queue: Arc<Queue>,
    rng: SplitMix64,
    exporting: Mutex<Option<Exporting>>,
    started: Once,
}

/// Why spans cannot be exported as it is set. Says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracingError(String);

impl Tracer {
    /// A tracer that exports as `settings` and the environment say. `clock` is the one that records are told
    /// in. Its thread begins with the first record: where nothing is traced there is none.
    ///
    /// # Errors
    /// What the environment says cannot be done.
    pub fn new(settings: &TracingSettings, clock: Arc<dyn Clock>) -> Result<Self, TracingError> {
        let endpoint = endpoint::of(settings, |name| std::env::var(name).ok())?;
        let exporter = Exporter::new(&endpoint, settings.service.as_deref())?;
        let exporting = Exporting::new(exporter, endpoint.clone(), clock);
        Ok(Self::of(settings.queue, endpoint, Some(exporting)))
    }

    /// A tracer whose records stay where they are.
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

    /// Has a span exported; counts it as dropped if there is no room. Never waits for a collector.
    pub fn record(&self, record: Record) {
        self.started.call_once(|| self.start());
        self.queue.push(record);
    }

    /// The URL that spans are posted to.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What became of spans so far.
    pub fn counts(&self) -> &TracingCounts {
        &self.queue.counts
    }

    /// Spans that wait for their export, those under way included.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Deliveries whose acknowledgements are waited for.
    pub fn open(&self) -> usize {
        self.queue.open()
    }

    /// Takes no more records, and waits at most `most` for those that are there to be exported. How many were
    /// not, and are dropped. Blocks its thread.
    pub fn close(&self, most: Duration) -> usize {
        self.queue.close(most)
    }

    /// An id for a span.
    pub(crate) fn span_id(&self) -> u64 {
        span_id(&self.rng)
    }

    /// A place among the deliveries that are waited for, if there is one.
    pub(crate) fn place(&self) -> Option<Place> {
        self.queue.place()
    }

    /// Takes out the records that are there.
    #[cfg(test)]
    pub(crate) fn drain(&self) -> Vec<Record> {
        self.queue.drain()
    }

    fn start(&self) {
        let exporting = self.exporting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(exporting) = exporting else { return };
        let (queue, rng) = (Arc::clone(&self.queue), SplitMix64::new());
        queue.run(true);
        let begun = rt::thread("spans", move || {
            exporting.run(&queue, || span_id(&rng));
            queue.run(false);
        });
        if let Err(error) = begun {
            self.queue.run(false);
            log::warn!(error:%; "no spans are exported: the system does not start a thread");
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
        f.debug_struct("Tracer").field("counts", self.counts()).finish_non_exhaustive()
    }
}

impl fmt::Display for TracingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TracingError {}

/// An id for a span: never 0, which is none.
fn span_id(rng: &SplitMix64) -> u64 {
    rng.next_u64().max(1)
}
