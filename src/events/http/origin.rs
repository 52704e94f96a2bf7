//! Pages of other origins: which may read the streams (the Fetch standard's CORS protocol).

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, HOST, HeaderMap, ORIGIN, VARY,
};
use http::{HeaderValue, Response, StatusCode, Uri};

use crate::http::answer;
use crate::http::content::Content;

/// Where a request says it comes from.
pub(super) struct Origins {
    /// The origins that may use the streams beside our own.
    has_any: bool,
    from: From,
}

enum From {
    /// No page of another origin: from a program, or a page of ours.
    Own,
    Listed(HeaderValue),
    Foreign,
}

impl Origins {
    pub(super) fn of(listed: &[String], headers: &HeaderMap, uri: &Uri) -> Self {
        let mut fields = headers.get_all(ORIGIN).iter();
        let from = match (fields.next(), fields.next()) {
            (None, _) => From::Own,
            (Some(origin), None) if listed.iter().any(|listed| listed.as_bytes() == origin.as_bytes()) => {
                From::Listed(origin.clone())
            }
            (Some(origin), None) if is_own(origin, headers, uri) => From::Own,
            _ => From::Foreign,
        };
        Self { has_any: !listed.is_empty(), from }
    }

    pub(super) fn admits(&self) -> bool {
        !matches!(self.from, From::Foreign)
    }

    /// Says in an answer's head who may read it.
    pub(super) fn mark(&self, headers: &mut HeaderMap) {
        if self.has_any {
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
        if let From::Listed(origin) = &self.from {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static("retry-after, x-stream-pause"),
            );
        }
    }

    /// The answer to OPTIONS: what an address can do, and a listed page may ask.
    pub(super) fn preflight(&self, allowed: &'static str) -> Response<Content> {
        let mut response = answer::empty(StatusCode::NO_CONTENT);
        let headers = response.headers_mut();
        headers.insert(ALLOW, HeaderValue::from_static(allowed));
        if let From::Listed(_) = &self.from {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
            let fields = "authorization, content-type, last-event-id, traceparent";
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(fields));
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        }
        response
    }
}

/// Whether a page's origin is the host it asks. The scheme may differ: TLS may end before us.
fn is_own(origin: &HeaderValue, headers: &HeaderMap, uri: &Uri) -> bool {
    // HTTP/2 has the host in the address.
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or(uri.authority().map(|authority| authority.as_str()));
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, rest)| rest);
    matches!((host, authority), (Some(host), Some(authority)) if host.eq_ignore_ascii_case(authority))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_pages_and_listed_ones_are_admitted_and_no_others() {
        let listed = ["https://app.example".to_owned()];
        for (origins, host, admitted, marked) in [
            (&[][..], "h.example", true, false),
            (&["https://app.example"], "h.example", true, true),
            (&["http://h.example"], "h.example", true, false),
            (&["https://h.example:8443"], "H.example:8443", true, false),
            (&["http://h.example:1"], "h.example", false, false),
            (&["https://app.example.evil"], "h.example", false, false),
            (&["null"], "h.example", false, false),
            (&["https://app.example", "https://app.example"], "h.example", false, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            for origin in origins {
                headers.append(ORIGIN, origin.parse().unwrap());
            }
            let found = Origins::of(&listed, &headers, &Uri::default());
            assert_eq!(found.admits(), admitted, "{origins:?}");
            let mut answer = HeaderMap::new();
            found.mark(&mut answer);
            assert_eq!(answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), marked, "{origins:?}");
            assert_eq!(answer[VARY], "origin");
            let none = Origins::of(&[], &headers, &Uri::default());
            assert_eq!(none.admits(), admitted && !marked, "{origins:?}: none are listed");
        }
    }
}
