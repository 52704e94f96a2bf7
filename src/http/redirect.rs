//! Routes that send their clients to another address.

use std::fmt;
use std::str::FromStr;

use http::{Request, Response, StatusCode};

use super::answer;
use super::body::RequestBody;
use super::content::Content;
use super::path;
use super::source::{Answer, Source, Visitor};
use crate::address::HttpUrl;
use crate::keys::Keys;
use crate::words::shorten;

/// Statuses that a client follows with what it has.
const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

/// Where a route sends its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectSource {
    /// The address.
    pub to: RedirectTarget,
    /// The status. Default 308: permanent, and the method and the content stay.
    pub status: StatusCode,
}

impl RedirectSource {
    /// Redirects to `to` with 308.
    pub fn new(to: RedirectTarget) -> Self {
        Self { to, status: StatusCode::PERMANENT_REDIRECT }
    }

    /// Reads the keys of a route that redirects to `to`.
    pub(crate) fn read(keys: &Keys<'_>, to: RedirectTarget) -> Self {
        let default = Self::new(to);
        let status = keys.number("redirect_status", 301..=308).and_then(|number| {
            let status = u16::try_from(number).ok().filter(|number| STATUSES.contains(number));
            if status.is_none() {
                keys.fault("redirect_status", format!("{number} is not 301, 302, 303, 307 or 308"));
            }
            StatusCode::from_u16(status?).ok()
        });
        Self { status: status.unwrap_or(default.status), to: default.to }
    }
}

/// The address of a redirect: `https://HOST[:PORT][/PATH]`, the same with `http`, or `/PATH` of the host that was asked for.
///
/// As in the URL of a backend, a path replaces the route's, and without one the request's path stays. The query stays.
///
/// ```
/// use sluicegate::http::RedirectTarget;
///
/// let target: RedirectTarget = "https://new.example.org/docs/".parse()?;
/// assert_eq!(target.to_string(), "https://new.example.org/docs/");
/// assert!("//new.example.org".parse::<RedirectTarget>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectTarget {
    /// `None` if the host stays.
    url: Option<HttpUrl>,
    /// In normal form.
    base: Option<String>,
}

impl RedirectTarget {
    /// In the place of one that could not be read.
    pub(crate) fn unknown() -> Self {
        Self { url: None, base: Some("/".to_owned()) }
    }

    /// The URL that is redirected to; `None` if the host stays.
    pub(crate) fn url(&self) -> Option<&HttpUrl> {
        self.url.as_ref()
    }

    /// The path of the new address, for a request of `path`, a normal form whose `rest` is behind the route.
    pub(crate) fn path(&self, path: &str, rest: &str) -> String {
        match &self.base {
            None => path.to_owned(),
            Some(base) if rest.is_empty() => base.clone(),
            Some(base) => format!("{}/{rest}", base.strip_suffix('/').unwrap_or(base)),
        }
    }
}

impl fmt::Display for RedirectTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.url {
            Some(url) => url.fmt(f),
            None => f.write_str(self.base.as_deref().unwrap_or_default()),
        }
    }
}

caused_error! {
    /// Why a text is no address to redirect to. Says what to write.
    RedirectTargetError {
        /// Whether it has a query or a fragment: the request's query is added.
        has_query: query,
        /// Whether its path is not in normal form.
        is_path: path,
    }
}

impl FromStr for RedirectTarget {
    type Err = RedirectTargetError;

    fn from_str(text: &str) -> Result<Self, RedirectTargetError> {
        let said = |why: &str| {
            let shown = shorten(text);
            format!("{shown:?} cannot be redirected to: {why}; write https://www.example.org or /path/")
        };
        if text.contains(['?', '#']) {
            return Err(RedirectTargetError::query(said("it has a query or a fragment")));
        }
        let (url, base) = if text.starts_with('/') {
            (None, Some(text.to_owned()))
        } else {
            match HttpUrl::parse(text) {
                Ok(url) => {
                    let base = url.path_and_query().map(str::to_owned);
                    (Some(url), base)
                }
                Err(error) => return Err(RedirectTargetError::other(said(error.text()))),
            }
        };
        // So is a second slash at its beginning, which would name a host.
        if base.as_ref().is_some_and(|base| path::normal(base).as_deref() != Some(base.as_str())) {
            return Err(RedirectTargetError::path(said(
                "its path has an empty part, `..`, or a character that is written otherwise in a URL",
            )));
        }
        Ok(Self { url, base })
    }
}

