//! TLS of a client.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use futures_rustls::TlsConnector;
use futures_rustls::rustls::ClientConfig;
use futures_rustls::rustls::pki_types::ServerName;

use super::pem::{authorities, machine_authorities, provider};
use super::stream::Stream;
use super::{Identity, TlsError};
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
        let (authorities, identity) = (authorities.to_owned(), identity.cloned());
        let paths =
            identity.iter().flat_map(Identity::paths).chain([authorities.clone()]).collect::<Vec<_>>();
        let connector = Fresh::new(paths, move || connector(&authorities, identity.as_ref()))?;
        Ok(Self(Arc::new(connector)))
    }

    /// Creates a client of HTTP/1.1 that trusts the authorities in the file `authorities`, or without a file those that the
    /// machine trusts. Reads files; meant for the start of the program.
    ///
    /// # Errors
    /// A file cannot be read or has other content, or the machine trusts no authority.
    pub fn for_http1(authorities: Option<&Path>) -> Result<Self, TlsError> {
        let builder = ClientConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| TlsError::new(&error))?;
        let roots = match authorities {
            Some(file) => self::authorities(file)?,
            None => machine_authorities()?,
        };
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(Fresh::fixed(TlsConnector::from(Arc::new(config))))))
    }

    /// Does the handshake with the server `host`, a name or an address without brackets.
    ///
    /// # Errors
    /// The server's certificate is not trusted or is for another host, or the server refuses the client's.
    pub async fn connect(&self, host: &str, socket: Socket) -> io::Result<Stream> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.0.get().await.connect(name, socket).await.map(|tls| Stream::tls(tls.into()))
    }
}

/// What [`ClientTls::new`] is made of.
fn connector(authorities: &Path, identity: Option<&Identity>) -> Result<TlsConnector, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| TlsError::new(&error))?;
    let builder = builder.with_root_certificates(self::authorities(authorities)?);
    let mut config = match identity {
        Some(identity) => {
            let (chain, key) = identity.read()?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| TlsError::in_file(&identity.certificate, &error))?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive()
    }
}
