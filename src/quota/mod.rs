//! Fleet quota: one limit shared fairly by many servers, over gRPC.
//!
//! Names, addresses and limits are always here, so that every build reads the same configuration; the feature
//! `quota` has the rest.

#[cfg(feature = "quota")]
pub mod book;
#[cfg(feature = "quota")]
mod by_hand;
#[cfg(feature = "quota")]
pub mod client;
#[cfg(feature = "quota")]
pub mod egress;
mod endpoint;
mod id;
#[cfg(feature = "quota")]
pub mod lead;
mod limit;
#[cfg(feature = "quota")]
pub mod server;
mod settings;
#[cfg(feature = "quota")]
pub mod wire;

pub use endpoint::{Endpoint, EndpointError, Endpoints};
pub use id::{Id, IdError, MAX_ID_LEN};
pub use limit::{LimitError, MAX_PER_SECOND, MICRO, NamedLimit, ResourceLimit, Unit, spell_micros};
pub use settings::{DEFAULT_RESOURCE, QuotaSource};
