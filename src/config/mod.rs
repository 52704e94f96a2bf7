//! Configuration: a TOML file, flags or both, read and checked into what a server is made from.
//!
//! ```toml
//! listen = "127.0.0.1:8080"
//!
//! [[route]]
//! path  = "/"
//! files = "site"
//! rate  = 60
//! ```
//!
//! A [`Draft`] holds what was typed; a [`Config`] holds addresses, rates and durations, never texts that could still
//! be wrong. Programs without a file can build a `Config` from its parts.
//!
//! Settings live in the modules that they set (`sink`, `events`, `http::proxy`, …), which also read their keys; they
//! are re-exported here. This module may import every other one; only the command line imports it.

mod assembly;
mod document;
mod filters;
mod limits;
mod listen;
mod loader;
mod overlay;
mod pace;
pub mod reference;
mod reload;
mod route;
mod schedules;
mod simulated;
mod sources;
mod tcp;
pub mod words;

pub use crate::admin::AdminSource;
pub use crate::events::{EventRate, EventSettings, EventStore, EventUnit, Suspend};
pub use crate::http::files::{FilesSource, FollowLinks};
pub use crate::http::proxy::ProxySource;
pub use crate::http::server::HalfClose;
pub use crate::http::{
    CertificateId, ClassLimits, ClassMatch, ClassName, ClassSettings, HeaderKeys, KeySet, SecretKey,
    TextPattern,
};
pub use crate::http::{KeySource, MaxBody, SharedLimits, UploadLimits};
pub use crate::http::{LimitHeld, LimitName, LimitOf, LimitPart, LimitSchedule};
pub use crate::keys::{Absent, ConfigError, Draft, Fault};
pub use crate::live_limits::{
    ClientLimit, FileLine, LimitChange, LimitSource, LimitSources, SavesPaused, Sources,
};
pub use crate::quota::QuotaSource;
pub use crate::sink::{OnFull, SinkSettings};
pub use crate::tls::{Identity, TlsSettings, UnknownName};
pub use crate::tracing::TracingSettings;
pub use assembly::{AssemblyError, FilterKinds, bind};
pub use document::Config;
pub use filters::{FilterKind, GzipSettings, ReplaceSettings};
pub use listen::{DEFAULT_TLS, Listen};
pub use loader::{Loader, MAX_FILE};
pub use overlay::{Overlaid, OverlaySource};
pub use pace::{Pace, RouteLimits};
pub use reload::Reloaded;
pub use route::{Route, RouteFilter, RoutePath, RoutePathError, Source};
pub use tcp::{Tcp, TcpSource};
