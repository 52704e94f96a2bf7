//! A certificate for trying TLS out: made in memory for one run, trusted by nobody.

use std::path::Path;

use futures_rustls::rustls::pki_types::PrivateKeyDer;
use rcgen::{CertificateParams, KeyPair};

use super::TlsError;
use super::loaded::Certificate;

/// Where it is from, in metrics and logs.
const SOURCE: &str = "self-signed";

/// The names that it is for.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Makes a key and a certificate for this machine's names of itself.
pub(super) fn make() -> Result<Certificate, TlsError> {
    let failed = |error: rcgen::Error| TlsError::new(&error);
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::new(NAMES.map(str::to_owned)).map_err(failed)?;
    params.distinguished_name.push(rcgen::DnType::CommonName, "Sluicegate, self-signed");
    let certificate = params.self_signed(&key).map_err(failed)?;
    let der = PrivateKeyDer::try_from(key.serialize_der()).map_err(|error| TlsError::new(&error))?;
    Certificate::new(vec![certificate.der().clone()], der, Path::new(SOURCE), Path::new(SOURCE))
}
