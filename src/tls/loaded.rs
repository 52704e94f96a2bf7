//! What the files of one table make: rustls configurations that choose a certificate by the name asked for.

use std::path::Path;
use std::sync::Arc;

use futures_rustls::rustls::crypto::CryptoProvider;
use futures_rustls::rustls::crypto::ring::{self, Ticketer};
use futures_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use futures_rustls::rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use futures_rustls::rustls::sign::CertifiedKey;
use futures_rustls::rustls::{CipherSuite, ServerConfig};
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::client_certificate::sha256;
use super::pem::{Chain, authorities, provider};
use super::{Identity, TlsError, UnknownName};

/// The protocols that a listener offers inside TLS (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Alpn {
    /// HTTP/2 and HTTP/1.1.
    Http,
    /// HTTP/2.
    Http2,
    /// Whatever both ends know: nothing is negotiated.
    Raw,
}

impl Alpn {
    const ALL: [Self; 3] = [Self::Http, Self::Http2, Self::Raw];

    fn names(self) -> Vec<Vec<u8>> {
        let names: &[&str] = match self {
            Self::Http => &["h2", "http/1.1"],
            Self::Http2 => &["h2"],
            Self::Raw => &[],
        };
        names.iter().map(|name| name.as_bytes().to_vec()).collect()
    }
}

/// What is known of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateInfo {
    /// Its file, or `self-signed`.
    pub source: String,
    /// When it ends, in seconds since 1970.
    pub ends: i64,
    /// The SHA-256 of its DER, as `openssl x509 -fingerprint -sha256` prints it.
    pub fingerprint: String,
}

/// A certificate chain with its key, and the names that it is for.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    key: Arc<CertifiedKey>,
    /// In lower case; `*.example.org` stands for all names with one label more than `example.org`.
    names: Vec<String>,
    info: CertificateInfo,
}

impl Certificate {
    fn read(identity: &Identity) -> Result<Self, TlsError> {
        let (chain, key) = identity.read()?;
        Self::new(chain, key, &identity.certificate, &identity.key)
    }

    /// A chain and a key from the files `certificate` and `from`.
    pub(super) fn new(
        chain: Chain,
        key: PrivateKeyDer<'static>,
        certificate: &Path,
        from: &Path,
    ) -> Result<Self, TlsError> {
        use futures_rustls::rustls::{Error, InconsistentKeys};
        let unreadable =
            |error| TlsError::in_file(certificate, &format!("its first certificate cannot be read: {error}"));
        let leaf = chain.first().ok_or_else(|| unreadable("there is none".to_owned()))?;
        let (names, ends) = about(leaf).map_err(unreadable)?;
        let info = CertificateInfo {
            source: certificate.display().to_string(),
            ends,
            fingerprint: fingerprint(leaf),
        };
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                let text = format!("the key is not that of the certificate in {}", certificate.display());
                TlsError::in_file(from, &text)
            }
            error => TlsError::in_file(from, &format!("the key cannot be used: {error}")),
        })?;
        Ok(Self { key: Arc::new(key), names, info })
    }

    /// How well it fits a name: 2 for the name itself, 1 by a wildcard, 0 not at all.
    fn fits(&self, name: &str) -> u8 {
        let parent = name.split_once('.').map(|(_, parent)| parent);
        let fit = |of: &String| match of.strip_prefix("*.") {
            Some(rest) => u8::from(parent == Some(rest)),
            None => u8::from(of == name) * 2,
        };
        self.names.iter().map(fit).max().unwrap_or(0)
    }
}

fn fingerprint(leaf: &CertificateDer<'_>) -> String {
    let digest = sha256(leaf);
    digest.iter().flatten().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

/// The DNS names of a certificate, and when it ends.
fn about(leaf: &CertificateDer<'_>) -> Result<(Vec<String>, i64), String> {
    let parsed = CertificateInner::<Raw>::from_der(leaf).map_err(|error| error.to_string())?;
    let parsed = parsed.tbs_certificate();
    let alternatives = parsed.get_extension::<SubjectAltName>().ok().flatten();
    let names = alternatives.iter().flat_map(|(_, names)| &names.0).filter_map(|name| match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
        _ => None,
    });
    // A certificate ends by the year 9999.
    Ok((names.collect(), parsed.validity().not_after.to_unix_duration().as_secs() as i64))
}

/// Chooses among certificates by the name that a client asks for, and by the signatures that it knows.
#[derive(Debug)]
struct ByName {
    certificates: Vec<Certificate>,
    unknown: UnknownName,
}

impl ByName {
    fn choose(&self, name: Option<&str>, usable: impl Fn(&CertifiedKey) -> bool) -> Option<&Certificate> {
        let name = name.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let mut best: Option<((bool, bool, u8), &Certificate)> = None;
        for certificate in &self.certificates {
            let fits = name.as_deref().map_or(0, |name| certificate.fits(name));
            // One by a wildcard that the client can verify is of more use than one of the name that it cannot.
            let rank = (fits > 0, usable(&certificate.key), fits);
            // Among equals the first.
            if best.as_ref().is_none_or(|(known, _)| rank > *known) {
                best = Some((rank, certificate));
            }
        }
        best.filter(|((fits, ..), _)| *fits || self.unknown == UnknownName::Default).map(|(_, found)| found)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        let usable = |key: &CertifiedKey| key.key.choose_scheme(schemes).is_some();
        self.choose(hello.server_name(), usable).map(|found| Arc::clone(&found.key))
    }
}

