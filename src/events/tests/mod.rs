//! Streams and their subscribers, without a runtime, on instants that tests name.

mod broken_files;
mod interleavings;
mod kept;
mod lost_ids;
mod moving;
mod moving_anywhere;
mod parser;
mod restored;
mod rules;
mod scene;
mod sharing;
mod traces;
