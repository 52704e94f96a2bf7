//! The `sluicegate` program.

mod cli;

fn main() {}
