//! CORS (the Fetch standard): which origins' web pages may use the streams.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ALLOW, HOST, HeaderMap, ORIGIN, VARY,
};
use http::{HeaderName, HeaderValue, Response, StatusCode, Uri};

use crate::http::answer;
use crate::http::content::Content;

/// Fields that pages of other origins may send, beside those that CORS always allows.
const FIELDS: [&str; 5] = ["authorization", "cache-control", "content-type", "last-event-id", "traceparent"];

/// Further fields that a page may request, and bytes of their names.
const MAX_ASKED: usize = 32;
const MAX_ASKED_BYTES: usize = 1024;

pub(super) struct Origins {
    has_any: bool,
    from: From,
}

enum From {
    /// From a program, or from a page of the same origin.
    Own,
    Listed(HeaderValue),
    /// Another origin, and any is allowed.
    Any,
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
            (Some(_), None) if listed.iter().any(|listed| listed == "*") => From::Any,
            _ => From::Foreign,
        };
        Self { has_any: !listed.is_empty(), from }
    }

    pub(super) fn admits(&self) -> bool {
        !matches!(self.from, From::Foreign)
    }

    /// Sets the fields that let the origin read the answer. Credentials are allowed only for configured origins, not for
    /// `*`.
    pub(super) fn mark(&self, headers: &mut HeaderMap) {
        if self.has_any {
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
        let origin = match &self.from {
            From::Own | From::Foreign => return,
            From::Any => HeaderValue::from_static("*"),
            From::Listed(origin) => {
                headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
                origin.clone()
            }
        };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let exposed = HeaderValue::from_static("retry-after, x-stream-pause");
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }

    /// The answer to OPTIONS: allowed methods, and for a page of another origin the preflight fields.
    pub(super) fn preflight(&self, allowed: &'static str, asked: &HeaderMap) -> Response<Content> {
        let mut response = answer::empty(StatusCode::NO_CONTENT);
        let headers = response.headers_mut();
        headers.insert(ALLOW, HeaderValue::from_static(allowed));
        if let From::Listed(_) | From::Any = &self.from {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
            if let Ok(fields) = HeaderValue::from_str(&fields(asked)) {
                headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, fields);
            }
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        }
        response
    }
}

/// The fields that a page may send: the known ones, and those it requests except for proxies' fields.
fn fields(asked: &HeaderMap) -> String {
    let mut fields = FIELDS.map(str::to_owned).to_vec();
    let lines = asked.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let names = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).take(MAX_ASKED);
    let mut bytes = 0;
    for name in names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()) {
        bytes += name.as_str().len();
        if bytes > MAX_ASKED_BYTES {
            break;
        }
        if !is_proxys(&name) && !fields.iter().any(|field| field == name.as_str()) {
            fields.push(name.as_str().to_owned());
        }
    }
    fields.join(", ")
}

/// Whether a field is a proxy's or concerns the connection: pages have no use for these.
fn is_proxys(name: &HeaderName) -> bool {
    // Some backends treat `_` and `-` alike.
    let name = &*name.as_str().replace('_', "-");
    ["x-forwarded", "x-real-ip", "proxy-", "sec-"].iter().any(|start| name.starts_with(start))
        || ["forwarded", "via", "host", "origin", "connection", "te", "upgrade"].contains(&name)
}

/// Whether a page's origin is the request's host. The scheme may differ, since TLS may end at a proxy.
fn is_own(origin: &HeaderValue, headers: &HeaderMap, uri: &Uri) -> bool {
    // An absolute target and HTTP/2 have the host in the URI (RFC 9112, section 3.2.2).
    let host = uri.authority().map(|authority| authority.as_str());
    let host = host.or_else(|| headers.get(HOST)?.to_str().ok());
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

    #[test]
    fn any_origin_is_admitted_where_all_are_without_credentials() {
        let listed = ["*".to_owned(), "https://app.example".to_owned()];
        for (origin, expected) in [
            ("https://other.example", Some(("*", None))),
            ("null", Some(("*", None))),
            ("https://app.example", Some(("https://app.example", Some("true")))),
            ("http://h.example", None),
        ] {
            let headers = [(ORIGIN, origin), (HOST, "h.example")];
            let headers = headers.into_iter().map(|(name, value)| (name, value.parse().unwrap())).collect();
            let found = Origins::of(&listed, &headers, &Uri::default());
            assert!(found.admits(), "{origin}");
            let mut answer = HeaderMap::new();
            found.mark(&mut answer);
            let text =
                |name: &HeaderName| answer.get(name).map(|value: &HeaderValue| value.to_str().unwrap());
            let marked = text(&ACCESS_CONTROL_ALLOW_ORIGIN)
                .map(|origin| (origin, text(&ACCESS_CONTROL_ALLOW_CREDENTIALS)));
            assert_eq!(marked, expected, "{origin}");
        }
    }

    #[test]
    fn a_page_may_send_what_it_asks_for_within_reason() {
        let ours = "authorization, cache-control, content-type, last-event-id, traceparent";
        let long = "x".repeat(MAX_ASKED_BYTES);
        let many = (0..100).map(|n| format!("x-{n}")).collect::<Vec<_>>().join(",");
        for (lines, more) in [
            (&[][..], String::new()),
            (&["cache-control,last-event-id"], String::new()),
            (&["X-Tenant, authorization", "x-other,, x-tenant"], ", x-tenant, x-other".to_owned()),
            (&["x-forwarded-for,x_real-ip,forwarded,via,proxy-x,sec-fetch-site,te,x"], ", x".to_owned()),
            (&["a b, c\"d, x"], ", x".to_owned()),
            (&[long.as_str(), "x"], format!(", {long}")),
            (&[&*format!("{long}x")], String::new()),
            (&[&*many], (0..MAX_ASKED).map(|n| format!(", x-{n}")).collect()),
        ] {
            let mut asked = HeaderMap::new();
            for line in lines {
                asked.append(ACCESS_CONTROL_REQUEST_HEADERS, line.parse().unwrap());
            }
            assert_eq!(fields(&asked), format!("{ours}{more}"), "{lines:?}");
        }
    }
}
