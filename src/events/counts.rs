//! Counters of a route's event streams: plain atomics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::telemetry::Durations;

macro_rules! counters {
    ($($(#[$about:meta])* $name:ident,)*) => {
        /// Totals since the server started.
        #[derive(Debug)]
        pub struct EventCounts {
            $($name: AtomicU64,)*
            written: Durations,
            acknowledged: Durations,
        }

        impl Default for EventCounts {
            fn default() -> Self {
                Self { $($name: AtomicU64::new(0),)* written: Durations::fine(), acknowledged: Durations::fine() }
            }
        }

        #[derive(Clone, Copy, Debug)]
        #[allow(non_camel_case_types)]
        pub(super) enum Count { $($name,)* }

        impl EventCounts {
            $($(#[$about])* pub fn $name(&self) -> u64 { self.$name.load(Ordering::Relaxed) })*

            pub(super) fn add(&self, what: Count, n: u64) {
                let counter = match what { $(Count::$name => &self.$name,)* };
                counter.fetch_add(n, Ordering::Relaxed);
            }
        }
    };
}

counters! {
    /// Events published.
    published,
    /// Events sent to subscribers, repetitions included.
    delivered,
    /// Events that subscribers did not get because the log was full.
    dropped,
    /// Events that subscribers did not get because they expired.
    expired,
    /// Gaps reported to subscribers.
    gaps,
    /// `retry:` lines sent.
    retries,
    /// Heartbeats sent.
    heartbeats,
    /// Subscribers suspended because their queue was full.
    suspensions,
    /// Suspended subscribers that resumed their stream.
    resumes,
    /// Acknowledgements received.
    acks,
    /// Polls answered.
    polls,
    /// Subscriptions and polls refused because a limit was reached.
    refused,
    /// Publications refused because the store could not keep them, or did not say in time.
    unstored,
}

impl EventCounts {
    /// Time from an event's publication to its write to a subscriber.
    pub fn written(&self) -> &Durations {
        &self.written
    }

    /// Time from the write of an event to its acknowledgement: by the subscriber, or without a window by the sink.
    pub fn acknowledged(&self) -> &Durations {
        &self.acknowledged
    }

    pub(super) fn written_now(&self, took: Duration) {
        self.written.observe(took);
    }

    pub(super) fn note_acknowledged(&self, took: impl IntoIterator<Item = Duration>) {
        took.into_iter().for_each(|took| self.acknowledged.observe(took));
    }
}

/// The current state of a route's event streams.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct EventGauges {
    /// Streams.
    pub streams: u64,
    /// Whether events can be kept.
    pub store_ready: bool,
    /// Events in the logs.
    pub logged: u64,
    /// Bytes of the logs.
    pub logged_bytes: u64,
    /// Connected subscribers.
    pub subscribers: u64,
    /// Suspended subscribers.
    pub suspended: u64,
    /// Subscribers that lost their connection and may return.
    pub away: u64,
    /// Queued events, summed over all subscribers.
    pub queued: u64,
    /// Fill level of the fullest queue, by count or bytes: 1 is full.
    pub saturation: f64,
    /// Subscribers whose queue is above 80 %.
    pub saturated: u64,
    /// Bytes in the sinks of subscribers whose sockets are full.
    pub sink_buffered: u64,
    /// Bytes in the kernel's send buffers of subscribers, not yet acknowledged by the peer.
    pub unsent: u64,
    /// How often sockets of subscribers were full.
    pub would_block: u64,
    /// Age of the oldest event that was written and not acknowledged.
    pub oldest_unacknowledged: Duration,
}
