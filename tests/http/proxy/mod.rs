//! The proxy end to end, on real sockets: hand-written backends that send exact bytes, a plain hyper
//! server in front, and clients that are plain sockets.
//!
//! Every socket has a timeout of ten seconds, so that what hangs fails. Nothing sleeps to wait for
//! something; the few short timeouts under test are real time.

mod bodies;
mod early;
mod failures;
mod fixture;
mod framing;
mod heads;
mod interim;
mod pool;
mod secure;
mod several;
mod unix;
mod upgrade;
