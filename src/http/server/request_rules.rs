//! Rules for the head of every request, whatever its version and source.

use http::header::HOST;
use http::{Method, Request, Response, StatusCode, Uri, Version};

use crate::address::AuthorityParts;
use crate::http::answer;
use crate::http::content::Content;
use crate::http1::{FramingFields, ONLY_CONTINUE, UNREADABLE_FIELD, check_framing_fields, expects_continue};

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Breach {
    pub(super) status: StatusCode,
    pub(super) text: &'static str,
}

const fn bad(text: &'static str) -> Breach {
    Breach { status: StatusCode::BAD_REQUEST, text }
}

/// Checks a request's head.
///
/// # Errors
/// A field about framing or the connection is malformed; there is no valid host, or several; or the request expects
/// something other than 100-continue.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), Breach> {
    let fields = request.headers();
    check_framing_fields(fields).map_err(|_| bad(UNREADABLE_FIELD))?;
    check_host(request)?;
    if request.version() != Version::HTTP_10 && FramingFields::of(fields).expect && !expects_continue(fields)
    {
        return Err(Breach { status: StatusCode::EXPECTATION_FAILED, text: ONLY_CONTINUE });
    }
    Ok(())
}

/// RFC 9112, section 3.2, and RFC 9113, section 8.3.1.
fn check_host<B>(request: &Request<B>) -> Result<(), Breach> {
    const NO_HOST: Breach = bad("The request names no host.");
    const BAD_HOST: Breach = bad("The request's host is not a valid host name or address.");
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(bad("The request has more than one Host."));
    }
    let host =
        host.map(|host| host.to_str().ok().and_then(|host| AuthorityParts::parse(host).ok()).ok_or(BAD_HOST));
    let host = host.transpose()?;
    // An absolute target's authority names the host; it must not be empty or have a user in it (RFC 9110, sections
    // 4.2.1 and 4.2.4).
    let authority = request.uri().authority().map(|authority| {
        AuthorityParts::parse(authority.as_str())
            .ok()
            .filter(|parsed| !parsed.host().is_empty())
            .ok_or(BAD_HOST)
    });
    let authority = authority.transpose()?;
    if request.version() < Version::HTTP_2 {
        // HTTP/1.0 has no Host: one address was one host.
        let may_lack = request.version() < Version::HTTP_11;
        return if host.is_some() || may_lack { Ok(()) } else { Err(NO_HOST) };
    }
    match (authority, host) {
        (None, None) => Err(NO_HOST),
        (None, Some(_)) | (Some(_), None) => Ok(()),
        (Some(authority), Some(host)) => {
            let default = request
                .uri()
                .scheme_str()
                .map_or("80", |scheme| if scheme == "https" { "443" } else { "80" });
            let is_connect = request.method() == Method::CONNECT;
            if is_connect || is_same_host(authority, host, default) {
                Ok(())
            } else {
                Err(bad("Host is not the request's :authority."))
            }
        }
    }
}

/// Whether two authorities have the same host and port; `default` is the port of one without.
fn is_same_host(one: AuthorityParts<'_>, other: AuthorityParts<'_>, default: &str) -> bool {
    let port = |of: AuthorityParts<'_>| of.port().unwrap_or(default).to_owned();
    one.host().eq_ignore_ascii_case(other.host()) && port(one) == port(other)
}

