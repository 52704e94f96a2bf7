//! Limits that responses share, and what makes two requests those of one client.

use std::fmt;
use std::str::FromStr;

use http::HeaderName;

use crate::keys::{Keys, LIKE};
use crate::limit::Budget;
use crate::words::shorten;

/// What all routes share.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SharedLimits {
    /// Of all responses together.
    pub server: Budget,
    /// Of all responses to one client together.
    pub client: Budget,
    /// What makes two requests those of one client.
    pub key: KeySource,
}

impl SharedLimits {
    /// Reads what `[limits]` says of the server and of each client.
    pub(crate) fn read(limits: &Keys<'_>) -> Self {
        let client = limits.table("client", LIKE);
        Self {
            server: limits.table("server", LIKE).budget(),
            client: client.budget(),
            key: client.parse("key").unwrap_or_default(),
        }
    }
}

/// By what clients are told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeySource {
    /// The address, of IPv6 its first 64 bits. Behind a trusted proxy, the one that the proxy tells in
    /// `X-Forwarded-For`. The default.
    #[default]
    Address,
    /// The value of a header; a request without it is told apart by its address.
    Header(HeaderName),
}

impl FromStr for KeySource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "address" {
            return Ok(Self::Address);
        }
        let known = "known here: address, header:NAME (header:x-api-key)";
        let Some(name) = text.strip_prefix("header:") else {
            return Err(format!("{:?} is not what clients can be told apart by; {known}", shorten(text)));
        };
        let name = HeaderName::from_bytes(name.as_bytes());
        name.map(Self::Header).map_err(|_| format!("{:?} does not name a header; {known}", shorten(text)))
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("address"),
            Self::Header(name) => write!(f, "header:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_apart_by_address_or_header() {
        for good in ["address", "header:x-api-key"] {
            assert_eq!(good.parse::<KeySource>().unwrap().to_string(), good);
        }
        assert_eq!("header:X-Api-Key".parse(), "header:x-api-key".parse::<KeySource>());
        for (bad, expected) in [
            ("", "is not what clients can be told apart by"),
            ("cookie", "is not what clients can be told apart by"),
            ("header:", "does not name a header"),
            ("header:a b", "does not name a header"),
        ] {
            let error = bad.parse::<KeySource>().unwrap_err();
            assert!(error.contains(expected), "{bad}: {error}");
        }
    }
}
