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

/// The largest message head that passes, start line and end included: 32 KiB, requests and responses
/// alike. A larger request is answered 431, a larger response of an upstream 502.
pub const MAX_HEAD: usize = 32 * 1024;
