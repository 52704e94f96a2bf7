//! The flags by which a server is bound to a share of a fleet's limit.

use sluicegate::limit::Rate;
use sluicegate::quota::Id;
use sluicegate::quota::{DEFAULT_RESOURCE, QuotaSource};

use super::{CliError, bad};

/// What was typed.
pub(in crate::cli) struct Typed<'a> {
    pub(in crate::cli) server: Option<&'a str>,
    pub(in crate::cli) resource: Option<&'a str>,
    pub(in crate::cli) client: Option<&'a str>,
    pub(in crate::cli) token_file: Option<&'a str>,
    pub(in crate::cli) safe_share: Option<&'a str>,
}

/// The share, if a quota server was typed.
pub(in crate::cli) fn source(typed: Typed<'_>) -> Result<Option<QuotaSource>, CliError> {
    let Some(server) = typed.server else {
        let idle = [
            ("quota-resource", typed.resource),
            ("client-id", typed.client),
            ("quota-token-file", typed.token_file),
            ("quota-safe-share", typed.safe_share),
        ];
        return match idle.iter().find(|(_, value)| value.is_some()) {
            Some((flag, _)) => Err(bad(flag, &"it says nothing alone; give --quota too, or leave it out")),
            None => Ok(None),
        };
    };
    let server: sluicegate::quota::Endpoint = server.parse().map_err(|error| bad("quota", &error))?;
    if server.is_tls() {
        return Err(bad("quota", &"https needs certificates; set [quota] in a file, with tls_ca"));
    }
    let client =
        typed.client.ok_or_else(|| bad("quota", &"--client-id is missing: a name no other server has"))?;
    let client: Id = client.parse().map_err(|error| bad("client-id", &error))?;
    let resource = typed.resource.unwrap_or(DEFAULT_RESOURCE).parse();
    let mut source =
        QuotaSource::new(server, resource.map_err(|error| bad("quota-resource", &error))?, client);
    source.token_file = typed.token_file.map(Into::into);
    let safe: Option<Result<Rate, _>> = typed.safe_share.map(str::parse);
    source.safe_share = safe.transpose().map_err(|error| bad("quota-safe-share", &error))?;
    Ok(Some(source))
}
