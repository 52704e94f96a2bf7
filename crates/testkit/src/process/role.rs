//! The first steps of a process that is a part of a benchmark, or is to become another program.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::{
    Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setpgid, setrlimit,
};

use super::Outcome;

/// The first argument of a process that has a role.
pub const MARKER: &str = "--role";

/// The role of turning into another program.
pub const LAUNCH: &str = "launch";

/// Before the nanoseconds since 1970 at which a process turned into another program, on its standard output.
pub const LAUNCHED: &str = "launched at ";

/// Dies with the process that started it, and may open as many sockets as the system lets it.
pub(super) fn prepare() -> Outcome<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    raise_open_files()
}

/// Lets this process open as many files and sockets as the system allows it.
///
/// # Errors
/// The system's.
pub fn raise_open_files() -> Outcome<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(())
}

/// Turns into another program, one that ends when the benchmark does. `args` are the signal it gets
/// then, KILL, or TERM if it has children to end first; the program; and its arguments.
///
/// The order to die with the parent stays with a process through `exec`, and setting it here, in the
/// child, needs no code between fork and exec. One with children gets a process group of its own, so that
/// they can be ended with it.
pub(super) fn launch(args: &[String]) -> Outcome<()> {
    let [signal, program, args @ ..] = args else { return Err("nothing to launch".into()) };
    let signal = if signal == "TERM" { Signal::TERM } else { Signal::KILL };
    set_parent_process_death_signal(Some(signal))?;
    if signal == Signal::TERM {
        setpgid(None, None)?;
    }
    println!("{LAUNCHED}{}", SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos());
    let mut command = Command::new(program);
    if program.ends_with("/sluicegate") {
        // It says on standard error where it listens.
        command.stderr(Stdio::from(std::io::stdout()));
    }
    let error = command.args(args).exec();
    Err(format!("{program}: {error}").into())
}
