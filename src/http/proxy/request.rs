//! Turns the client's request head into the upstream's.

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderMap, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, Request, StatusCode, Version, request};

use super::ProxySource;
use super::failure::Refusal;
use super::forwarded;
use super::hop;
use super::target;
use super::url::HostPolicy;
use crate::http::source::Client;
use crate::http1::{
    FramingFields, ONLY_CHUNKED, ONLY_CONTINUE, content_length, expects_continue, has_token, strip_request,
};

const BAD_LENGTH: Refusal = Refusal::bad_request("The request's Content-Length is not that of its content.");

/// Fields that a request usually gets on its way: `Via`, `Forwarded` and three `X-Forwarded-`.
const ADDED_FIELDS: usize = 5;

/// A request's head for the upstream.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) head: request::Parts,
    /// Whether the client's offer to change protocols is forwarded.
    pub(super) upgrade: bool,
    /// Whether the `Host` is the upstream's own, which depends on the upstream.
    pub(super) has_own_host: bool,
}

/// Turns a client's head into the upstream's: HTTP/1.1, with the upstream's target and host, without hop-by-hop fields,
/// and with `Forwarded`. `rest` is the path after the route's prefix.
pub(super) fn outgoing(
    mut received: request::Parts,
    rest: &str,
    has_body: bool,
    client: &Client,
    source: &ProxySource,
) -> Result<Outgoing, Refusal> {
    if received.method == Method::CONNECT {
        return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, "CONNECT is not supported."));
    }
    let has = FramingFields::of(&received.headers);
    if has.transfer_encoding && !hop::is_plain_transfer(&received.headers).map_err(Refusal::unreadable)? {
        return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, ONLY_CHUNKED));
    }
    let uri = target::map(&source.upstream, rest, &received.uri)?;
    let host = asked_host(&received);

    let fields = &mut received.headers;
    // For those that tell of this hop: growing once for each would cost more than all of them.
    fields.reserve(ADDED_FIELDS);
    // An upgrade with a body is not forwarded: the upstream may respond in the old protocol first.
    let upgrade = if has.upgrade { hop::upgrade(fields).map_err(Refusal::unreadable)? } else { None };
    let upgrade = upgrade.filter(|_| received.version == Version::HTTP_11 && !has_body);
    let wants_trailers = has.te && has_token(fields, &TE, "trailers").map_err(Refusal::unreadable)?;
    // The transfer coding overrides the length, which must not be forwarded (RFC 9112 §6.3).
    let length = if has.content_length { content_length(fields).map_err(|_| BAD_LENGTH)? } else { None };
    let length = length.filter(|_| !has.transfer_encoding);
    if !has_body && length.is_some_and(|length| length > 0) {
        return Err(BAD_LENGTH);
    }
    // Read before `Connection` is obeyed, which may name them: the upstream learns the client in any case.
    let claims = forwarded::claims(fields, client);
    hop::strip(fields).map_err(Refusal::unreadable)?;
    strip_request(fields, claims.is_some());
    // This hop meets the expectation: 100 Continue is sent when the body is first polled. A client of HTTP/1.0 cannot
    // mean it.
    if has.expect {
        if fields.contains_key(EXPECT) && !expects_continue(fields) && received.version != Version::HTTP_10 {
            return Err(Refusal::new(StatusCode::EXPECTATION_FAILED, ONLY_CONTINUE));
        }
        fields.remove(EXPECT);
    }
    join_cookies(fields);
    let asked = host.as_ref().and_then(|host| host.to_str().ok());
    forwarded::tell(fields, client, &claims.unwrap_or_default(), asked);
    if source.via {
        forwarded::via(fields, received.version);
    }
    source.request_headers.apply(fields);

    let own = || HeaderValue::from_str(source.upstream.authority().as_str()).ok();
    let other_host = match &source.host {
        HostPolicy::Upstream => None,
        HostPolicy::Client => host,
        HostPolicy::Literal(host) => HeaderValue::from_str(host.as_str()).ok(),
    };
    let has_own_host = other_host.is_none();
    // Removed first: inserting in place may grow the map.
    fields.remove(HOST);
    if let Some(host) = other_host.or_else(own) {
        fields.insert(HOST, host);
    }

    // The framing is this hop's: `Connection` may have named the length.
    if has.content_length {
        fields.remove(CONTENT_LENGTH);
    }
    match length {
        Some(length) => drop(fields.insert(CONTENT_LENGTH, HeaderValue::from(length))),
        None if has_body => {
            fields.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        None => {}
    }
    if wants_trailers {
        fields.append(TE, HeaderValue::from_static("trailers"));
        fields.append(CONNECTION, HeaderValue::from_static("te"));
    }
    let upgrades = upgrade.is_some();
    if source.send_proxy.is_some() && !upgrades {
        // No other request follows (RFC 9112 §9.6).
        fields.append(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(protocols) = upgrade {
        fields.append(CONNECTION, HeaderValue::from_static("upgrade"));
        fields.insert(UPGRADE, protocols);
    }

    let (mut head, ()) = Request::new(()).into_parts();
    head.method = received.method;
    head.uri = uri;
    head.version = Version::HTTP_11;
    head.headers = received.headers;
    Ok(Outgoing { head, upgrade: upgrades, has_own_host })
}

/// The host the client asked for: that of an absolute target or `:authority`, else `Host`
/// (RFC 9112 §3.2.2, RFC 9113 §8.3.1).
fn asked_host(received: &request::Parts) -> Option<HeaderValue> {
    match received.uri.authority() {
        // A user name is not part of the host.
        Some(authority) => {
            let host = authority.as_str().rsplit('@').next()?;
            HeaderValue::from_str(host).ok()
        }
        None => received.headers.get(HOST).cloned(),
    }
}

/// Joins `Cookie` fields: HTTP/2 may split them, HTTP/1.1 has one (RFC 9113 §8.2.3).
fn join_cookies(fields: &mut HeaderMap) {
    if fields.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = fields.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        fields.insert(COOKIE, whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::peer::PeerAddr;

    fn pass(request: request::Builder, has_body: bool) -> Result<Outgoing, Refusal> {
        pass_to(request, has_body, HostPolicy::Upstream)
    }

    fn pass_to(request: request::Builder, has_body: bool, host: HostPolicy) -> Result<Outgoing, Refusal> {
        let client = Client {
            local: "192.0.2.9:80".parse().ok(),
            ..Client::new(PeerAddr::Tcp("192.0.2.1:5000".parse().unwrap()), "http")
        };
        let source = ProxySource { host, ..ProxySource::new("http://backend:9000/base/".parse().unwrap()) };
        let received = request.body(()).unwrap().into_parts().0;
        let rest = received.uri.path().trim_start_matches('/').to_owned();
        outgoing(received, &rest, has_body, &client, &source)
    }

    #[test]
    fn the_host_is_told_by_policy() {
        let literal = "literal.example".parse().unwrap();
        for (policy, uri, host, told, asked) in [
            (HostPolicy::Upstream, "/x", Some("asked:80"), "backend:9000", Some("asked:80")),
            (HostPolicy::Client, "/x", Some("asked:80"), "asked:80", Some("asked:80")),
            (HostPolicy::Client, "http://u@absolute/x", Some("asked"), "absolute", Some("absolute")),
            (HostPolicy::Client, "/x", None, "backend:9000", None),
            (literal, "/x", Some("asked"), "literal.example", Some("asked")),
        ] {
            let mut request = Request::get(uri);
            if let Some(host) = host {
                request = request.header(HOST, host);
            }
            let head = pass_to(request, false, policy.clone()).unwrap().head;
            assert_eq!(head.headers[HOST], told, "{policy:?}");
            let forwarded = head.headers.get("x-forwarded-host").map(|host| host.to_str().unwrap());
            assert_eq!(forwarded, asked, "{policy:?}");
            assert_eq!(head.uri, "http://backend:9000/base/x");
        }
    }

    #[test]
    fn a_request_of_http2_becomes_one_of_http1() {
        let request = Request::get("https://asked/x")
            .version(Version::HTTP_2)
            .header(COOKIE, "a=1")
            .header(COOKIE, "b=2; c=3")
            .header(TE, "trailers");
        let head = pass(request, false).unwrap().head;
        assert_eq!(head.version, Version::HTTP_11);
        assert_eq!(head.headers[COOKIE], "a=1; b=2; c=3");
        assert_eq!(head.headers.get_all(COOKIE).iter().count(), 1);
        assert_eq!(
            (&head.headers[TE], &head.headers[CONNECTION]),
            (&"trailers".parse().unwrap(), &"te".parse().unwrap())
        );
        assert_eq!(head.headers["via"], "2.0 sluicegate");
    }

    #[test]
    fn a_source_may_leave_this_hop_out_of_via() {
        for (via, told) in [(true, &["1.0 edge", "1.1 sluicegate"][..]), (false, &["1.0 edge"])] {
            let client = Client::new(PeerAddr::Unix, "http");
            let source = ProxySource { via, ..ProxySource::new("http://b".parse().unwrap()) };
            let received = Request::get("/").header("via", "1.0 edge").body(()).unwrap().into_parts().0;
            let head = outgoing(received, "", false, &client, &source).unwrap().head;
            assert_eq!(head.headers.get_all("via").iter().collect::<Vec<_>>(), told);
        }
    }

    #[test]
    fn framing_is_the_bodys_own() {
        for (has_body, lines, expected) in [
            (false, &[][..], (None, None)),
            (true, &[("content-length", "3")], (Some("3"), None)),
            (true, &[("transfer-encoding", "chunked")], (None, Some("chunked"))),
            // Over HTTP/2 a body may have neither.
            (true, &[], (None, Some("chunked"))),
            (true, &[("transfer-encoding", "chunked"), ("content-length", "3")], (None, Some("chunked"))),
            (false, &[("content-length", "0")], (Some("0"), None)),
            // HTTP/2 lets these through.
            (true, &[("content-length", "03"), ("content-length", "3")], (Some("3"), None)),
            // What the client calls hop-by-hop is left out of its fields, and not out of the framing.
            (true, &[("content-length", "3"), ("connection", "content-length")], (Some("3"), None)),
            (
                true,
                &[("transfer-encoding", "chunked"), ("connection", "transfer-encoding")],
                (None, Some("chunked")),
            ),
        ] {
            let request = lines
                .iter()
                .fold(Request::post("/x"), |request, (name, value)| request.header(*name, *value));
            let fields = pass(request, has_body).unwrap().head.headers;
            let text = |name| fields.get(name).map(|value: &HeaderValue| value.to_str().unwrap());
            assert_eq!((text(CONTENT_LENGTH), text(TRANSFER_ENCODING)), expected, "{lines:?}");
            assert!(fields.get_all(CONTENT_LENGTH).iter().count() <= 1);
        }
    }

    #[test]
    fn an_upgrade_is_passed_on_over_http11_without_a_body() {
        let request = || Request::get("/x").header(CONNECTION, "Upgrade, X-Hop").header(UPGRADE, "websocket");
        let passed = pass(request().header("x-hop", "1"), false).unwrap();
        assert!(passed.upgrade && !passed.head.headers.contains_key("x-hop"));
        assert_eq!(
            (&passed.head.headers[UPGRADE], &passed.head.headers[CONNECTION]),
            (&"websocket".parse().unwrap(), &"upgrade".parse().unwrap())
        );
        for passed in [pass(request(), true), pass(request().version(Version::HTTP_10), false)] {
            let passed = passed.unwrap();
            assert!(!passed.upgrade && !passed.head.headers.contains_key(UPGRADE));
            assert!(!passed.head.headers.contains_key(CONNECTION));
        }
    }

    #[test]
    fn fields_for_this_hop_are_not_passed_on() {
        let request = Request::post("/x")
            .header(EXPECT, "100-Continue")
            .header("proxy", "http://evil")
            .header("x", "y");
        let head = pass(request, true).unwrap().head;
        assert!(!head.headers.contains_key(EXPECT) && !head.headers.contains_key("proxy"));
        assert_eq!(head.headers["x"], "y");
    }

    #[test]
    fn nobody_but_a_trusted_peer_says_whom_it_asks_for_in_any_spelling() {
        for name in
            ["x-forwarded-for", "forwarded", "x-real-ip", "x_forwarded_for", "x-real_ip", "x_forwarded-proto"]
        {
            // Also where `Connection` would have it taken off before it is looked at.
            for connection in ["close", name] {
                let request = Request::get("/x").header(name, "for=1.1.1.1").header(CONNECTION, connection);
                let head = pass(request, false).unwrap().head;
                let said =
                    head.headers.values().any(|value| value.as_bytes().windows(7).any(|at| at == b"1.1.1.1"));
                assert!(!said, "{name}: {:?}", head.headers);
            }
        }
    }

    #[test]
    fn a_trusted_peer_is_heard_also_where_connection_names_what_it_says() {
        let client =
            Client { trusted: true, ..Client::new(PeerAddr::Tcp("192.0.2.1:5000".parse().unwrap()), "http") };
        for connection in ["close", "x-forwarded-for, x-forwarded-proto"] {
            let request = Request::get("/x")
                .header("x-forwarded-for", "198.51.100.7")
                .header("x-forwarded-proto", "https")
                .header("x_forwarded_for", "1.1.1.1")
                .header(CONNECTION, connection);
            let received = request.body(()).unwrap().into_parts().0;
            let source = ProxySource::new("http://backend".parse().unwrap());
            let fields = outgoing(received, "x", false, &client, &source).unwrap().head.headers;
            assert_eq!(fields["x-forwarded-for"], "198.51.100.7, 192.0.2.1");
            assert_eq!(fields["x-forwarded-proto"], "https");
            assert_eq!(fields["forwarded"], "for=198.51.100.7;proto=https, for=192.0.2.1");
            assert!(!fields.contains_key("x_forwarded_for"));
        }
    }

    #[test]
    fn requests_that_cannot_be_passed_on_are_refused() {
        for (request, status) in [
            (Request::connect("a:1"), 501),
            (Request::post("/x").header(TRANSFER_ENCODING, "gzip, chunked"), 501),
            (Request::post("/x").header(TRANSFER_ENCODING, "chunked, chunked"), 501),
            (Request::post("/x").header(TRANSFER_ENCODING, &b"gzip\xff, chunked"[..]), 400),
            (Request::get("/x").header(CONNECTION, &b"x-hop, \xff"[..]), 400),
            (Request::get("/x").header(UPGRADE, &b"\xff"[..]), 400),
            (Request::get("/x").header(TE, &b"trailers, \xff"[..]), 400),
            (Request::options("*"), 400),
            (Request::get("/../x"), 400),
            // This one has no body.
            (Request::post("/x").header(CONTENT_LENGTH, "3"), 400),
            (Request::post("/x").header(CONTENT_LENGTH, ""), 400),
            (Request::post("/x").header(CONTENT_LENGTH, "0").header(CONTENT_LENGTH, "1"), 400),
        ] {
            assert_eq!(pass(request, false).unwrap_err().status, status);
        }
    }
}
