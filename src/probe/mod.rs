//! `sluicegate probe`: measures the pace of any HTTP server.
//!
//! [`run`] sends the requests and records the arrival of bytes; all else is pure. Figures are of the wire, as its
//! reader sees it, with what kernels and proxies buffered.
//!
//! | module | job |
//! |---|---|
//! | [`target`] | the URL |
//! | [`response`] | heads and framing, so that only bytes of content count |
//! | [`timeline`] | the arrivals, in bounded memory |
//! | [`chunks`] | chunks, and the pauses between them |
//! | [`pace`] | the rate, without the chunk that starts the clock |
//! | [`windows`] | the best and the worst second, and the longest gap |
//! | [`compare`] | whether two timelines agree |
//! | [`report`] | these figures for all connections, and whether they meet the goal |
//! | [`sparkline`], [`plot`] | drawings |
//! | [`run`] | the requests: the only module that knows sockets and the clock |

pub mod chunks;
pub mod compare;
pub mod pace;
pub mod plot;
pub mod report;
pub mod response;
pub mod run;
pub mod sparkline;
pub mod target;
pub mod timeline;
pub mod windows;
