//! TLS 1.3 of a benchmark's client, which believes every certificate: what that takes is not the server's.

use std::io::Read;
use std::net::TcpStream;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::{cipher_suite::TLS13_AES_128_GCM_SHA256, default_provider};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};

use crate::process::Outcome;

#[derive(Debug)]
struct Everything;

impl ServerCertVerifier for Everything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

/// One cipher for all, so that servers do the same work whatever they prefer.
pub(super) fn config() -> Outcome<ClientConfig> {
    let mut provider = default_provider();
    provider.cipher_suites = vec![TLS13_AES_128_GCM_SHA256];
    let builder = ClientConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13])?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(Everything)).with_no_client_auth())
}

/// Does the handshake on a socket that blocks.
pub(super) fn handshake(config: &Arc<ClientConfig>, socket: &mut TcpStream) -> Outcome<ClientConnection> {
    let mut session = ClientConnection::new(Arc::clone(config), "localhost".try_into()?)?;
    while session.is_handshaking() {
        session.complete_io(socket)?;
    }
    Ok(session)
}

/// Puts what `len` encrypted bytes at the beginning of `buf` hold in their place; returns its length, 0 if it is nothing
/// yet.
pub(super) fn decrypt(session: &mut ClientConnection, buf: &mut [u8], len: usize) -> Outcome<usize> {
    let mut encrypted = &buf[..len];
    let mut plain = Vec::new();
    while !encrypted.is_empty() {
        session.read_tls(&mut encrypted)?;
        let state = session.process_new_packets()?;
        let at = plain.len();
        plain.resize(at + state.plaintext_bytes_to_read(), 0);
        session.reader().read_exact(&mut plain[at..])?;
    }
    buf[..plain.len()].copy_from_slice(&plain);
    Ok(plain.len())
}
