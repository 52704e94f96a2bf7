//! Answers of a listener that sends its clients to https.

use http::{Request, Response, StatusCode};

use crate::http::answer;
use crate::http::content::Content;
use crate::http::host;

/// Sends the client to the same host, path and query with `https` on `port`. 308 keeps the method and the content.
pub(super) fn to_https<B>(request: &Request<B>, port: u16) -> Response<Content> {
    let Some(location) = location(request, port) else {
        let text = "This address is for https only. Name a host, so that you can be sent there.";
        return answer::plain(StatusCode::BAD_REQUEST, text);
    };
    answer::redirect(StatusCode::PERMANENT_REDIRECT, &location, "This is served over https only.")
}

fn location<B>(request: &Request<B>, port: u16) -> Option<String> {
    let host = host::asked(request.uri(), request.headers())?;
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    if !target.starts_with('/') {
        return None;
    }
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    Some(format!("https://{host}{port}{target}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::LOCATION;

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
