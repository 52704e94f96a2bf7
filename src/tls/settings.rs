//! Settings of `[tls.NAME]`: certificates, keys and who may connect.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Identity;
use crate::keys::{Keys, PathKind};

/// Default of [`TlsSettings::handshake_timeout`].
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// What happens when a client asks for a name that no certificate has, or for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownName {
    /// It is shown the first certificate.
    #[default]
    Default,
    /// Its handshake fails.
    Refuse,
}

spelt!(
    UnknownName,
    "a rule for unknown names",
    [("default", UnknownName::Default), ("refuse", UnknownName::Refuse)]
);

/// TLS of listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// Certificates with their keys, chosen by the name that a client asks for. None if [`self_signed`](Self::self_signed).
    pub identities: Vec<Identity>,
    /// Whether a certificate is made for this run, which no client trusts. Default false.
    pub self_signed: bool,
    /// What happens when a client asks for a name that no certificate has. Default: it is shown the first.
    pub unknown_name: UnknownName,
    /// Authorities of which clients must have a certificate. Default: none is asked for.
    pub client_ca: Option<PathBuf>,
    /// Time in which a handshake must end once it is its turn, and for which it waits for that. Default 10 s.
    pub handshake_timeout: Duration,
}

impl TlsSettings {
    /// Settings with these certificates, and the defaults.
    pub fn of(identities: Vec<Identity>) -> Self {
        Self {
            identities,
            self_signed: false,
            unknown_name: UnknownName::default(),
            client_ca: None,
            handshake_timeout: HANDSHAKE_TIMEOUT,
        }
    }

    /// Settings with a certificate that is made for this run.
    pub fn self_signed() -> Self {
        Self { self_signed: true, ..Self::of(Vec::new()) }
    }

    /// Requires certificates of clients that an authority in the file `path` has signed, if there is one.
    #[must_use]
    pub fn client_ca(self, path: Option<&Path>) -> Self {
        Self { client_ca: path.map(Path::to_owned), ..self }
    }

    /// Reads the keys of one table.
    pub(crate) fn read(keys: &Keys<'_>) -> Option<Self> {
        let self_signed = keys.switch("self_signed").unwrap_or_default();
        let certificates = keys.paths("cert", PathKind::File);
        let key_files = keys.paths("key", PathKind::File);
        match (&certificates, &key_files) {
            _ if self_signed && (keys.has("cert") || keys.has("key")) => {
                keys.fault("self_signed", "it is in the place of cert and key; leave one or the other out");
            }
            _ if self_signed || keys.failed(&["cert", "key"]) => {}
            (Some(certificates), Some(key_files)) if certificates.len() != key_files.len() => {
                let text = format!(
                    "{} for {}; give each certificate its key, in the same order",
                    number(key_files.len(), "key"),
                    number(certificates.len(), "certificate")
                );
                keys.fault("key", text);
            }
            (Some(certificates), Some(_)) if !certificates.is_empty() => {}
            (Some(_), Some(_)) => keys.fault("cert", "is empty; name a certificate in PEM"),
            (Some(_), None) => {
                keys.fault("cert", format!("its key is missing; set {} too", keys.flag_or("key", "key")));
            }
            (None, Some(_)) => {
                keys.fault(
                    "key",
                    format!("its certificate is missing; set {} too", keys.flag_or("cert", "cert")),
                );
            }
            (None, None) => keys.table_fault(None, "there is neither cert nor self_signed; set cert and key"),
        }
        let pairs = certificates.unwrap_or_default().into_iter().zip(key_files.unwrap_or_default());
        let settings = Self {
            identities: pairs.map(|(certificate, key)| Identity { certificate, key }).collect(),
            self_signed,
            unknown_name: keys.parse("unknown_name").unwrap_or_default(),
            client_ca: keys.path("client_ca", PathKind::File),
            handshake_timeout: keys.timeout("handshake_timeout").unwrap_or(HANDSHAKE_TIMEOUT),
        };
        (settings.self_signed || !settings.identities.is_empty()).then_some(settings)
    }
}

fn number(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
