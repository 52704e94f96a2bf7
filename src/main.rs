//! The `sluicegate` program.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod cli;
mod import;

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(cli::main(std::env::args_os().skip(1), femme::with_level))
}
