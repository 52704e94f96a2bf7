//! Whole exchanges through the real server, file and proxied, as a client on a socket sees them.
//!
//! Time is real. What must not come early is asserted without any tolerance: a client that starts its
//! watch before it asks can only see bytes late. What must not come late has seconds of patience, since
//! that is about hanging and not about pace; the pace itself is asserted on the manual clock elsewhere.

mod accel;
mod connection_fields;
mod dying;
mod filtered;
mod hints;
mod http2;
mod kept;
mod known;
mod listeners;
mod many_streams;
mod messages;
mod paths;
mod requests;
mod trailers;
mod tunnel;