/// rustls's ciphers, AES-128 before the others: of those that are strong it costs least for each byte. The server's order
/// counts, as auditors want it; a client without AES gets what it has.
fn preferring_aes_128() -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| {
        use CipherSuite as Suite;
        !matches!(
            suite.suite(),
            Suite::TLS13_AES_128_GCM_SHA256
                | Suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
                | Suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        )
    });
    Arc::new(provider)
}

/// What the files make. Sessions resume only while it lives: a client verified by an earlier authority does not.
pub(super) struct Loaded {
    configs: [Arc<ServerConfig>; Alpn::ALL.len()],
    resolver: Arc<ByName>,
}

impl Loaded {
    pub(super) fn read(
        identities: &[Identity],
        clients: Option<&Path>,
        unknown: UnknownName,
    ) -> Result<Self, TlsError> {
        let certificates = identities.iter().map(Certificate::read).collect::<Result<_, _>>()?;
        Self::new(certificates, clients, unknown)
    }

    pub(super) fn new(
        certificates: Vec<Certificate>,
        clients: Option<&Path>,
        unknown: UnknownName,
    ) -> Result<Self, TlsError> {
        let resolver = Arc::new(ByName { certificates, unknown });
        let verifier = match clients {
            Some(path) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(authorities(path)?), provider());
                verifier.build().map_err(|error| TlsError::in_file(path, &error))?
            }
            None => WebPkiClientVerifier::no_client_auth(),
        };
        let config = |alpn: Alpn| {
            let builder = ServerConfig::builder_with_provider(preferring_aes_128());
            let builder =
                builder.with_safe_default_protocol_versions().map_err(|error| TlsError::new(&error))?;
            let builder = builder.with_client_cert_verifier(Arc::clone(&verifier));
            let mut config = builder.with_cert_resolver(Arc::clone(&resolver) as _);
            config.alpn_protocols = alpn.names();
            config.ignore_client_order = true;
            // A listener's own: a session of one does not resume on another.
            config.ticketer = Ticketer::new().map_err(|error| TlsError::new(&error))?;
            Ok(Arc::new(config))
        };
        let [http, http2, raw] = Alpn::ALL;
        let configs = [config(http)?, config(http2)?, config(raw)?];
        Ok(Self { configs, resolver })
    }

    pub(super) fn config(&self, alpn: Alpn) -> &Arc<ServerConfig> {
        &self.configs[alpn as usize]
    }

    pub(super) fn certificates(&self) -> impl Iterator<Item = &CertificateInfo> {
        self.resolver.certificates.iter().map(|certificate| &certificate.info)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn certificate(names: &[&str]) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).unwrap();
        params.not_after = rcgen::date_time_ymd(2040, 1, 1);
        let made = params.self_signed(&key).unwrap();
        let der = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Certificate::new(vec![made.der().clone()], der, &PathBuf::from(&names[0]), Path::new("key")).unwrap()
    }

    fn of(unknown: UnknownName) -> ByName {
        let names = [&["a.test", "127.0.0.1"][..], &["*.b.test", "b.test"], &["x.b.test"], &["a.test"]];
        ByName { certificates: names.into_iter().map(certificate).collect(), unknown }
    }

    #[test]
    fn the_name_itself_goes_before_a_wildcard_and_the_first_is_for_all_others() {
        let (default, refuse) = (of(UnknownName::Default), of(UnknownName::Refuse));
        for (name, expected) in [
            (Some("a.test"), Some("a.test")),
            (Some("A.Test."), Some("a.test")),
            (Some("b.test"), Some("*.b.test")),
            (Some("y.b.test"), Some("*.b.test")),
            (Some("x.b.test"), Some("x.b.test")),
            (Some("z.x.b.test"), None),
            (Some("test"), None),
            (None, None),
        ] {
            let chosen = |of: &ByName| of.choose(name, |_| true).map(|found| found.info.source.clone());
            assert_eq!(chosen(&default).as_deref(), Some(expected.unwrap_or("a.test")), "{name:?}");
            assert_eq!(chosen(&refuse).as_deref(), expected, "{name:?}");
        }
    }

    #[test]
    fn of_two_for_one_name_the_client_gets_the_one_that_it_can_verify() {
        let by_name = of(UnknownName::Refuse);
        let [first, .., last] = &by_name.certificates[..] else { panic!() };
        for (usable, expected) in [(first, first), (last, last)] {
            let found = by_name.choose(Some("a.test"), |key| std::ptr::eq(key, &*usable.key)).unwrap();
            assert!(Arc::ptr_eq(&found.key, &expected.key));
        }
        assert_eq!(first.info.ends, 2_208_988_800);
        // The one of the name itself is of no use to this client, and neither is the default.
        let wildcard = &by_name.certificates[1];
        let found = by_name.choose(Some("x.b.test"), |key| std::ptr::eq(key, &*wildcard.key)).unwrap();
        assert!(Arc::ptr_eq(&found.key, &wildcard.key));
        assert!(by_name.choose(Some("c.test"), |key| std::ptr::eq(key, &*wildcard.key)).is_none());
    }
}
