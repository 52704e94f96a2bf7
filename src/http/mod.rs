//! HTTP: the server, its routes, and the two sources of content: files and upstreams.

pub mod answer;
pub(crate) mod api;
pub mod body;
pub(crate) mod budgets;
pub mod content;
pub mod files;
mod forwarded;
pub(crate) mod host;
pub mod interim;
mod limits;
mod log_bound;
mod path;
pub mod peer;
pub mod proxy;
pub mod route;
mod routing;
pub mod server;
pub mod source;
pub mod upgrade;

pub use budgets::Budgets;
pub use limits::{KeySource, SharedLimits};

/// The largest head of a request that passes, start line and end included: 32 KiB. A larger one is answered 431.
/// That of a response of an upstream is [`ProxySource::max_response_head`](crate::http::proxy::ProxySource).
pub const MAX_HEAD: usize = 32 * 1024;
