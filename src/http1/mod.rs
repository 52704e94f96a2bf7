//! HTTP/1 as bytes: heads, and how what follows them is framed (RFC 9112).
//!
//! Pure: it is told bytes and tells what they mean; who reads and writes them is not its business. HTTP/2 is
//! hyper's; this is for those that read a socket themselves: the server, which sees at once that a client has
//! gone, the proxy, which takes no more from a backend than may leave, and the probe, which must know the
//! instant of each read.

mod answer_head;
mod fields;
mod framing;
mod guarded;
mod head_scan;
mod request;
mod request_head;
mod response;

pub(crate) use answer_head::{Asked, Outgoing, asked, write_answer, write_interim};
#[cfg(test)]
pub(crate) use fields::FRAMING_FIELDS;
pub(crate) use fields::{
    FramingFields, check_framing_fields, content_length, expects_continue, has_token, tokens,
};
pub(crate) use framing::{Framing, Malformed};
pub(crate) use guarded::{is_claim, may_trail, strip_request};
pub(crate) use head_scan::HeadScan;
pub(crate) use request::{ChunkEncoder, write_head};
pub(crate) use request_head::{
    Progress, Refused, check_beginning, client_keeps_connection, empty_lines, offers_upgrade, read_request,
    request_framing,
};
pub(crate) use response::{Head, HeadError, MAX_FIELDS, framing_of, is_interim, keeps_connection, read_head};
