//! Where the quota server is: `http://HOST:PORT` or `https://HOST:PORT`.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::Scheme;

use crate::address::{AuthorityError, HttpUrl, UrlError};
use crate::excerpt::excerpt;

/// One or more quota servers on one store: `http://a:9190,http://b:9190`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// The first.
    pub first: Endpoint,
    /// The others.
    pub others: Vec<Endpoint>,
}

impl FromStr for Endpoints {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let all: Vec<Endpoint> = text.split(',').map(|one| one.trim().parse()).collect::<Result<_, _>>()?;
        let is_mixed = all.iter().any(|one| one.is_tls() != all[0].is_tls());
        if is_mixed {
            let shown = excerpt(text, 60);
            return Err(EndpointError(format!("{shown:?} has http:// and https://; write either for all")));
        }
        let mut all = all.into_iter();
        let first = all.next().ok_or_else(|| EndpointError("there is no quota server".to_owned()))?;
        Ok(Self { first, others: all.collect() })
    }
}

impl fmt::Display for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)?;
        self.others.iter().try_for_each(|other| write!(f, ",{other}"))
    }
}

/// The URL of a quota server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Invariant: has a port, and no path but `/`.
    url: HttpUrl,
    /// Scheme and authority of `url`.
    uri: Uri,
}

text_error! {
    /// Why a text is not the URL of a quota server. Says what to write.
    EndpointError
}

impl Endpoint {
    /// The host name or address, without brackets.
    pub fn host(&self) -> &str {
        self.url.host()
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.url.port_or_default()
    }

    /// Whether the connection is TLS.
    pub fn is_tls(&self) -> bool {
        self.url.is_tls()
    }

    /// Scheme and authority of requests.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        parse(text).map_err(|why| {
            let shown = excerpt(text, 60);
            EndpointError(format!(
                "{shown:?} is not the URL of a quota server: {why}; write http://127.0.0.1:9190"
            ))
        })
    }
}

fn parse(text: &str) -> Result<Endpoint, &'static str> {
    let url = HttpUrl::parse(text).map_err(|error| match error {
        UrlError::Authority(AuthorityError::User) => {
            "it has a user or password in it; the token is a setting of its own"
        }
        error => error.text(),
    })?;
    if url.path_and_query().is_some_and(|path| path != "/") {
        return Err("it has a path; gRPC has its own");
    }
    if url.port().is_none() {
        return Err("the port is missing");
    }
    let scheme = if url.is_tls() { Scheme::HTTPS } else { Scheme::HTTP };
    let uri = Uri::builder().scheme(scheme).authority(url.authority().clone()).path_and_query("/").build();
    Ok(Endpoint { uri: uri.map_err(|_| "it is not a URL")?, url })
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uri.to_string().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        for (text, host, port, is_tls) in [
            ("http://127.0.0.1:9190", "127.0.0.1", 9190, false),
            ("https://quota.example:443/", "quota.example", 443, true),
            ("http://[::1]:1", "::1", 1, false),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((endpoint.host(), endpoint.port(), endpoint.is_tls()), (host, port, is_tls));
            assert_eq!(endpoint.to_string(), text.trim_end_matches('/'));
        }
        let several: Endpoints = "http://a:1, http://b:2".parse().unwrap();
        assert_eq!((several.to_string().as_str(), several.others.len()), ("http://a:1,http://b:2", 1));
        let mixed = "http://a:1,https://b:2".parse::<Endpoints>().unwrap_err().to_string();
        assert!(mixed.ends_with("write either for all"), "{mixed}");
        for (text, expected) in [
            ("", "http:// or https:// is missing"),
            ("127.0.0.1:9190", "http:// or https:// is missing"),
            ("ftp://a:1", "it begins with neither http:// nor https://"),
            ("http://127.0.0.1", "the port is missing"),
            ("http://a:0", "its port is not a number from 1 to 65535"),
            ("http://a:1/x", "it has a path"),
            ("http://u@a:1", "it has a user or password in it"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(
                error.contains(expected) && error.ends_with("write http://127.0.0.1:9190"),
                "{text}: {error}"
            );
        }
    }
}
