//! HTTP: the server, its routes, and the two sources of content: files and upstreams.

pub mod answer;
mod assembly;
pub mod body;
mod budgets;
pub mod content;
pub mod files;
mod forwarded;
pub(crate) mod host;
pub mod interim;
mod log_bound;
mod path;
pub mod peer;
pub mod proxy;
mod reload;
pub mod route;
mod routing;
pub mod server;
mod token;
pub mod upgrade;

pub(crate) use assembly::bind;
pub use assembly::{AssemblyError, FilterKinds};
pub use budgets::Budgets;
pub use reload::Reloaded;
pub use token::{Token, TokenError};

/// The largest head of a request that passes, start line and end included: 32 KiB. A larger one is answered 431.
/// That of a response of an upstream is [`ProxySource::max_response_head`](crate::config::ProxySource).
pub const MAX_HEAD: usize = 32 * 1024;
