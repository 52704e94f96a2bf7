//! HTTP: the server, its routes, and their sources: files, backends and handlers.

pub mod answer;
pub(crate) mod api;
pub mod body;
pub(crate) mod budgets;
pub(crate) mod classes;
pub mod content;
pub(crate) mod error_pages;
pub(crate) mod field_changes;
pub mod files;
mod forwarded;
pub(crate) mod host;
pub(crate) mod host_pattern;
pub mod interim;
pub(crate) mod limit_schedules;
mod limits;
mod log_bound;
mod path;
pub mod peer;
pub mod proxy;
mod redirect;
mod refusal;
mod request_path;
pub mod route;
mod routing;
pub mod server;
pub mod source;
pub mod upgrade;

pub use budgets::Budgets;
pub use classes::{
    CertificateId, Class, ClassError, ClassLimits, ClassMatch, ClassMatchError, ClassName, ClassNameError,
    ClassSettings, HeaderKeys, KeySet, SecretKey, SecretKeyError, TextPattern,
};
pub use error_pages::ErrorPagesSource;
pub use field_changes::FieldChanges;
pub use host_pattern::{HostPattern, HostPatternError};
pub use limit_schedules::{LimitHeld, LimitName, LimitOf, LimitPart, LimitSchedule};
pub use limits::{KeySource, KeySourceError, MaxBody, SharedLimits, UploadLimits};
pub use redirect::{RedirectSource, RedirectTarget, RedirectTargetError};
pub use refusal::RefusalSource;

/// Largest head of a request, start line and end included. A larger one is answered with 431. For responses of
/// backends see [`ProxySource::max_response_head`](crate::http::proxy::ProxySource).
pub const MAX_HEAD: usize = 32 * 1024;
