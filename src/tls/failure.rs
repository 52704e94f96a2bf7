//! Why handshakes fail, and how many did.

use std::fmt;
use std::io;

use futures_rustls::rustls::Error;

use crate::rt::{self, Outcomes, TurnLost};

/// Why a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It took longer than it may.
    Timeout,
    /// Others had all turns for too long, or waited for its own when it had had that for long enough.
    Crowded,
    /// The client closed the connection.
    Closed,
    /// What came is not TLS; often a plain HTTP request.
    NotTls,
    /// No version, cipher or protocol that both know.
    NothingShared,
    /// The name that the client asked for has no certificate.
    UnknownName,
    /// The client's certificate is missing or not valid.
    ClientCertificate,
    /// The client refused with an alert; often it does not trust the certificate.
    Refused,
    /// Anything else that breaks the protocol.
    Broken,
}

impl rt::Reason for Reason {
    const ALL: &'static [Self] = &[
        Self::Timeout,
        Self::Crowded,
        Self::Closed,
        Self::NotTls,
        Self::NothingShared,
        Self::UnknownName,
        Self::ClientCertificate,
        Self::Refused,
        Self::Broken,
    ];
}

impl Reason {
    /// Its name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Crowded => "crowded",
            Self::Closed => "closed",
            Self::NotTls => "not_tls",
            Self::NothingShared => "nothing_shared",
            Self::UnknownName => "unknown_name",
            Self::ClientCertificate => "client_certificate",
            Self::Refused => "refused",
            Self::Broken => "broken",
        }
    }
}

/// A failed handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// Why, in one word.
    pub reason: Reason,
    detail: String,
}

impl Failure {
    pub(super) fn of(error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(error) => Self::of_tls(error),
            // rustls says so without an error of its own, as of a message that is too large.
            None if matches!(error.kind(), io::ErrorKind::Other | io::ErrorKind::InvalidData) => {
                Self { reason: Reason::Broken, detail: error.to_string() }
            }
            None => Self { reason: Reason::Closed, detail: error.to_string() },
        }
    }

    pub(super) fn of_tls(error: &Error) -> Self {
        use futures_rustls::rustls::InvalidMessage;
        let reason = match error {
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => Reason::NotTls,
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Reason::NothingShared,
            Error::NoCertificatesPresented | Error::InvalidCertificate(_) => Reason::ClientCertificate,
            Error::AlertReceived(_) => Reason::Refused,
            // What rustls says when the resolver has no certificate to give.
            Error::General(text) if text.contains("no server certificate chain resolved") => {
                Reason::UnknownName
            }
            _ => Reason::Broken,
        };
        Self { reason, detail: error.to_string() }
    }
}

impl From<TurnLost> for Failure {
    fn from(lost: TurnLost) -> Self {
        let (reason, detail) = match lost {
            TurnLost::NoTurn => (Reason::Crowded, "others had all turns for the whole of handshake_timeout"),
            TurnLost::Given => (Reason::Crowded, "others waited, and it had had its turn for a second"),
            TurnLost::TooSlow => (Reason::Timeout, "the handshake took longer than handshake_timeout"),
        };
        Self { reason, detail: detail.to_owned() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

/// Handshakes of one [`ServerTls`](super::ServerTls): completed, or failed for a reason.
pub type HandshakeCounts = Outcomes<Reason>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rustls_says_is_not_taken_for_a_client_that_closed() {
        let of = |error: io::Error| Failure::of(&error).reason;
        assert_eq!(of(io::Error::other("message buffer full")), Reason::Broken);
        assert_eq!(of(io::ErrorKind::UnexpectedEof.into()), Reason::Closed);
        assert_eq!(of(io::Error::from_raw_os_error(104)), Reason::Closed);
        let alert = Error::AlertReceived(futures_rustls::rustls::AlertDescription::UnknownCA);
        assert_eq!(of(io::Error::new(io::ErrorKind::InvalidData, alert)), Reason::Refused);
    }
}
