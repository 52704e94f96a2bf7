//! Certificates, keys and authorities from PEM files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_rustls::rustls::RootCertStore;
use futures_rustls::rustls::crypto::{CryptoProvider, ring};
use futures_rustls::rustls::pki_types::pem::{self, PemObject};
use futures_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{Identity, TlsError};
use crate::named_file;

/// Bytes of the largest PEM file; a bundle of all public authorities has about 256 KiB.
const MAX_FILE: u64 = 16 << 20;

pub(super) type Chain = Vec<CertificateDer<'static>>;

impl Identity {
    pub(super) fn paths(&self) -> [PathBuf; 2] {
        [self.certificate.clone(), self.key.clone()]
    }

    pub(super) fn read(&self) -> Result<(Chain, PrivateKeyDer<'static>), TlsError> {
        let chain = certificates(&self.certificate)?;
        let failed = |error: &dyn std::fmt::Display| TlsError::in_file(&self.key, error);
        let file = named_file::open(&self.key).map_err(|error| failed(&error))?;
        if let Some(mode) = named_file::exposed(&file).map_err(|error| failed(&error))? {
            let text = format!(
                "its mode {mode:03o} lets everyone on this machine read or write the key; run chmod o-rw {}",
                self.key.display()
            );
            return Err(failed(&text));
        }
        let bytes = named_file::read_at_most(file, MAX_FILE).map_err(|error| failed(&error))?;
        let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
            pem::Error::NoItemsFound => failed(&"it holds no private key in PEM"),
            error => failed(&error),
        })?;
        Ok((chain, key))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    named_file::read(path, MAX_FILE).map_err(|error| TlsError::in_file(path, &named_file::told(&error)))
}

fn certificates(path: &Path) -> Result<Chain, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    let found = found.map_err(|error| TlsError::in_file(path, &error))?;
    if found.is_empty() {
        return Err(TlsError::in_file(path, &"it holds no certificate in PEM"));
    }
    Ok(found)
}

pub(super) fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store.add(certificate).map_err(|error| TlsError::in_file(path, &error))?;
    }
    Ok(store)
}

/// The authorities in the system's certificate folder.
pub(super) fn machine_authorities() -> Result<RootCertStore, TlsError> {
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

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
