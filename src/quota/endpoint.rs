//! Where the quota server is: `http://HOST:PORT` or `https://HOST:PORT`.

use std::fmt;
use std::str::FromStr;

use http::Uri;

use crate::excerpt::excerpt;

/// The address of a quota server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Without a path.
    uri: Uri,
    /// A name, or an address without brackets.
    host: String,
    port: u16,
    is_tls: bool,
}

/// Why a text is no address of a quota server. Says what to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointError {
    text: String,
    fault: &'static str,
}

impl Endpoint {
    /// The host: a name, or an address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether TLS is spoken there.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// The address as the scheme and authority of requests.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        parse(text).map_err(|fault| EndpointError { text: excerpt(text, 60), fault })
    }
}

fn parse(text: &str) -> Result<Endpoint, &'static str> {
    let uri: Uri = text.parse().map_err(|_| "it is no URL")?;
    let is_tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err("it does not begin with http:// or https://"),
    };
    let authority = uri.authority().ok_or("the host is missing")?;
    if authority.as_str().contains('@') {
        return Err("a user has no place in it; the token is a setting of its own");
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err("it has a path; gRPC has its own");
    }
    let port = authority.port_u16().filter(|port| *port > 0).ok_or("the port is missing")?;
    let host = authority.host();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() {
        return Err("the host is missing");
    }
    Ok(Endpoint { host: host.to_owned(), port, is_tls, uri })
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uri.to_string().trim_end_matches('/'))
    }
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, fault } = self;
        write!(f, "{text:?} is not the address of a quota server: {fault}; write http://127.0.0.1:9190")
    }
}

impl std::error::Error for EndpointError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, host, port, is_tls) in [
            ("http://127.0.0.1:9190", "127.0.0.1", 9190, false),
            ("https://quota.example:443/", "quota.example", 443, true),
            ("http://[::1]:1", "::1", 1, false),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((endpoint.host(), endpoint.port(), endpoint.is_tls()), (host, port, is_tls));
            assert_eq!(endpoint.to_string(), text.trim_end_matches('/'));
        }
        for (text, expected) in [
            ("", "it is no URL"),
            ("127.0.0.1:9190", "does not begin with http://"),
            ("ftp://a:1", "does not begin with http://"),
            ("http://127.0.0.1", "the port is missing"),
            ("http://a:0", "the port is missing"),
            ("http://a:1/x", "it has a path"),
            ("http://u@a:1", "a user has no place"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(
                error.contains(expected) && error.ends_with("write http://127.0.0.1:9190"),
                "{text}: {error}"
            );
        }
    }
}
