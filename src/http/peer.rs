//! Who is on the other end of a connection.

pub use crate::rt::PeerAddr;
