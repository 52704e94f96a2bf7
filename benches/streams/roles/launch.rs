//! Turns into another program, one that ends when the benchmark does.
//!
//! The order to die with the parent stays with a process through `exec`, and setting it here, in the
//! child, needs no code between fork and exec.

use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Signal, set_parent_process_death_signal};

use super::Result;

/// `signal` is what the program gets: KILL, or TERM if it has children to end first.
pub fn run(signal: &str, program: &str, args: &[String]) -> Result<()> {
    let signal = if signal == "TERM" { Signal::TERM } else { Signal::KILL };
    set_parent_process_death_signal(Some(signal))?;
    let error = Command::new(program).args(args).exec();
    Err(format!("{program}: {error}").into())
}
