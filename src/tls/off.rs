//! What stands for TLS in a build without it.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use bytes::Bytes;

use super::client_settings::is_name;
use super::{ClientTlsSettings, TlsError, TlsSettings};
use crate::rt::Socket;

const NONE: &str = "this build has no TLS: build it with the feature tls";

/// TLS of a server, of which there is none in this build.
#[derive(Clone, Debug)]
pub enum ServerTls {}

impl ServerTls {
    /// Fails: this build has no TLS.
    ///
    /// # Errors
    /// Always.
    pub fn from_settings(_: &str, _: &TlsSettings) -> Result<Self, TlsError> {
        Err(TlsError(NONE.to_owned()))
    }

    /// There is none.
    ///
    /// # Errors
    /// Never.
    pub fn renewed(&self, _: &TlsSettings) -> Result<Self, TlsError> {
        match *self {}
    }

    /// There is none.
    #[must_use]
    pub fn for_listener(&self) -> Self {
        match *self {}
    }

    /// There is none.
    pub fn differs(&self, _: &Self) -> bool {
        match *self {}
    }

    /// There is none.
    pub fn adopt(&self, _: &Self) {
        match *self {}
    }
}

/// TLS of a client, of which there is none in this build.
// A private field, so that nobody else's code counts as unreachable in this build.
#[derive(Clone, Debug)]
pub struct ClientTls(Infallible);

impl ClientTls {
    /// Fails: this build has no TLS.
    ///
    /// # Errors
    /// Always.
    pub fn from_settings(_: &ClientTlsSettings) -> Result<Self, TlsError> {
        Err(TlsError(NONE.to_owned()))
    }

    /// There is none.
    ///
    /// # Errors
    /// Never.
    pub async fn handshake(&self, _: &str, _: Socket) -> io::Result<ClientSocket> {
        match self.0 {}
    }
}

/// Whether `host`, a name or an address without brackets, can be that of a certificate.
pub(crate) fn can_be_certified(host: &str) -> bool {
    is_name(host)
}

/// Whether reading failed because the peer refused a certificate: never in this build.
pub(crate) fn is_certificate_refused(_: &io::Error) -> bool {
    false
}

/// A connection with TLS, of which there is none in this build.
#[derive(Debug)]
pub struct ClientSocket(Infallible);

impl ClientSocket {
    /// There is none.
    #[must_use]
    pub fn twin(&self) -> Self {
        match self.0 {}
    }

    /// There is none.
    pub fn poll_read_slice(&mut self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.0 {}
    }

    /// There is none.
    pub fn poll_read_bytes(&mut self, _: &mut Context<'_>, _: usize) -> Poll<io::Result<Bytes>> {
        match self.0 {}
    }

    /// There is none.
    pub fn poll_write(&mut self, _: &mut Context<'_>, _: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.0 {}
    }

    /// There is none.
    pub fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }

    /// There is none.
    pub fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }

    /// There is none.
    pub fn is_quiet(&self) -> bool {
        match self.0 {}
    }
}
