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
pub use id::{Id, IdError, LONGEST_ID};
pub use limit::{LimitError, MICRO, MOST_PER_SECOND, NamedLimit, ResourceLimit, Unit, spell_micros};
