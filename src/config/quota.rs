//! The fleet's quota that the server's rate is bound to: where it is, and as whom we ask.

use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::on_disk::Kind;
use super::raw::Parsed;
use super::resolve::Resolver;
use crate::limit::Rate;
use crate::quota::{Endpoint, Id};

/// The resource that is used unless another one is named.
pub const DEFAULT_RESOURCE: &str = "egress";

/// A share of a fleet's limit, in bytes a second, above which the server does not send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaSource {
    /// The quota server.
    pub server: Endpoint,
    /// The resource. Default `egress`.
    pub resource: Id,
    /// What this server is called there; no other one may be called so.
    pub client: Id,
    /// The file with the token that the quota server asks for. Default none.
    pub token_file: Option<PathBuf>,
    /// Certificates of the authorities to believe; needed for https. Default none.
    pub tls_ca: Option<PathBuf>,
    /// The certificate and the key to show, where the quota server asks for one. Default none.
    pub tls_identity: Option<(PathBuf, PathBuf)>,
    /// The pace while the quota server is lost and no lease runs. Default: the resource's limit divided by
    /// the clients last known.
    pub safe_share: Option<Rate>,
}

impl QuotaSource {
    /// A share of `resource` for the server `client`.
    pub fn new(server: Endpoint, resource: Id, client: Id) -> Self {
        let (token_file, tls_ca, tls_identity, safe_share) = (None, None, None, None);
        Self { server, resource, client, token_file, tls_ca, tls_identity, safe_share }
    }

    /// What is missing beside the rest, if something is.
    pub(super) fn fault(&self) -> Option<&'static str> {
        match (self.server.is_tls(), &self.tls_ca, &self.tls_identity) {
            (true, None, _) => Some("an https server needs tls_ca"),
            (false, Some(_), _) | (false, _, Some(_)) => Some("tls_ca, tls_cert and tls_key are for https"),
            _ => None,
        }
    }
}

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
