//! `sluicegate config`: the example of a configuration file, and its schema.

use sluicegate::config::reference::{EXAMPLE, schema};

use super::CliError;
use super::args::Config;

/// What is printed.
pub(super) fn text(typed: &Config) -> Result<String, CliError> {
    match (typed.example, typed.schema) {
        (true, false) => Ok(EXAMPLE.to_owned()),
        (false, true) => Ok(format!("{:#}\n", schema().map_err(CliError::failed)?)),
        _ => Err(CliError::Usage("give one of --example and --schema".to_owned())),
    }
}
