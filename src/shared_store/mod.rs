//! A Redis or Valkey server that several servers of ours share: where it is, and calls of scripts on it.
//!
//! The only place that names the redis crate, which is passed our own sockets and TLS: it starts no runtime and spawns
//! nothing. A call fails after its timeout, or, while another one connects, after that one's too; the next one connects
//! again.

mod link;
mod source;
mod stream;

pub(crate) use link::{Link, Script};
pub use source::{RedisSource, RedisSourceError};
