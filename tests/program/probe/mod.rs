//! `sluicegate probe`, as it is typed, and the analysis behind it on many timelines.
//!
//! Real time: a rate over a socket has no other. What is asserted of instants is wide (a rate half as high, a
//! chunk that is missing), what is asserted of bytes is exact or is a bound that no late thread can break.

mod asked;
mod plots;
mod properties;
mod server;
mod verdicts;
