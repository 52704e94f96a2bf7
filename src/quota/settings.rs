//! Settings of a server's share of a fleet's limit: which quota server it asks, and under which name.

use std::path::PathBuf;

use super::{Endpoints, Id};
use crate::keys::{Keys, PathKind, Value};
use crate::limit::Rate;
use crate::words::shorten;

/// The default resource.
pub const DEFAULT_RESOURCE: &str = "egress";

/// A share of a fleet's limit, in bytes per second, above which the server does not send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaSource {
    /// Quota servers: one, or all those on one store.
    pub servers: Endpoints,
    /// Resource. Default `egress`.
    pub resource: Id,
    /// Resources of which all clients of a class of that name share this server's part. Each is of one class.
    pub classes: Vec<(String, Id)>,
    /// Name of this server at the quota server, unique in the fleet.
    pub client: Id,
    /// File with the token that the quota server requires. Default none.
    pub token_file: Option<PathBuf>,
    /// File with the certificate authorities to trust; needed for https. Default none.
    pub tls_ca: Option<PathBuf>,
    /// Files with the client certificate and its key, if the quota server requires one. Default none.
    pub tls_identity: Option<(PathBuf, PathBuf)>,
    /// Rate while the quota server is unreachable and no lease runs. Default: the resource's limit divided by the number
    /// of clients last known.
    pub safe_share: Option<Rate>,
}

impl QuotaSource {
    /// Reads `[quota]`. `classes` are the names of those that there are.
    pub(crate) fn read(keys: &Keys<'_>, classes: &[&str]) -> Option<Self> {
        keys.require("server");
        keys.require("client_id");
        let (server, resource, client) =
            (keys.parse("server"), keys.parse("resource"), keys.parse("client_id"));
        let token_file = keys.path("token_file", PathKind::File);
        let tls_ca = keys.path("tls_ca", PathKind::File);
        let pair = match keys.has("tls_cert") == keys.has("tls_key") {
            true => keys.clone(),
            false => keys.without_effect("tls_cert and tls_key belong together; set both"),
        };
        let tls_identity = pair.path("tls_cert", PathKind::File).zip(pair.path("tls_key", PathKind::File));
        let safe_share = keys.amount("safe_share", str::parse::<Rate>);
        let servers: Endpoints = server?;
        let fault = match (servers.first.is_tls(), keys.has("tls_ca"), &tls_identity) {
            (true, false, _) => format!("an https server needs {}", keys.flag_or("tls_ca", "tls_ca")),
            (false, true, _) | (false, _, Some(_)) => "tls_ca, tls_cert and tls_key are for https".to_owned(),
            _ => String::new(),
        };
        if !fault.is_empty() {
            keys.fault("server", fault);
        }
        let resource = resource.or_else(|| DEFAULT_RESOURCE.parse().ok())?;
        let classes = read_classes(keys, &resource, classes);
        Some(Self {
            servers,
            resource,
            classes,
            client: client?,
            token_file,
            tls_ca,
            tls_identity,
            safe_share,
        })
    }
}

/// Reads `classes`: by the name of a class, the resource.
fn read_classes(keys: &Keys<'_>, own: &Id, known: &[&str]) -> Vec<(String, Id)> {
    let table = keys.table("classes", " such as { free = \"egress-free\" }");
    let mut classes: Vec<(String, Id)> = Vec::new();
    for entry in table.all() {
        let (name, at) = (shorten(&entry.name), entry.node.at.clone());
        let fault = |why: &str| table.table_fault(at, format!("[quota.classes] {name}: {why}"));
        let Value::Text(text) = &entry.node.value else {
            fault("expected the name of a resource, such as \"egress-free\"");
            continue;
        };
        let resource: Id = match text.parse() {
            Ok(resource) => resource,
            Err(error) => {
                fault(&format!("{error}"));
                continue;
            }
        };
        if !known.contains(&&*entry.name) {
            fault("there is no [[class]] of this name");
        } else if resource == *own {
            fault("its resource is that of the whole server; name one of its own");
        } else if let Some((other, _)) = classes.iter().find(|(_, taken)| *taken == resource) {
            fault(&format!("its resource is that of class {other}; name one of its own"));
        } else {
            classes.push((entry.name.clone(), resource));
        }
    }
    classes
}
