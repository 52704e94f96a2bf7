//! TLS: rustls on this runtime's sockets, with certificates and keys from PEM files.
//!
//! Imports only `rt` of the crate. The protocol inside is HTTP/2 (ALPN `h2`), or HTTP/1.1 for a client that asks for it.

mod stream;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_rustls::rustls::crypto::{CryptoProvider, ring};
use futures_rustls::rustls::pki_types::pem::{self, PemObject};
use futures_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use futures_rustls::rustls::server::WebPkiClientVerifier;
use futures_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use futures_rustls::{TlsAcceptor, TlsConnector};

use crate::named_file;
use crate::rt::{Fresh, Socket};

pub use stream::Stream;

/// The ALPN name of the protocol.
const ALPN: &[u8] = b"h2";

/// Bytes of the largest PEM file; a bundle of all public authorities has about 256 KiB.
const MAX_FILE: u64 = 16 << 20;

/// A certificate chain and its key, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The chain, starting with the end-entity certificate.
    pub certificate: PathBuf,
    /// The private key: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}

/// TLS of a server.
#[derive(Clone)]
pub struct ServerTls {
    acceptor: Arc<Fresh<TlsAcceptor>>,
    asks_clients: bool,
}

/// TLS of a client.
#[derive(Clone)]
pub struct ClientTls(Arc<Fresh<TlsConnector>>);

/// Why TLS cannot be set up. Says which file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError(String);

impl ServerTls {
    /// Creates a server with this identity. With `clients`, a file of certificate authorities, clients must have a
    /// certificate signed by one of them (mutual TLS). Reads files; meant for the start of the program.
    ///
    /// Replaced files are used for new connections within a second; a new certificate once its key is there.
    ///
    /// # Errors
    /// A file cannot be read, or has other content.
    pub fn new(identity: &Identity, clients: Option<&Path>) -> Result<Self, TlsError> {
        let asks_clients = clients.is_some();
        let (identity, clients) = (identity.clone(), clients.map(Path::to_owned));
        let paths = identity.paths().into_iter().chain(clients.clone());
        let acceptor = Fresh::new(paths, move || acceptor(&identity, clients.as_deref()))?;
        Ok(Self { acceptor: Arc::new(acceptor), asks_clients })
    }

    /// Whether clients must have a certificate.
    pub fn asks_clients(&self) -> bool {
        self.asks_clients
    }

    /// Does the handshake with a client. Has no timeout of its own; dropping the future closes the socket.
    ///
    /// # Errors
    /// The client closed the connection, does not speak TLS, or has no valid certificate.
    pub async fn accept(&self, socket: Socket) -> io::Result<Stream> {
        self.acceptor.get().await.accept(socket).await.map(|tls| Stream::tls(tls.into()))
    }
}

impl ClientTls {
    /// Creates a client that trusts the authorities in the file `authorities`, and presents its own identity if it has one.
    /// Reads files; meant for the start of the program. Replaced files are used for new connections within a second.
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

impl Identity {
    fn paths(&self) -> [PathBuf; 2] {
        [self.certificate.clone(), self.key.clone()]
    }

    fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        let chain = certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?).map_err(|error| match error {
            pem::Error::NoItemsFound => TlsError::in_file(&self.key, &"it holds no private key in PEM"),
            error => TlsError::in_file(&self.key, &error),
        })?;
        Ok((chain, key))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    named_file::read(path, MAX_FILE).map_err(|error| TlsError::in_file(path, &error))
}

/// What [`ServerTls::new`] is made of.
fn acceptor(identity: &Identity, clients: Option<&Path>) -> Result<TlsAcceptor, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| TlsError::new(&error))?;
    let builder = match clients {
        Some(path) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(authorities(path)?), provider());
            builder
                .with_client_cert_verifier(verifier.build().map_err(|error| TlsError::in_file(path, &error))?)
        }
        None => builder.with_no_client_auth(),
    };
    let (chain, key) = identity.read()?;
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| TlsError::in_file(&identity.certificate, &error))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
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
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    let found = found.map_err(|error| TlsError::in_file(path, &error))?;
    if found.is_empty() {
        return Err(TlsError::in_file(path, &"it holds no certificate in PEM"));
    }
    Ok(found)
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store.add(certificate).map_err(|error| TlsError::in_file(path, &error))?;
    }
    Ok(store)
}

/// The authorities in the system's certificate folder.
fn machine_authorities() -> Result<RootCertStore, TlsError> {
    // The library would open whatever the variable names, and could block on it.
    if let Some(file) = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from)
        && let Err(error) = named_file::open(&file)
        && error.kind() == io::ErrorKind::InvalidInput
    {
        return Err(TlsError::in_file(&file, &error));
    }
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    // A file that cannot be read does not affect the others.
    store.add_parsable_certificates(found.certs);
    if store.is_empty() {
        let why = found.errors.first().map_or("there are none".to_owned(), ToString::to_string);
        return Err(TlsError(format!("the machine's certificates of authorities cannot be used: {why}")));
    }
    Ok(store)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

impl TlsError {
    fn new(error: &dyn fmt::Display) -> Self {
        Self(format!("TLS: {error}"))
    }

    fn in_file(path: &Path, error: &dyn fmt::Display) -> Self {
        Self(format!("TLS file {}: {error}", path.display()))
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("asks_clients", &self.asks_clients).finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::rt::{self, Connect, Listener};
    use rcgen::{CertificateParams, KeyPair};
    use std::time::Duration;

    /// A certificate for this address that is its own authority, and its key.
    fn made() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn a_certificate_that_is_replaced_with_its_key_needs_no_restart() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &str| std::fs::write(at(name), text).unwrap();
        let [(first, first_key), (second, second_key)] = [made(), made()];
        write("server.pem", &first);
        write("server.key", &first_key);
        write("first.pem", &first);
        write("second.pem", &second);
        write("believed.pem", &first);
        let identity = Identity { certificate: at("server.pem"), key: at("server.key") };
        let server = ServerTls::new(&identity, None).unwrap();
        let [first, second, renewed] =
            ["first.pem", "second.pem", "believed.pem"].map(|name| ClientTls::new(&at(name), None).unwrap());
        let clock = Arc::new(ManualClock::new());
        server.acceptor.run_on(Arc::clone(&clock) as _);
        renewed.0.run_on(Arc::clone(&clock) as _);

        let listener = Listener::bind_tcp(([127, 0, 0, 1], 0).into()).unwrap();
        let to = Connect {
            host: "127.0.0.1".to_owned(),
            port: listener.local_addr().unwrap().port(),
            receive_buffer: None,
        };
        let shakes = |client: &ClientTls| {
            rt::block_on(async {
                let socket = rt::connect(&to).await.unwrap();
                let accepted = listener.accept().await.unwrap();
                let accepting = server.accept(accepted);
                futures_lite::future::zip(client.connect("127.0.0.1", socket), accepting).await.0.is_ok()
            })
        };
        let all = || [shakes(&first), shakes(&second), shakes(&renewed)];
        assert_eq!(all(), [true, false, true]);
        // The new certificate's key is not there yet.
        write("server.pem", &std::fs::read_to_string(at("second.pem")).unwrap());
        clock.advance(Duration::from_secs(1));
        assert_eq!(all(), [true, false, true]);
        write("server.key", &second_key);
        clock.advance(Duration::from_secs(1));
        assert_eq!(all(), [false, true, false]);
        write("believed.pem", &std::fs::read_to_string(at("second.pem")).unwrap());
        clock.advance(Duration::from_secs(1));
        assert_eq!(all(), [false, true, true]);
    }
}
