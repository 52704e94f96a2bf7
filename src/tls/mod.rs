//! TLS: rustls on this runtime's sockets, with certificates and keys from PEM files.
//!
//! Names of tables and files are always here, so that every build reads the same configuration; the feature `tls` has
//! the rest. Imports only `clock`, `keys`, `named_file`, `rt`, `sync` and `words` of the crate.

#[cfg(feature = "tls")]
mod client;
mod client_certificate;
mod client_settings;
#[cfg(feature = "tls")]
mod client_socket;
#[cfg(feature = "tls")]
mod failure;
#[cfg(feature = "tls")]
mod loaded;
mod named;
#[cfg(not(feature = "tls"))]
mod off;
#[cfg(feature = "tls")]
mod pem;
#[cfg(feature = "tls")]
mod pending;
#[cfg(feature = "tls")]
mod self_signed;
#[cfg(feature = "tls")]
mod server;
mod settings;
#[cfg(feature = "tls")]
mod socket;
#[cfg(feature = "tls")]
mod stream;

use std::fmt;
use std::path::{Path, PathBuf};

#[cfg(feature = "tls")]
pub use client::ClientTls;
#[cfg(feature = "tls")]
pub(crate) use client::{can_be_certified, is_certificate_refused};
pub use client_certificate::ClientCertificate;
#[cfg(feature = "redis")]
pub(crate) use client_certificate::sha256;
pub use client_settings::ClientTlsSettings;
#[cfg(feature = "tls")]
pub use client_socket::ClientSocket;
#[cfg(feature = "tls")]
pub use failure::{Failure, HandshakeCounts, Reason};
#[cfg(feature = "tls")]
pub use loaded::{Alpn, CertificateInfo};
pub use named::NamedTls;
#[cfg(not(feature = "tls"))]
pub use off::{ClientSocket, ClientTls, ServerTls};
#[cfg(not(feature = "tls"))]
pub(crate) use off::{can_be_certified, is_certificate_refused};
#[cfg(feature = "tls")]
pub use server::ServerTls;
pub use settings::{TlsSettings, UnknownName};
#[cfg(feature = "tls")]
pub use socket::TlsSocket;
#[cfg(feature = "tls")]
pub use stream::Stream;
#[cfg(feature = "quota")]
pub(crate) use stream::read_into;

/// A certificate chain and its key, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The chain, starting with the end-entity certificate.
    pub certificate: PathBuf,
    /// The private key: PKCS #8, PKCS #1 or SEC 1. Others than its owner and group must not be able to read it.
    pub key: PathBuf,
}

/// Why TLS cannot be set up. Says which file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError(String);

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
