//! Event streams (server-sent events): published once, delivered to each subscriber at its own pace.
//!
//! Each stream has one log, bounded by count, bytes and age. A subscriber holds no events, only its position in the log,
//! what it was sent and has not acknowledged, and its own bounds. So a reader that does not read costs the others
//! nothing, and memory is bounded by the logs.
//!
//! A route's logs are in memory; a `store` keeps them besides, and publishing then waits for it.
//!
//! The pure part is passed the time: `event`, `encoding`, `log`, `queue`, `subscriber`, `subscriber_record`, `delivery_trace`, `shared_rate`,
//! `stream`. The [`Hub`] drives it and wakes exactly the connections that have something to send, `source` is a
//! subscriber's connection as a [generator](crate::generator), and `http` is the protocol of clients.

mod arrivals;
mod channel;
mod counts;
mod delivery_trace;
mod encoding;
mod event;
mod event_id;
mod event_store;
mod http;
mod hub;
mod hub_error;
mod keeping;
mod log;
mod place;
mod publishing;
mod queue;
mod settings;
mod shared_rate;
mod slots;
mod source;
mod store;
mod stream;
mod subscriber;
mod subscriber_record;
mod trace;

pub use counts::{EventCounts, EventGauges};
pub use event::{BadDraft, Draft, StreamName};
pub use event_store::{EventStore, EventStoreError};
pub use http::Events;
pub use hub::Hub;
pub use hub_error::HubError;
pub use publishing::Published;
pub use queue::{Gap, Lost};
pub use settings::{EventRate, EventSettings, EventUnit, Suspend};
pub use store::StoreError;
pub use trace::{BadTrace, TraceParent};

#[cfg(test)]
mod tests;
