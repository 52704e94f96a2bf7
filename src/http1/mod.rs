//! HTTP/1 as bytes: heads, and how what follows them is framed (RFC 9112).
//!
//! Pure: it is told bytes and tells what they mean; who reads and writes them is not its business. Server
//! and HTTP/2 are hyper's; this is for those that read a socket themselves: the proxy, which takes no more
//! from a backend than may leave, and the probe, which must know the instant of each read.

mod fields;
mod framing;
mod head_scan;
mod request;
mod response;

pub(crate) use fields::{content_length, has_token, tokens};
pub(crate) use framing::{Framing, Malformed};
pub(crate) use head_scan::HeadScan;
pub(crate) use request::{Chunks, may_trail, write_head};
pub(crate) use response::{Head, HeadError, MAX_FIELDS, framing_of, is_interim, keeps_connection, read_head};
