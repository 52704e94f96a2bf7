//! From what was typed to a configuration. Flags set keys; the library reads those, as it reads a file's.

use sluicegate::config::{Absent, Config, ConfigError, Draft, Loader};

use super::CliError;
use super::args::{Flags, Run};

/// The configuration of a command without a file.
pub(super) fn flags(typed: &impl Flags) -> Result<Config, CliError> {
    let mut draft = Draft::default();
    typed.set(&mut draft);
    Loader::new().finish(draft).map_err(to_cli)
}

/// The configuration of `sluicegate run`.
pub(super) fn run(typed: &Run) -> Result<Config, CliError> {
    // A wrong flag is a wrong flag, whatever the file is like; without a file, nothing else can be said of it.
    if let Err(error @ CliError::Usage(_)) = flags(typed) {
        return Err(error);
    }
    let mut draft = Loader::open(&typed.file).map_err(to_cli)?;
    typed.set(&mut draft);
    Loader::new().finish(draft).map_err(to_cli)
}

/// The configuration in `file`; `-` is standard input.
pub(super) fn load(file: &str, absent: Absent) -> Result<Config, CliError> {
    let draft = match file {
        "-" => Loader::read_from(std::io::stdin().lock(), named(file), ""),
        file => Loader::open(file),
    };
    draft.and_then(|draft| Loader::new().absent(absent).finish(draft)).map_err(to_cli)
}

/// How messages call `file`.
pub(super) fn named(file: &str) -> &str {
    if file == "-" { "standard input" } else { file }
}

fn to_cli(error: ConfigError) -> CliError {
    match error.is_usage() {
        true => CliError::Usage(error.to_string()),
        false => CliError::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
