//! Limits that responses share, and what identifies a client.

use std::fmt;
use std::str::FromStr;

use http::HeaderName;

use crate::keys::{Keys, LIMIT_EXAMPLE, UPLOAD_EXAMPLE};
use crate::limit::{Budget, Size, UnitError};
use crate::live_limits::ClientLimit;
use crate::words::shorten;

/// The limits above all routes.
///
/// ```
/// use sluicegate::http::SharedLimits;
/// use sluicegate::http::server::Settings;
/// use sluicegate::limit::{Budget, Rate};
///
/// let limits = SharedLimits {
///     server: Budget::of(Rate::mib_per_second(100)),
///     client: Budget::of(Rate::mib_per_second(5)).with_burst(10 << 20),
///     ..SharedLimits::default()
/// };
/// let settings = Settings { limits, ..Settings::default() };
/// # drop(settings);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SharedLimits {
    /// All responses together.
    pub server: Budget,
    /// All responses to one client together.
    pub client: Budget,
    /// What identifies a client.
    pub key: KeySource,
    /// The limits of what clients send.
    pub upload: UploadLimits,
    /// Limits of single clients. The first 10 000 count.
    pub own: Vec<ClientLimit>,
}

/// Limits of the content of requests, of what clients send through tunnels, and of what they send to relays of raw TCP.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UploadLimits {
    /// All uploads together.
    pub server: Budget,
    /// All uploads of one client together.
    pub client: Budget,
}

impl SharedLimits {
    /// Reads what `[limits]` says of the server and of each client.
    pub(crate) fn read(limits: &Keys<'_>) -> Self {
        let client = limits.table("client", LIMIT_EXAMPLE);
        Self {
            server: limits.table("server", LIMIT_EXAMPLE).budget(),
            client: client.budget(),
            key: client.parse("key").unwrap_or_default(),
            upload: UploadLimits::read(&limits.table("upload", UPLOAD_EXAMPLE)),
            own: Vec::new(),
        }
    }
}

impl UploadLimits {
    fn read(upload: &Keys<'_>) -> Self {
        Self {
            server: upload.table("server", LIMIT_EXAMPLE).budget(),
            client: upload.table("client", LIMIT_EXAMPLE).budget(),
        }
    }
}

/// The most content that a request may have. The default is any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaxBody(Option<Size>);

impl MaxBody {
    /// No bound.
    pub const OFF: Self = Self(None);

    /// At most `size`; zero allows no content.
    pub const fn new(size: Size) -> Self {
        Self(Some(size))
    }

    /// The bytes; `None` without a bound.
    pub fn bytes(self) -> Option<u64> {
        self.0.map(Size::bytes)
    }
}

impl FromStr for MaxBody {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text.eq_ignore_ascii_case("off") { Ok(Self::OFF) } else { text.parse().map(Self::new) }
    }
}

impl fmt::Display for MaxBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(size) => size.fmt(f),
            None => f.write_str("off"),
        }
    }
}

/// What identifies a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeySource {
    /// The address, for IPv6 its first 64 bits; behind a trusted proxy the one that the proxy names. The default.
    #[default]
    Address,
    /// The value of a header; without it, the address.
    Header(HeaderName),
    /// The certificate that the client showed in its TLS handshake, by its fingerprint; without one, the address.
    Certificate,
    /// The name in that certificate, which others of the same client have too: the common name of its subject, or else its
    /// first DNS name, URI or mail address; without one, the certificate.
    CertificateName,
}

impl KeySource {
    /// Whether clients are told apart by their certificates.
    pub fn is_certificate(&self) -> bool {
        matches!(self, Self::Certificate | Self::CertificateName)
    }
}

caused_error! {
    /// Why a text says nothing that identifies a client. Says what to write.
    KeySourceError {
        /// Whether it is `header:` and what cannot name a header.
        is_header: header,
    }
}

impl FromStr for KeySource {
    type Err = KeySourceError;

    fn from_str(text: &str) -> Result<Self, KeySourceError> {
        match text {
            "address" => return Ok(Self::Address),
            "certificate" => return Ok(Self::Certificate),
            "certificate_name" => return Ok(Self::CertificateName),
            _ => {}
        }
        let known = "known here: address, header:NAME (header:x-api-key), certificate, certificate_name";
        let Some(name) = text.strip_prefix("header:") else {
            let text = shorten(text);
            return Err(KeySourceError::other(format!("{text:?} does not identify a client; {known}")));
        };
        let name = HeaderName::from_bytes(name.as_bytes());
        name.map(Self::Header).map_err(|_| {
            let text = shorten(text);
            KeySourceError::header(format!("{text:?} does not name a header; {known}"))
        })
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("address"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Certificate => f.write_str("certificate"),
            Self::CertificateName => f.write_str("certificate_name"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_bounded_by_a_size_or_not_at_all() {
        for (text, bytes, spelt) in [
            ("0B", Some(0), "0B"),
            ("1k", Some(1024), "1k"),
            ("1B", Some(1), "1B"),
            ("8m", Some(8 << 20), "8m"),
            ("off", None, "off"),
            ("OFF", None, "off"),
        ] {
            let max: MaxBody = text.parse().unwrap();
            assert_eq!((max.bytes(), max.to_string().as_str()), (bytes, spelt), "{text}");
        }
        for bad in ["none", "-1B", "8", "0"] {
            assert!(bad.parse::<MaxBody>().is_err(), "{bad}");
        }
        assert_eq!(MaxBody::default(), MaxBody::OFF);
    }

    #[test]
    fn clients_are_told_apart_by_address_header_or_certificate() {
        for good in ["address", "header:x-api-key", "certificate", "certificate_name"] {
            assert_eq!(good.parse::<KeySource>().unwrap().to_string(), good);
        }
        assert_eq!("header:X-Api-Key".parse(), "header:x-api-key".parse::<KeySource>());
        for (bad, expected) in [
            ("", "does not identify a client"),
            ("cookie", "does not identify a client"),
            (
                "Certificate",
                "known here: address, header:NAME (header:x-api-key), certificate, certificate_name",
            ),
            ("header:", "does not name a header"),
            ("header:a b", "does not name a header"),
        ] {
            let error = bad.parse::<KeySource>().unwrap_err();
            assert!(error.to_string().contains(expected), "{bad}: {error}");
            assert_eq!(error.is_header(), bad.starts_with("header:"), "{bad}");
        }
    }
}
