//! Finds out whether a client and its request are in a class.

use std::cell::OnceCell;
use std::net::IpAddr;

use http::header::USER_AGENT;
use http::{HeaderMap, HeaderName, Method, Request};

use super::known_keys::{self, KnownKeys};
use super::settings::{CertificateId, ClassMatch, HeaderKeys, KeySet, TextPattern};
use crate::address::Network;
use crate::budget::ClientKey;
use crate::http::request_path::RequestPath;
use crate::http::route::PathPattern;
use crate::tls::ClientCertificate;

/// A client, and what it asks for.
pub(in crate::http) struct Asker<'a> {
    /// Its address; `None` on a Unix socket.
    pub(in crate::http) ip: Option<IpAddr>,
    /// The certificate that it showed. That of a proxy that names another client is none.
    pub(in crate::http) certificate: Option<&'a ClientCertificate>,
    /// Its request; `None` on a port of raw TCP.
    pub(in crate::http) request: Option<Asked<'a>>,
    // What many classes may ask for is made once for a request.
    user_agent: OnceCell<Option<String>>,
}

impl<'a> Asker<'a> {
    pub(in crate::http) fn new(
        ip: Option<IpAddr>,
        certificate: Option<&'a ClientCertificate>,
        request: Option<Asked<'a>>,
    ) -> Self {
        Self { ip, certificate, request, user_agent: OnceCell::new() }
    }

    /// The program that it says it is, in lower case.
    fn user_agent(&self) -> Option<&str> {
        let read = || {
            let value = self.request?.fields.get(USER_AGENT)?;
            Some(String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase())
        };
        self.user_agent.get_or_init(read).as_deref()
    }
}

/// The head of a request.
#[derive(Clone, Copy)]
pub(in crate::http) struct Asked<'a> {
    pub(in crate::http) method: &'a Method,
    /// A normal form of its path; `None` if that leads above its root.
    pub(in crate::http) path: Option<&'a str>,
    pub(in crate::http) fields: &'a HeaderMap,
}

impl<'a> Asked<'a> {
    /// That of `request`, whose path is `path`.
    pub(in crate::http) fn of<B>(request: &'a Request<B>, path: &'a RequestPath<'_>) -> Self {
        Self { method: request.method(), path: path.normal(), fields: request.headers() }
    }
}

/// Conditions with the keys that they know, in the order of what they cost.
#[derive(Default)]
pub(super) struct Conditions(Vec<Condition>);

enum Condition {
    Network(Vec<Network>),
    Method(Vec<Method>),
    Path(Vec<PathPattern>),
    UserAgent(Vec<TextPattern>),
    Certificate(Vec<Certificate>),
    Header(HeaderName, KnownKeys),
}

/// A certificate that is meant.
enum Certificate {
    Any,
    Fingerprint([u8; 32]),
    /// The digest of a name, and that of it in lower case, as DNS names are compared.
    Name([u8; 32], [u8; 32]),
}

impl Conditions {
    /// Makes those of `matches`; reads files of keys.
    ///
    /// # Errors
    /// Says which file of keys cannot be used, and why.
    pub(super) fn new(matches: &ClassMatch) -> Result<Self, String> {
        let ClassMatch { network, header, certificate, path, method, user_agent } = matches;
        let mut all = vec![
            Condition::Network(network.clone()),
            Condition::Method(method.clone()),
            Condition::Path(path.clone()),
            Condition::UserAgent(user_agent.clone()),
            Condition::Certificate(certificate.iter().filter_map(Certificate::of).collect()),
        ];
        all.retain(|condition| !condition.is_empty());
        for HeaderKeys { name, keys } in header {
            let known = match keys {
                KeySet::Listed(keys) => KnownKeys::new(keys.iter().cloned()),
                KeySet::File(path) => KnownKeys::new(known_keys::read(path)?),
            };
            all.push(Condition::Header(name.clone(), known));
        }
        Ok(Self(all))
    }

    pub(super) fn all_hold(&self, asker: &Asker<'_>) -> bool {
        self.0.iter().all(|condition| condition.holds(asker))
    }

    pub(super) fn any_holds(&self, asker: &Asker<'_>) -> bool {
        self.0.iter().any(|condition| condition.holds(asker))
    }

