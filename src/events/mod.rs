//! Event streams (server-sent events): published once, delivered to each subscriber at its own pace.
//!
//! There is one queue for each stream: a log bounded by count, bytes and age. A subscriber holds
//! no events, only its place in the log, what it was sent and has not acknowledged, and its own bounds. So
//! a reader that takes nothing costs the others nothing, and memory is what the logs are allowed.
//!
//! The pure part is told the time: `event`, `encoding`, `log`, `queue`, `subscriber`, `trail`, `cap`, `stream`. The
//! [`Hub`] drives it (wakes exactly those who have something to take), `source` is a subscriber's stream as
//! a [generator](crate::generator), and `http` is what clients see.

mod channel;
mod counts;
mod delivery_trace;
mod encoding;
mod event;
mod http;
mod hub;
mod hub_error;
mod log;
mod queue;
mod settings;
mod shared_rate;
mod slots;
mod source;
mod stream;
mod subscriber;
mod trace;

pub use counts::{EventCounts, EventGauges};
pub use event::{BadDraft, Draft, StreamName};
pub use http::Events;
pub use hub::{Hub, Published};
pub use hub_error::HubError;
pub use queue::{Gap, Lost};
pub use settings::{EventFault, EventSettings, Suspend};
pub use trace::{BadTrace, TraceParent};

#[cfg(test)]
mod tests;
