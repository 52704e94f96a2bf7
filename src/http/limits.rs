//! Limits that responses share, and what identifies a client.

use std::fmt;
use std::str::FromStr;

use http::HeaderName;

use crate::keys::{Keys, LIMIT_EXAMPLE};
use crate::limit::Budget;
use crate::words::shorten;

/// The limits above all routes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SharedLimits {
    /// All responses together.
    pub server: Budget,
    /// All responses to one client together.
    pub client: Budget,
    /// What identifies a client.
    pub key: KeySource,
}

impl SharedLimits {
    /// Reads what `[limits]` says of the server and of each client.
    pub(crate) fn read(limits: &Keys<'_>) -> Self {
        let client = limits.table("client", LIMIT_EXAMPLE);
        Self {
            server: limits.table("server", LIMIT_EXAMPLE).budget(),
            client: client.budget(),
            key: client.parse("key").unwrap_or_default(),
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
}

impl FromStr for KeySource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "address" {
            return Ok(Self::Address);
        }
        let known = "known here: address, header:NAME (header:x-api-key)";
        let Some(name) = text.strip_prefix("header:") else {
            return Err(format!("{:?} does not identify a client; {known}", shorten(text)));
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
            ("", "does not identify a client"),
            ("cookie", "does not identify a client"),
            ("header:", "does not name a header"),
            ("header:a b", "does not name a header"),
        ] {
            let error = bad.parse::<KeySource>().unwrap_err();
            assert!(error.contains(expected), "{bad}: {error}");
        }
    }
}
