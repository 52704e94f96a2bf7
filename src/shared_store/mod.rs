//! A Redis or Valkey server that several servers of ours share: where it is, calls of scripts on it, and the ends of its logs.
//!
//! The only place that names the redis crate, which is passed our own sockets and TLS: it starts no runtime and spawns
//! nothing. A call fails after its timeout, or, while another one connects, after that one's too; the next one connects
//! again.

mod link;
mod secret;
mod sentinel;
mod source;
mod stream;
mod tail;

pub(crate) use link::{Link, LinkError, Script};
pub(crate) use secret::hashed;
pub use source::{RedisSource, RedisSourceError};
pub(crate) use tail::{LogEntries, LogEntry, Tail};