/// The answer to a request whose target is not a path.
pub(super) fn without_path(method: &Method, uri: &Uri) -> Response<Content> {
    match *method {
        // There is nothing to say about the server as a whole (RFC 9110 section 9.3.7).
        Method::OPTIONS if uri.path() == "*" => answer::empty(StatusCode::NO_CONTENT),
        Method::CONNECT => answer::plain(StatusCode::NOT_IMPLEMENTED, "CONNECT is not offered here."),
        _ if uri.path().len() > 1 => answer::plain(StatusCode::URI_TOO_LONG, "The path is too long."),
        _ => answer::plain(
            StatusCode::BAD_REQUEST,
            "The request's target is not a path: it begins with a slash.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::framing_fields;
    use http::header::{HeaderName, HeaderValue};

    fn told(version: Version, uri: &str, lines: &[(&str, &[u8])]) -> u16 {
        let mut request = Request::builder().version(version).uri(uri).body(()).unwrap();
        for (name, value) in lines {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, HeaderValue::from_bytes(value).unwrap());
        }
        check(&request).map_or_else(|breach| breach.status.as_u16(), |()| 200)
    }

    #[test]
    fn a_request_names_one_host() {
        use Version as V;
        for (version, uri, hosts, status) in [
            (V::HTTP_11, "/", &["t"][..], 200),
            (V::HTTP_11, "/", &[""], 200),
            (V::HTTP_11, "/", &[], 400),
            (V::HTTP_11, "/", &["t", "t"], 400),
            (V::HTTP_11, "/", &["a b/\""], 400),
            (V::HTTP_11, "http://h/", &[], 400),
            // The target counts (RFC 9112, section 3.2.2).
            (V::HTTP_11, "http://h/", &["t"], 200),
            (V::HTTP_11, "http://u@h/", &["t"], 400),
            (V::HTTP_11, "http://u:p@h/", &["t"], 400),
            (V::HTTP_11, "http://:80/", &["t"], 400),
            (V::HTTP_11, "http://a:99999/", &["t"], 400),
            (V::HTTP_11, "http://[::1]:80/", &["t"], 200),
            (V::HTTP_10, "http://u@h/", &[], 400),
            (V::HTTP_10, "/", &[], 200),
            (V::HTTP_10, "/", &["t"], 200),
            (V::HTTP_10, "/", &["t", "u"], 400),
            (V::HTTP_10, "/", &["a b"], 400),
            (V::HTTP_2, "http://t/", &[], 200),
            (V::HTTP_2, "/", &["t"], 200),
            (V::HTTP_2, "/", &[], 400),
            (V::HTTP_2, "http://t/", &["T"], 200),
            (V::HTTP_2, "http://t/", &["t:80"], 200),
            (V::HTTP_2, "http://t:8080/", &["t:8080"], 200),
            (V::HTTP_2, "https://t/", &["t:443"], 200),
            (V::HTTP_2, "http://[::1]/", &["[::1]:80"], 200),
            (V::HTTP_2, "http://t/", &["u"], 400),
            (V::HTTP_2, "http://t/", &["t:81"], 400),
            (V::HTTP_2, "http://t/", &["t", "t"], 400),
            (V::HTTP_2, "http://u@t/", &[], 400),
        ] {
            let lines: Vec<_> = hosts.iter().map(|host| ("host", host.as_bytes())).collect();
            assert_eq!(told(version, uri, &lines), status, "{version:?} {uri} {hosts:?}");
        }
    }

    #[test]
    fn framing_that_cannot_be_read_is_refused_and_other_fields_may_be_anything() {
        for name in framing_fields() {
            for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
                let lines: &[(&str, &[u8])] = &[("host", b"t"), (name.as_str(), b"x-hop, \xff")];
                assert_eq!(told(version, "/", lines), 400, "{name}");
            }
        }
        assert_eq!(
            told(Version::HTTP_11, "/", &[("host", b"t"), ("x", b"\xff"), ("connection", b"close")]),
            200
        );
    }

    #[test]
    fn nothing_but_100_continue_may_be_expected() {
        for (lines, status) in [
            (&[&b"100-continue"[..]][..], 200),
            (&[b"100-Continue", b"100-continue"], 200),
            (&[b"100-continue, 100-continue"], 200),
            (&[b"100-continue", b"a=b"], 417),
            (&[b"200-ok"], 417),
            (&[b"100-continue;q=1"], 417),
            (&[b"\xff"], 417),
            (&[b""], 417),
        ] {
            let lines: Vec<_> =
                lines.iter().map(|line| ("expect", *line)).chain([("host", &b"t"[..])]).collect();
            assert_eq!(told(Version::HTTP_11, "/", &lines), status, "{lines:?}");
            assert_eq!(told(Version::HTTP_2, "http://t/", &lines), status, "{lines:?}");
            // A client of HTTP/1.0 cannot mean it (RFC 9110, section 10.1.1).
            assert_eq!(told(Version::HTTP_10, "/", &lines), 200);
        }
    }
}
