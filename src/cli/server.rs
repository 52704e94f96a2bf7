//! The commands that serve: from a configuration to a server that runs until it is told to stop.

use std::error::Error;

use sluicegate::config::Config;

/// Serves what `config` says, until SIGTERM or SIGINT.
///
/// # Errors
/// An address cannot be listened on, or the server failed while it ran.
pub fn run(_config: Config) -> Result<(), Box<dyn Error>> {
    Err("serving is not wired yet".into())
}
