//! Answers of a listener that sends its clients to https.

use http::header::{HOST, HeaderValue, LOCATION};
use http::{Request, Response, StatusCode};

use crate::address::AuthorityParts;
use crate::http::answer;
use crate::http::content::Content;

/// Sends the client to the same host, path and query with `https` on `port`. 308 keeps the method and the content.
pub(super) fn to_https<B>(request: &Request<B>, port: u16) -> Response<Content> {
    let Some(location) = location(request, port) else {
        let text = "This address is for https only. Name a host, so that you can be sent there.";
        return answer::plain(StatusCode::BAD_REQUEST, text);
    };
    let mut response = answer::plain(StatusCode::PERMANENT_REDIRECT, "This is served over https only.");
    response.headers_mut().insert(LOCATION, location);
    response
}

fn location<B>(request: &Request<B>, port: u16) -> Option<HeaderValue> {
    let named = match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => request.headers().get(HOST)?.to_str().ok()?,
    };
    let host = AuthorityParts::parse(named).ok()?.host();
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    if host.is_empty() || !target.starts_with('/') {
        return None;
    }
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    HeaderValue::try_from(format!("https://{host}{port}{target}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_keeps_host_path_and_query_and_names_a_port_if_it_must() {
        for (target, host, port, expected) in [
            ("/a?b=c", Some("files.test"), 443, Some("https://files.test/a?b=c")),
            ("/", Some("files.test:80"), 8443, Some("https://files.test:8443/")),
            ("/a%2Fb//c", Some("[::1]:8080"), 443, Some("https://[::1]/a%2Fb//c")),
            ("http://other.test/x", Some("files.test"), 443, Some("https://other.test/x")),
            ("//evil.test/x", Some("files.test"), 443, Some("https://files.test//evil.test/x")),
            ("/", None, 443, None),
            ("/", Some(""), 443, None),
            ("/", Some("user@files.test"), 443, None),
            ("/", Some("files.test/x"), 443, None),
            ("*", Some("files.test"), 443, None),
        ] {
            let mut request = Request::builder().uri(target);
            if let Some(host) = host {
                request = request.header("host", host);
            }
            let response = to_https(&request.body(()).unwrap(), port);
            let location = response.headers().get(LOCATION).map(|text| text.to_str().unwrap());
            assert_eq!(location, expected, "{target} {host:?}");
            assert_eq!(response.status(), if expected.is_some() { 308 } else { 400 });
        }
    }
}
