//! Raw TCP: files, followed files and relays, under the same limits and in the same books as responses.

mod file;
pub mod fixture;
mod follow;
mod relay;
mod shared;
