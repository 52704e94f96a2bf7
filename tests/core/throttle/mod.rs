//! Readers, writers, listeners, bodies and blocking code at a pace, on a manual clock.

mod blocking;
mod bodies;
#[cfg(feature = "tower")]
mod layer;
mod levels;
mod listener;
mod properties;
mod reading;
mod scene;
mod sockets;
mod writing;
