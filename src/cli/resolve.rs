//! From what was typed to a configuration. Flags set keys; the library reads those, as it reads a file's.

use sluicegate::config::{Absent, Config, ConfigError, Draft, Loader};

use super::CliError;
use super::args::{Events, Proxy, Run, Serve, Tcp};

/// The configuration of `sluicegate serve`.
pub(super) fn serve(typed: &Serve) -> Result<Config, CliError> {
    typed_alone(|draft| typed.set(draft))
}

/// The configuration of `sluicegate proxy`.
pub(super) fn proxy(typed: &Proxy) -> Result<Config, CliError> {
    typed_alone(|draft| typed.set(draft))
}

/// The configuration of `sluicegate tcp`.
pub(super) fn tcp(typed: &Tcp) -> Result<Config, CliError> {
    typed_alone(|draft| typed.set(draft))
}

/// The configuration of `sluicegate events`.
pub(super) fn events(typed: &Events) -> Result<Config, CliError> {
    typed_alone(|draft| typed.set(draft))
}

/// The configuration of `sluicegate run`.
pub(super) fn run(typed: &Run) -> Result<Config, CliError> {
    // A wrong flag is a wrong flag, whatever the file is like; without a file, nothing else can be said of it.
    if let Err(error @ CliError::Usage(_)) = typed_alone(|draft| typed.set(draft)) {
        return Err(error);
    }
    let mut draft = Loader::open(&typed.file).map_err(to_cli)?;
    typed.set(&mut draft);
    Loader::new().finish(draft).map_err(to_cli)
}

/// The configuration in `file`.
pub(super) fn load(file: &str, absent: Absent) -> Result<Config, CliError> {
    Loader::new().absent(absent).load(file).map_err(to_cli)
}

fn typed_alone(set: impl FnOnce(&mut Draft)) -> Result<Config, CliError> {
    let mut draft = Draft::default();
    set(&mut draft);
    Loader::new().finish(draft).map_err(to_cli)
}

fn to_cli(error: ConfigError) -> CliError {
    match error.is_usage() {
        true => CliError::Usage(error.to_string()),
        false => CliError::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