    /// What tells the clients that meet them apart: the key of the first header, else the certificate. `None` leaves that to the
    /// server.
    pub(super) fn key(&self, asker: &Asker<'_>) -> Option<ClientKey> {
        let of_header = self.headers().next().and_then(|(name, known)| known_key(asker, name, known));
        of_header.cloned().or_else(|| self.0.iter().find_map(|condition| condition.certificate_key(asker)))
    }

    /// Whether `value` is a known key of the header `name`.
    pub(super) fn knows(&self, name: &HeaderName, value: &[u8]) -> bool {
        self.headers().any(|(own, known)| own == name && known.find(value).is_some())
    }

    /// How many known keys `other` has not.
    pub(super) fn keys_missing_in(&self, other: &Self) -> usize {
        let missing = |(name, known): (&HeaderName, &KnownKeys)| {
            let same = other.headers().find(|(own, _)| *own == name);
            same.map_or(known.len(), |(_, other)| known.missing_in(other))
        };
        self.headers().map(missing).sum()
    }

    /// The headers with their known keys.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&HeaderName, &KnownKeys)> {
        self.0.iter().filter_map(|condition| match condition {
            Condition::Header(name, known) => Some((name, known)),
            _ => None,
        })
    }
}

impl Condition {
    fn is_empty(&self) -> bool {
        match self {
            Self::Network(list) => list.is_empty(),
            Self::Method(list) => list.is_empty(),
            Self::Path(list) => list.is_empty(),
            Self::UserAgent(list) => list.is_empty(),
            Self::Certificate(list) => list.is_empty(),
            Self::Header(..) => false,
        }
    }

    fn holds(&self, asker: &Asker<'_>) -> bool {
        match self {
            Self::Network(networks) => {
                asker.ip.is_some_and(|ip| networks.iter().any(|network| network.contains(ip)))
            }
            Self::Method(methods) => asker.request.is_some_and(|asked| methods.contains(asked.method)),
            Self::Path(patterns) => {
                let path = asker.request.and_then(|asked| asked.path);
                path.is_some_and(|path| patterns.iter().any(|pattern| pattern.matches(path)))
            }
            Self::UserAgent(patterns) => {
                asker.user_agent().is_some_and(|text| patterns.iter().any(|pattern| pattern.matches(text)))
            }
            Self::Certificate(wanted) => asker
                .certificate
                .is_some_and(|certificate| wanted.iter().any(|wanted| wanted.is(certificate))),
            Self::Header(name, known) => known_key(asker, name, known).is_some(),
        }
    }

    /// The key of the certificate that is meant: by its name where that was asked for.
    fn certificate_key(&self, asker: &Asker<'_>) -> Option<ClientKey> {
        let (Self::Certificate(wanted), Some(certificate)) = (self, asker.certificate) else { return None };
        let digest = match wanted.iter().find(|wanted| wanted.is(certificate))? {
            Certificate::Name(..) => &certificate.name,
            Certificate::Any | Certificate::Fingerprint(_) => &certificate.fingerprint,
        };
        Some(ClientKey::Certificate(digest.clone()))
    }
}

/// The known key that the request has in its one field `name`. Of several nobody knows which one is meant.
fn known_key<'k>(asker: &Asker<'_>, name: &HeaderName, known: &'k KnownKeys) -> Option<&'k ClientKey> {
    let mut values = asker.request?.fields.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    known.find(value.as_bytes())
}

impl Certificate {
    /// `None` in a build without TLS, which has no certificates.
    fn of(id: &CertificateId) -> Option<Self> {
        match id {
            CertificateId::Any => Some(Self::Any),
            CertificateId::Fingerprint(ClientKey::Certificate(digest)) => Some(Self::Fingerprint(**digest)),
            CertificateId::Fingerprint(_) => None,
            CertificateId::Name(name) => {
                let digest = ClientCertificate::digest_of_name;
                Some(Self::Name(digest(name)?, digest(&name.to_ascii_lowercase())?))
            }
        }
    }

    fn is(&self, shown: &ClientCertificate) -> bool {
        match self {
            Self::Any => true,
            Self::Fingerprint(digest) => *digest == *shown.fingerprint,
            Self::Name(digest, lower) => *(if shown.is_dns { lower } else { digest }) == *shown.name,
        }
    }
}
