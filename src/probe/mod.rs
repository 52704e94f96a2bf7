//! Seeing a pace: what `sluicegate probe` measures of any HTTP server, and what it makes of it.
//!
//! [`run`] asks and takes down when how many bytes came; all else is pure and is told what came. Everything
//! here is of the wire, as its reader sees it: what kernels and proxies on the way had buffered is in it.
//!
//! | room | job |
//! |---|---|
//! | [`target`] | the URL that is asked |
//! | [`response`] | heads and framing, so that bytes of content are counted and no others |
//! | [`timeline`] | which bytes came when, in bounded memory |
//! | [`chunks`] | the chunks in it, and the pauses between them |
//! | [`pace`] | the rate, without the chunk that starts the clock |
//! | [`windows`] | the best and the worst second, and the longest gap |
//! | [`compare`] | whether two timelines agree |
//! | [`report`] | all of that for all connections, and whether it is good enough |
//! | [`sparkline`], [`plot`] | the same for eyes |
//! | [`run`] | the asking: the only one that knows sockets and the clock |

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
