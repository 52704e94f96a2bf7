//! HTTP: the server, its routes, and their sources: files, backends and handlers.

pub mod answer;
pub(crate) mod api;
pub mod body;
pub(crate) mod budgets;
pub mod content;
pub mod files;
mod forwarded;
pub(crate) mod host;
mod host_pattern;
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
pub use host_pattern::HostPattern;
pub use limits::{KeySource, MaxBody, SharedLimits, UploadLimits};

/// Largest head of a request, start line and end included. A larger one is answered with 431. For responses of
/// backends see [`ProxySource::max_response_head`](crate::http::proxy::ProxySource).
pub const MAX_HEAD: usize = 32 * 1024;
