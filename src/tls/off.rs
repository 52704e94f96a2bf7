//! What stands for TLS in a build without it.

use super::{TlsError, TlsSettings};

/// TLS of a server, of which there is none in this build.
#[derive(Clone, Debug)]
pub enum ServerTls {}

impl ServerTls {
    /// Fails: this build has no TLS.
    ///
    /// # Errors
    /// Always.
    pub fn from_settings(_: &str, _: &TlsSettings) -> Result<Self, TlsError> {
        Err(TlsError("this build has no TLS: build it with the feature tls".to_owned()))
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
