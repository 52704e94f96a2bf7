//! Readers, writers, listeners, bodies and blocking code at a pace, on a manual clock.

mod blocking;
mod bodies;
mod buffered;
#[cfg(feature = "tower")]
mod layer;
mod levels;
mod listener;
mod properties;
mod reading;
mod scene;
mod shared;
mod sockets;
mod streams;
#[cfg(feature = "tokio")]
mod tokio;
mod writing;
