//! Settings of TLS to a backend: whom to trust, by which name, and what certificate to show.

use std::net::IpAddr;
use std::path::PathBuf;

use super::Identity;
use crate::keys::{Keys, PathKind};

/// TLS to a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTlsSettings {
    /// Authorities that the backend's certificate must be signed by, in place of those that the system trusts.
    pub ca: Option<PathBuf>,
    /// The certificate that the backend is shown if it asks for one, with its key. Default: none.
    pub identity: Option<Identity>,
    /// The name that the backend is asked for (SNI) and that its certificate must have. Default: the host of its URL.
    pub name: Option<String>,
}

impl ClientTlsSettings {
    /// Reads `ca`, `cert`, `key` and `tls_name`.
    pub(crate) fn read(keys: &Keys<'_>) -> Self {
        let certificate = keys.path("cert", PathKind::File);
        let key = keys.path("key", PathKind::File);
        if !keys.failed(&["cert", "key"]) {
            match (&certificate, &key) {
                (Some(_), None) => {
                    keys.fault("cert", format!("its key is missing; set {} too", keys.flag_or("key", "key")));
                }
                (None, Some(_)) => {
                    let text =
                        format!("its certificate is missing; set {} too", keys.flag_or("cert", "cert"));
                    keys.fault("key", text);
                }
                _ => {}
            }
        }
        let identity = certificate.zip(key).map(|(certificate, key)| Identity { certificate, key });
        let name = keys.parse_with("tls_name", |text| match is_name(text) {
            true => Ok(text.to_owned()),
            false => Err("it is no name of a server; write one such as \"app.example.org\", without a port"),
        });
        Self { ca: keys.path("ca", PathKind::File), identity, name }
    }
}

/// Whether a certificate can be for `text`: a DNS name (RFC 1123, and `_`) or an IP address without brackets.
pub(super) fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        plain && matches!(label.len(), 1..=63) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.parse::<IpAddr>().is_ok() || (text.len() <= 253 && text.split('.').all(is_label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_a_certificate_can_have() {
        for good in ["localhost", "app.example.org", "a-b.c_d", "127.0.0.1", "::1", &"a".repeat(63)] {
            assert!(is_name(good), "{good}");
        }
        let long = ["a"; 128].join(".");
        for bad in
            ["", "a b", "a:443", "[::1]", "*.example.org", ".a", "a..b", "-a", "a-", &"a".repeat(64), &long]
        {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
