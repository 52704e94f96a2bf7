//! `sluicegate quota`: the quota server, and the commands that call one.

mod args;
mod ask;
mod serve;
mod show;

use std::path::Path;

use sluicegate::quota::Endpoint;
use sluicegate::quota::client::Connector;
use sluicegate::tls::{ClientTls, Identity};

use super::usage::missing_command;
use super::{CliError, NAME, StartLog, token};
use args::Command;
pub(super) use args::Quota;

/// The default address of a quota server.
const DEFAULT_ADDRESS: &str = "127.0.0.1:9190";

pub(super) fn run(typed: &Quota, start_log: StartLog) -> Result<(), CliError> {
    let Some(command) = &typed.command else {
        return Err(CliError::Usage(missing_command(&[NAME, "quota"])));
    };
    match command {
        Command::Serve(serve) => serve::run(serve, start_log),
        Command::List(list) => ask::list(list),
        Command::Get(get) => ask::get(get),
        Command::Set(set) => ask::set(set),
        Command::Delete(delete) => ask::delete(delete),
        Command::Reset(reset) => ask::reset(reset),
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

/// What the flags say of the server, the token, and the files of authorities, certificate and key.
fn connector(
    server: Option<&str>,
    token_file: Option<&str>,
    tls: [Option<&str>; 3],
) -> Result<Connector, CliError> {
    let default = format!("http://{DEFAULT_ADDRESS}");
    let endpoint = server.unwrap_or(&default).parse::<Endpoint>();
    let mut connector = Connector::new(endpoint.map_err(|error| CliError::flag("--server", error))?);
    connector.token = token(token_file)?;
    let [authorities, certificate, key] = tls;
    let identity = identity(certificate, key)?;
    connector.tls = match authorities {
        Some(authorities) => {
            let tls = ClientTls::new(Path::new(authorities), identity.as_ref());
            Some(tls.map_err(CliError::failed)?)
        }
        None if identity.is_some() => {
            return Err(CliError::Usage("--tls-cert needs --tls-ca: give both".to_owned()));
        }
        None if connector.endpoint.is_tls() => {
            return Err(CliError::Usage("an https server needs --tls-ca: give it too".to_owned()));
        }
        None => None,
    };
    Ok(connector)
}
