//! Fleet quota: one limit shared fairly by many servers, over gRPC.

pub mod book;
pub mod client;
pub mod egress;
mod endpoint;
mod id;
mod limit;
pub mod server;
pub mod wire;

pub use endpoint::{Endpoint, EndpointError};
pub use id::{Id, IdError, MAX_ID_LEN};
pub use limit::{LimitError, MAX_PER_SECOND, MICRO, NamedLimit, ResourceLimit, Unit, spell_micros};
