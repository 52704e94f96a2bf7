//! A TLS client on blocking sockets.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use crate::certificates::Certificates;
use crate::served::connect;

/// A connection whose handshake is done.
pub type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// A client that trusts one authority.
#[derive(Clone)]
pub struct TlsClient {
    config: ClientConfig,
}

impl TlsClient {
    /// Trusts the authority of `certificates`; knows TLS 1.2 and 1.3.
    pub fn new(certificates: &Certificates) -> Self {
        Self::of(certificates, &[&rustls::version::TLS12, &rustls::version::TLS13], None)
    }

    /// Knows `versions`, and shows the certificate `identity` of `certificates` if it is asked for one.
    pub fn of(
        certificates: &Certificates,
        versions: &[&'static SupportedProtocolVersion],
        identity: Option<&str>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(certificates.at("ca.pem")).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_protocol_versions(versions).unwrap().with_root_certificates(roots);
        let config = match identity {
            Some(name) => {
                let chain = CertificateDer::from_pem_file(certificates.at(&format!("{name}.pem"))).unwrap();
                let key = PrivateKeyDer::from_pem_file(certificates.at(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(vec![chain], key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        Self { config }
    }

    /// Offers these protocols inside TLS.
    #[must_use]
    pub fn alpn(mut self, names: &[&str]) -> Self {
        self.config.alpn_protocols = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// Does the handshake on a new connection, asking for `name`.
    ///
    /// # Errors
    /// It failed; the text has the reason.
    pub fn connect(&self, addr: SocketAddr, name: &str) -> io::Result<TlsStream> {
        self.over(connect(addr), name)
    }

    /// Does the handshake on `socket`, asking for `name`.
    ///
    /// # Errors
    /// It failed; the text has the reason.
    pub fn over(&self, socket: TcpStream, name: &str) -> io::Result<TlsStream> {
        let mut stream = self.begin(socket, name)?;
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }

    /// Sends the first message of a handshake on `socket`, asking for `name`. Reads and writes do the rest.
    ///
    /// # Errors
    /// The socket's.
    pub fn begin(&self, mut socket: TcpStream, name: &str) -> io::Result<TlsStream> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut session = ClientConnection::new(Arc::new(self.config.clone()), name).unwrap();
        session.write_tls(&mut socket)?;
        Ok(StreamOwned::new(session, socket))
    }
}
