//! The table `[quota]`.

use serde::Deserialize;
use toml::Spanned;

use super::on_disk::Kind;
use super::raw::Parsed;
use super::resolve::Resolver;
use crate::limit::Rate;
use crate::quota::{DEFAULT_RESOURCE, Endpoint, Id, QuotaSource};

/// `[quota]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct RawQuota {
    server: Spanned<Parsed<Endpoint>>,
    resource: Option<Parsed<Id>>,
    client_id: Parsed<Id>,
    token_file: Option<Spanned<String>>,
    tls_ca: Option<Spanned<String>>,
    tls_cert: Option<Spanned<String>>,
    tls_key: Option<Spanned<String>>,
    safe_share: Option<Rate>,
}

impl Resolver<'_> {
    pub(super) fn quota(&mut self, raw: Option<RawQuota>) -> Option<QuotaSource> {
        let raw = raw?;
        let mut path = |key: &str, file| self.path(format!("{key} in [quota]"), file, Kind::File);
        let token_file = raw.token_file.map(|file| path("token_file", file));
        let tls_ca = raw.tls_ca.map(|file| path("tls_ca", file));
        let place = raw.server.span();
        let tls_identity = match (raw.tls_cert, raw.tls_key) {
            (Some(cert), Some(key)) => Some((path("tls_cert", cert), path("tls_key", key))),
            (Some(alone), None) | (None, Some(alone)) => {
                self.problem(alone.span(), "tls_cert and tls_key in [quota] belong together; set both");
                None
            }
            (None, None) => None,
        };
        let resource = raw.resource.map(|resource| resource.0).or_else(|| DEFAULT_RESOURCE.parse().ok())?;
        let source = QuotaSource {
            token_file,
            tls_ca,
            tls_identity,
            safe_share: raw.safe_share,
            ..QuotaSource::new(raw.server.into_inner().0, resource, raw.client_id.0)
        };
        if let Some(fault) = source.fault() {
            self.problem(place, format!("server in [quota]: {fault}"));
        }
        Some(source)
    }
}
