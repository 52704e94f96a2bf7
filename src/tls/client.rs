//! TLS of a client.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use futures_lite::io::{AsyncRead, AsyncWrite};
use futures_rustls::TlsConnector;
use futures_rustls::rustls::pki_types::ServerName;
use futures_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, Error, InvalidMessage, RootCertStore,
};

use super::client_socket::ClientSocket;
use super::pem::{authorities, machine_authorities, provider};
use super::stream::Stream;
use super::{ClientTlsSettings, Identity, TlsError};
use crate::rt::{Fresh, Socket};

/// TLS of a client.
#[derive(Clone)]
pub struct ClientTls(pub(super) Arc<Fresh<TlsConnector>>);

impl ClientTls {
    /// Creates a client of HTTP/2 that trusts the authorities in the file `authorities`, and presents its own identity if it
    /// has one. Reads files; meant for the start of the program. Replaced files are used for new connections within a
    /// second.
    ///
    /// # Errors
    /// A file cannot be read, or has other content.
    pub fn new(authorities: &Path, identity: Option<&Identity>) -> Result<Self, TlsError> {
        Self::fresh(Some(authorities), identity, &[b"h2"])
    }

    /// Creates a client of HTTP/1.1 as `settings` say. Without `ca` it trusts the authorities that the system does. Reads
    /// files; meant for the start of the program and for reloads. Replaced files are used for new connections within a
    /// second; the system's authorities are read once.
    ///
    /// # Errors
    /// A file cannot be read or has other content, a key is not its certificate's or everyone can read it, or the system
    /// trusts no authority.
    pub fn from_settings(settings: &ClientTlsSettings) -> Result<Self, TlsError> {
        Self::fresh(settings.ca.as_deref(), settings.identity.as_ref(), &[b"http/1.1"])
    }

    /// Creates a client of HTTP/1.1 that trusts the authorities in the file `authorities`, or without a file those that the
    /// machine trusts. Reads files; meant for the start of the program.
    ///
    /// # Errors
    /// A file cannot be read or has other content, or the machine trusts no authority.
    pub fn for_http1(authorities: Option<&Path>) -> Result<Self, TlsError> {
        let connector = connector(&roots(authorities)?, None, &[b"http/1.1"])?;
        Ok(Self(Arc::new(Fresh::fixed(connector))))
    }

    /// The same for a protocol that has no name in TLS (ALPN): none is offered.
    ///
    /// # Errors
    /// As of [`for_http1`](Self::for_http1).
    #[cfg(any(feature = "redis", test))]
    pub(crate) fn for_unnamed(authorities: Option<&Path>) -> Result<Self, TlsError> {
        let connector = connector(&roots(authorities)?, None, &[])?;
        Ok(Self(Arc::new(Fresh::fixed(connector))))
    }

    fn fresh(
        authorities: Option<&Path>,
        identity: Option<&Identity>,
        protocols: &'static [&'static [u8]],
    ) -> Result<Self, TlsError> {
        let (file, identity) = (authorities.map(Path::to_owned), identity.cloned());
        let paths = identity.iter().flat_map(Identity::paths).chain(file.clone()).collect::<Vec<_>>();
        let machine = if file.is_none() { Some(Arc::new(machine_authorities()?)) } else { None };
        let make = move || {
            let roots = match &machine {
                Some(machine) => Arc::clone(machine),
                None => roots(file.as_deref())?,
            };
            connector(&roots, identity.as_ref(), protocols)
        };
        Ok(Self(Arc::new(Fresh::new(paths, make)?)))
    }

    /// Does the handshake with the server `host`, a name or an address without brackets.
    ///
    /// # Errors
    /// The server's certificate is not trusted or is for another host, or the server refuses the client's.
    pub async fn connect<S>(&self, host: &str, socket: S) -> io::Result<Stream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.0.get().await.connect(name, socket).await.map(|tls| Stream::tls(tls.into()))
    }

    /// Does the handshake with the backend `host`, a name or an address without brackets. Has no timeout of its own;
    /// dropping the future closes the socket.
    ///
    /// # Errors
    /// The backend's certificate is not trusted or is for another host, or the backend refuses; the text says which.
    pub async fn handshake(&self, host: &str, socket: Socket) -> io::Result<ClientSocket> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let shaken = self.0.get().await.connect(name, socket).await;
        shaken.map(ClientSocket::new).map_err(explained)
    }
}

/// The authorities of the file, or those that the machine trusts.
fn roots(authorities: Option<&Path>) -> Result<Arc<RootCertStore>, TlsError> {
    authorities.map_or_else(machine_authorities, self::authorities).map(Arc::new)
}

fn connector(
    roots: &Arc<RootCertStore>,
    identity: Option<&Identity>,
    protocols: &[&[u8]],
) -> Result<TlsConnector, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| TlsError::new(&error))?;
    let builder = builder.with_root_certificates(Arc::clone(roots));
    let mut config = match identity {
        Some(identity) => {
            let (chain, key) = identity.read()?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| TlsError::in_file(&identity.certificate, &error))?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// What a failed handshake with a backend means, and what helps.
fn explained(error: io::Error) -> io::Error {
    let text = match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(fault)) => match fault {
            // An authority of the issuer's name is trusted, and it has another key.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "unknown issuer: no trusted authority signed its certificate; set ca to the authority that did".to_owned()
            }
            CertificateError::NotValidForNameContext { expected, presented } => format!(
                "wrong name: its certificate is for {}, not for {}; set tls_name to a name that it has",
                presented.iter().map(|name| bare(name)).collect::<Vec<_>>().join(", "),
                expected.to_str()
            ),
            CertificateError::NotValidForName => {
                "wrong name: its certificate is for another; set tls_name to a name that it has".to_owned()
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "expired: its certificate has ended".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "not valid yet: its certificate begins later, or this machine's clock is slow".to_owned()
            }
            fault => format!("its certificate is not valid: {fault}"),
        },
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "what it sent is not TLS; write http:// if it speaks plain HTTP".to_owned()
        }
        Some(error) => error.to_string(),
        None => return error,
    };
    io::Error::new(error.kind(), text)
}

/// Whether `host`, a name or an address without brackets, can be that of a certificate.
pub(crate) fn can_be_certified(host: &str) -> bool {
    ServerName::try_from(host).is_ok()
}

/// Whether reading failed because the peer refused this side's certificate. These alerts belong to the handshake
/// (RFC 8446 §6.2): after them the peer has used nothing that it was sent.
pub(crate) fn is_certificate_refused(error: &io::Error) -> bool {
    use AlertDescription as Alert;
    let Some(Error::AlertReceived(alert)) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>())
    else {
        return false;
    };
    matches!(
        alert,
        Alert::HandshakeFailure
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::CertificateRequired
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError
    )
}

/// A name as people write it, of how rustls shows it: `DnsName("a.test")`, `IpAddress(127.0.0.1)`.
fn bare(name: &str) -> &str {
    name.split_once('(').map_or(name, |(_, rest)| rest.trim_end_matches(')').trim_matches('"'))
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive()
    }
}
