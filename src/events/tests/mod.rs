//! Streams and their subscribers, without a runtime, on instants that tests name.

mod interleavings;
mod kept;
mod parser;
mod rules;
mod scene;
mod sharing;
mod traces;
