//! The `sluicegate` program.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(cli::main(std::env::args_os().skip(1), femme::with_level))
}
