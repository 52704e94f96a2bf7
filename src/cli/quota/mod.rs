//! `sluicegate quota`: the quota server, and the commands that call one.

mod args;
mod ask;
mod serve;
mod show;

use sluicegate::tls::Identity;

use super::{CliError, StartLog};
use args::Command;
pub(super) use args::Quota;

/// The default address of a quota server.
const DEFAULT_ADDRESS: &str = "127.0.0.1:9190";

pub(super) fn run(typed: &Quota, start_log: StartLog) -> Result<(), CliError> {
    let Some(command) = &typed.command else {
        let text = "a command is missing after quota: serve, list, set, delete, clients or watch";
        return Err(CliError::Usage(text.to_owned()));
    };
    match command {
        Command::Serve(serve) => serve::run(serve, start_log),
        Command::List(list) => ask::list(list),
        Command::Set(set) => ask::set(set),
        Command::Delete(delete) => ask::delete(delete),
        Command::Clients(clients) => ask::clients(clients),
        Command::Watch(watch) => ask::watch(watch),
    }
}

/// A certificate and its key, or neither.
fn identity(certificate: Option<&str>, key: Option<&str>) -> Result<Option<Identity>, CliError> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            Ok(Some(Identity { certificate: certificate.into(), key: key.into() }))
        }
        (None, None) => Ok(None),
        (Some(_), None) => Err(CliError::Usage("--tls-cert needs --tls-key: give both".to_owned())),
        (None, Some(_)) => Err(CliError::Usage("--tls-key needs --tls-cert: give both".to_owned())),
    }
}