/// A source that redirects.
pub(super) struct Redirect(pub(super) RedirectSource);

impl Redirect {
    /// The answer to a request for `uri`, in normal form, with `rest` behind the route. What is added to the address is
    /// that path and the query, whose characters all stand in a field and none of which begins a host.
    fn answer(&self, uri: &http::Uri, rest: &str) -> Response<Content> {
        let RedirectSource { to, status } = &self.0;
        let (path, query) = (to.path(uri.path(), rest), uri.query());
        let origin = to.url.as_ref().map(|url| {
            let scheme = if url.is_tls() { "https" } else { "http" };
            format!("{scheme}://{}", url.authority())
        });
        let (origin, query) =
            (origin.unwrap_or_default(), query.map(|query| format!("?{query}")).unwrap_or_default());
        answer::redirect(*status, &format!("{origin}{path}{query}"), "This is at another address.")
    }
}

impl Source for Redirect {
    fn respond<'a>(&'a self, request: Request<RequestBody>, rest: &'a str, _: Visitor<'a>) -> Answer<'a> {
        Box::pin(async move { self.answer(request.uri(), rest) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::LOCATION;

    #[test]
    fn an_address_is_a_url_or_a_path_and_nothing_that_clients_read_otherwise() {
        for text in [
            "https://new.example.org",
            "http://new.example.org:8080",
            "https://[2001:db8::1]/",
            "https://new.example.org/docs/a%20b",
            "/",
            "/docs/",
            "/docs",
        ] {
            assert_eq!(text.parse::<RedirectTarget>().unwrap().to_string(), text);
        }
        for (text, why) in [
            ("", "http:// or https:// is missing"),
            ("new.example.org", "http:// or https:// is missing"),
            ("ftp://new.example.org", "neither http:// nor https://"),
            ("javascript:alert(1)", "http:// or https:// is missing"),
            ("https://", "its host is missing"),
            ("https:///x", "its host is missing"),
            ("https://user@new.example.org", "a user or password"),
            ("https://new.example.org:0", "its port"),
            ("https://new.example.org/?a", "a query or a fragment"),
            ("https://new.example.org/#a", "a query or a fragment"),
            ("//evil.example", "an empty part"),
            ("/\\evil.example", "written otherwise"),
            ("/a//b", "an empty part"),
            ("/a/../b", "`..`"),
            ("https://new.example.org/a/%2e%2e/b", "`..`"),
            ("https://new.example.org/a b", "percent-encoded"),
            ("/a\r\nSet-Cookie: a=b", "written otherwise"),
            ("https://new.example.org\r\nx: y", "character that no host has"),
        ] {
            let error = text.parse::<RedirectTarget>().unwrap_err();
            assert_eq!(error.has_query(), why.contains("query"), "{text:?}");
            assert!(error.to_string().contains(why), "{text:?}: {error}");
        }
    }

    #[test]
    fn path_and_query_stay_and_a_path_of_ones_own_replaces_the_routes() {
        for (to, uri, rest, expected) in [
            ("https://n.test", "/old/x?q=//&r", "x", "https://n.test/old/x?q=//&r"),
            ("https://n.test:444", "/", "", "https://n.test:444/"),
            ("https://n.test/", "/old/x/y?q", "x/y", "https://n.test/x/y?q"),
            ("https://n.test/new", "/old/x", "x", "https://n.test/new/x"),
            ("https://n.test/new", "/old/", "", "https://n.test/new"),
            ("https://n.test/new/", "/old?", "", "https://n.test/new/?"),
            ("/new/", "/old/x?q", "x", "/new/x?q"),
            ("/", "/old/x", "x", "/x"),
            // What a client would read as a host or a separator is part of a name.
            ("/", "/old/%5Cevil.test", "%5Cevil.test", "/%5Cevil.test"),
            (
                "https://n.test",
                "/old/%2F%2Fevil.test/%0D%0Aa",
                "%2F%2Fevil.test/%0D%0Aa",
                "https://n.test/old/%2F%2Fevil.test/%0D%0Aa",
            ),
        ] {
            let redirect = Redirect(RedirectSource::new(to.parse().unwrap()));
            let response = redirect.answer(&uri.parse().unwrap(), rest);
            assert_eq!(response.headers()[LOCATION], expected, "{to} {uri}");
            assert_eq!(response.status(), 308);
        }
    }
}
