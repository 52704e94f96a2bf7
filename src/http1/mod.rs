//! HTTP/1 as bytes: heads, and the framing of content (RFC 9112).
//!
//! Pure: passed bytes. Used where the socket is read by this crate: by the server, which notices at once that a
//! client has gone, the proxy, which reads no more from a backend than may leave, and the probe, which needs the
//! instant of each read. HTTP/2 is the h2 crate's.

mod answer_head;
mod connection_fields;
mod fields;
mod framing;
mod guarded;
mod head_scan;
mod request;
mod request_head;
mod response;

pub(crate) use answer_head::{Asked, KeptLines, Outgoing, asked, write_answer, write_interim};
#[cfg(test)]
pub(crate) use connection_fields::framing_fields;
pub(crate) use connection_fields::{forbidden_by_http2, is_hop_by_hop, is_of_connection};
pub(crate) use fields::{
    FramingFields, check_framing_fields, content_length, expects_continue, has_token, tokens,
};
pub(crate) use framing::{Framing, Malformed};
pub(crate) use guarded::{is_alike, is_claim, may_trail, strip_request};
pub(crate) use head_scan::HeadScan;
pub(crate) use request::{ChunkEncoder, write_head};
pub(crate) use request_head::{
    ONLY_CHUNKED, ONLY_CONTINUE, Progress, Refused, UNREADABLE_FIELD, check_beginning,
    client_keeps_connection, empty_lines, offers_upgrade, read_request, request_framing,
};
pub(crate) use response::{
    Head, HeadError, MAX_FIELDS, ReasonPhrase, framing_of, is_interim, keeps_connection, read_head,
};
