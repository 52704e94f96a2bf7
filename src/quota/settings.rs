//! Settings of a server that sends its share of a fleet's limit: which quota server it asks, and as whom.

use std::path::PathBuf;

use super::{Endpoint, Id};
use crate::limit::Rate;

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
    pub(crate) fn fault(&self) -> Option<&'static str> {
        match (self.server.is_tls(), &self.tls_ca, &self.tls_identity) {
            (true, None, _) => Some("an https server needs tls_ca"),
            (false, Some(_), _) | (false, _, Some(_)) => Some("tls_ca, tls_cert and tls_key are for https"),
            _ => None,
        }
    }
}
