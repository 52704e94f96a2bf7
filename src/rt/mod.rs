//! The runtime: the only room that names async-std.

mod blocking;
mod buffers;
mod file_read;

pub use blocking::blocking;
pub use file_read::FileReader;
