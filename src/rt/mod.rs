//! The runtime: the only room that names async-std.
