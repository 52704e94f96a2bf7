//! What the event streams of a route count. Plain atomics, read when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::telemetry::Durations;

macro_rules! counters {
    ($($(#[$about:meta])* $name:ident,)*) => {
        /// Sums since the server began.
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

        /// The counters that can be added to.
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
    /// Events taken from publishers.
    published,
    /// Events handed to subscribers, each time it was done.
    delivered,
    /// Events that subscribers did not get because the log had no room for them any more.
    dropped,
    /// Events that subscribers did not get because they grew too old.
    expired,
    /// Gaps that subscribers were told of.
    gaps,
    /// `retry:` lines sent.
    retries,
    /// Heartbeats sent.
    heartbeats,
    /// Subscribers moved to polling because their queue was full.
    suspensions,
    /// Subscribers that came back from polling.
    resumes,
    /// Acknowledgements taken.
    acks,
    /// Polls answered.
    polls,
    /// Subscriptions and polls refused for want of room.
    refused,
}

impl EventCounts {
    /// From an event's publication to its being handed on for a subscriber.
    pub fn written(&self) -> &Durations {
        &self.written
    }

    /// From there to its acknowledgement: the subscriber's, or without a window the sink's.
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

/// How the event streams of a route stand at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EventGauges {
    /// Streams.
    pub streams: u64,
    /// Events in the logs.
    pub logged: u64,
    /// Bytes of the logs.
    pub logged_bytes: u64,
    /// Subscribers with a stream.
    pub subscribers: u64,
    /// Subscribers that are suspended.
    pub suspended: u64,
    /// Subscribers that are away for a moment.
    pub away: u64,
    /// Events that wait for subscribers, summed over them.
    pub queued: u64,
    /// The fullest queue, by count or bytes: 1 is full.
    pub saturation: f64,
    /// Subscribers whose queue is above 80 %.
    pub saturated: u64,
    /// Bytes that the sinks of subscribers hold for sockets that refused them.
    pub sink_buffered: u64,
    /// Bytes of subscribers that the kernel has taken and not yet had acknowledged by the peer.
    pub unsent: u64,
    /// How often sockets of subscribers refused bytes.
    pub would_block: u64,
    /// The age of the oldest event written and not acknowledged.
    pub oldest_unacknowledged: Duration,
}
