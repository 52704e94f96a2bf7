//! Fleet quota: one limit shared fairly by many servers, over gRPC.

pub mod book;
mod id;
mod limit;

pub use id::{Id, IdError, LONGEST_ID};
pub use limit::{LimitError, MICRO, MOST_PER_SECOND, NamedLimit, ResourceLimit, Unit, spell_micros};
