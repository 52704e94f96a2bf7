//! What the factories do to heads: when a filter is attached, and what the response says then.

use http::{HeaderMap, HeaderName, HeaderValue, Method, request, response};
use sluicegate::filter::{
    CountFactory, FilterFactory, GzipFactory, GzipLevel, MediaTypes, NotSent, OptionError, ReplaceFactory,
};

type Fields<'a> = &'a [(&'static str, &'a str)];

/// Puts fields into a map, over what is there.
fn set(headers: &mut HeaderMap, fields: Fields<'_>) {
    for (name, value) in fields {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
}

fn request(fields: Fields<'_>) -> request::Parts {
    let mut parts = http::Request::new(()).into_parts().0;
    set(&mut parts.headers, &[("accept-encoding", "gzip, br")]);
    set(&mut parts.headers, fields);
    parts
}

/// A page as the files handler gives it, with other fields over it.
fn page(status: u16, fields: Fields<'_>) -> response::Parts {
    let mut parts = http::Response::builder().status(status).body(()).unwrap().into_parts().0;
    let base: Fields<'_> = &[
        ("content-type", "text/html; charset=utf-8"),
        ("content-length", "1000"),
        ("accept-ranges", "bytes"),
        ("etag", "\"x\""),
        ("last-modified", "Sun, 01 Mar 2026 00:00:00 GMT"),
        ("content-digest", "sha-256=:AA==:"),
        ("repr-digest", "sha-256=:AA==:"),
        ("content-md5", "AA=="),
        ("cache-control", "max-age=60"),
    ];
    set(&mut parts.headers, base);
    set(&mut parts.headers, fields);
    parts.headers =
        parts.headers.into_iter().filter(|(_, v)| !v.is_empty()).filter_map(|(n, v)| Some((n?, v))).collect();
    parts
}

fn field<'a>(response: &'a response::Parts, name: &str) -> &'a str {
    response.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

fn names(headers: &HeaderMap) -> Vec<&str> {
    let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_coded_answer_says_so_and_forgets_the_files_bytes() {
    for method in [Method::GET, Method::HEAD] {
        let mut request = request(&[]);
        request.method = method;
        let mut response = page(200, &[("vary", "Origin")]);
        assert!(GzipFactory::new().attach(&request, &mut response).is_some());
        assert_eq!(
            names(&response.headers),
            ["cache-control", "content-encoding", "content-type", "etag", "last-modified", "vary"]
        );
        assert_eq!(field(&response, "content-encoding"), "gzip");
        assert_eq!(field(&response, "etag"), "W/\"x\"");
        assert_eq!(field(&response, "vary"), "Origin, Accept-Encoding");
    }
}

#[test]
fn gzip_stays_away_where_it_must() {
    // Request fields, status, response fields, and whether the answer depends on Accept-Encoding.
    let table: [(Fields<'_>, u16, Fields<'_>, bool); 19] = [
        (&[("accept-encoding", "br")], 200, &[], true),
        (&[("accept-encoding", "gzip;q=0")], 200, &[], true),
        (&[("range", "bytes=0-9")], 206, &[("content-range", "bytes 0-9/1000")], true),
        (&[("range", "bytes=0-9")], 200, &[], true),
        (&[("range", "lines=0-9")], 200, &[], true),
        (&[], 206, &[], true),
        (&[], 204, &[], true),
        (&[], 205, &[], true),
        (&[], 101, &[], true),
        (&[], 200, &[("content-length", "255")], true),
        (&[], 200, &[("content-length", "0")], true),
        (&[], 200, &[("content-encoding", "br")], false),
        (&[], 200, &[("cache-control", "public, No-Transform")], false),
        (&[], 200, &[("content-type", "image/png")], false),
        (&[], 200, &[("content-type", "")], false),
        (&[], 200, &[("content-type", "text/event-stream")], false),
        (&[], 200, &[("content-type", "text/event-stream; charset=utf-8"), ("content-length", "")], false),
        (&[], 200, &[("content-type", "application/gzip")], false),
        (&[], 416, &[("content-length", "30")], true),
    ];
    for (asked, status, given, varies) in table {
        let before = page(status, given);
        let mut response = page(status, given);
        let attached = GzipFactory::new().attach(&request(asked), &mut response).is_some();
        assert!(!attached, "{asked:?} {status} {given:?}");
        let vary = response.headers.remove("vary");
        assert_eq!(vary.is_some(), varies, "{asked:?} {status} {given:?}");
        assert_eq!(response.headers, before.headers, "nothing else changes");
    }
}

#[test]
fn gzip_codes_responses_that_nothing_forbids() {
    let table: [(u16, Fields<'_>); 6] = [
        (200, &[("content-length", "256")]),
        (200, &[("content-length", "")]),
        (200, &[("content-type", "application/problem+json")]),
        (200, &[("content-encoding", "identity")]),
        (404, &[]),
        (200, &[("etag", "W/\"x\"")]),
    ];
    for (status, given) in table {
        let mut response = page(status, given);
        assert!(GzipFactory::new().attach(&request(&[]), &mut response).is_some(), "{status} {given:?}");
        assert_eq!(field(&response, "content-encoding"), "gzip");
        assert_eq!(field(&response, "etag"), "W/\"x\"");
    }
    let eager = GzipFactory::new()
        .min_size(0)
        .level(GzipLevel::new(9).unwrap())
        .types(MediaTypes::parse(["text/event-stream"]).unwrap());
    let mut events =
        page(200, &[("content-type", "text/event-stream; charset=utf-8"), ("content-length", "0")]);
    assert!(eager.attach(&request(&[]), &mut events).is_some(), "named, it is coded");
    assert_eq!(GzipLevel::new(10), Err(OptionError::Level(10)));
}

#[test]
fn a_304_has_the_tag_of_the_variant_the_client_holds() {
    let table = [
        // If-None-Match, the type the 304 names, its tag, and whether it says Vary.
        ("W/\"x\"", "text/html", "W/\"x\"", true),
        ("\"y\", W/\"x\"", "", "W/\"x\"", true),
        ("\"x\"", "text/html", "\"x\"", true),
        // A type that is not told may be a listed one.
        ("\"x\"", "", "\"x\"", true),
        ("", "", "\"x\"", true),
        ("*", "text/html", "W/\"x\"", true),
        ("", "text/html", "W/\"x\"", true),
        ("", "image/png", "\"x\"", false),
        ("W/\"x\"", "image/png", "\"x\"", false),
    ];
    for (asked, kind, tag, varies) in table {
        let mut response = page(304, &[("content-type", kind), ("content-length", "")]);
        let filter = GzipFactory::new().attach(&request(&[("if-none-match", asked)]), &mut response);
        assert!(filter.is_none());
        assert_eq!(field(&response, "etag"), tag, "{asked} {kind}");
        assert_eq!(field(&response, "vary") == "Accept-Encoding", varies, "{asked} {kind}");
        assert_eq!(field(&response, "content-encoding"), "");
    }
}

#[test]
fn a_304_is_judged_by_the_type_and_length_that_its_source_knows() {
    let table = [
        // If-None-Match, type and length that are not sent, the tag, and whether it says Vary.
        ("\"x\"", "text/html", 1000, "\"x\"", true),
        ("W/\"x\"", "text/html", 1000, "W/\"x\"", true),
        ("", "text/html", 1000, "W/\"x\"", true),
        // Too short to be coded: the 200 has the plain tag, and Vary all the same.
        ("", "text/html", 255, "\"x\"", true),
        ("", "image/png", 1000, "\"x\"", false),
        ("W/\"x\"", "image/png", 1000, "\"x\"", false),
    ];
    for (asked, kind, length, tag, varies) in table {
        let mut response = page(304, &[("content-type", ""), ("content-length", "")]);
        response.extensions.insert(NotSent { content_type: HeaderValue::from_static(kind), length });
        let filter = GzipFactory::new().attach(&request(&[("if-none-match", asked)]), &mut response);
        assert!(filter.is_none());
        assert_eq!(field(&response, "etag"), tag, "{asked} {kind} {length}");
        assert_eq!(field(&response, "vary") == "Accept-Encoding", varies, "{asked} {kind} {length}");
    }
}

#[test]
fn replace_asks_for_the_whole_and_answers_without_validators() {
    let factory = ReplaceFactory::new("secret", "******").unwrap();
    let mut asked = request(&[
        ("range", "bytes=0-9"),
        ("if-range", "\"x\""),
        ("if-none-match", "\"x\""),
        ("if-modified-since", "Sun, 01 Mar 2026 00:00:00 GMT"),
        ("cookie", "a=b"),
    ]);
    factory.prepare(&mut asked);
    assert_eq!(names(&asked.headers), ["accept-encoding", "cookie"]);
    assert_eq!(asked.headers["accept-encoding"], "identity");

    let [get, head] = [Method::GET, Method::HEAD].map(|method| {
        let mut request = request(&[]);
        request.method = method;
        let mut response = page(200, &[]);
        assert!(factory.attach(&request, &mut response).is_some());
        assert_eq!(names(&response.headers), ["cache-control", "content-type"]);
        response.headers
    });
    assert_eq!(get, head);
}

#[test]
fn replace_leaves_alone_what_is_not_plain_whole_text() {
    let factory = ReplaceFactory::new("secret", "").unwrap();
    let table: [(u16, Fields<'_>); 6] = [
        (206, &[]),
        (204, &[]),
        (304, &[]),
        (200, &[("content-encoding", "gzip")]),
        (200, &[("content-type", "image/png")]),
        (200, &[("content-type", "")]),
    ];
    for (status, given) in table {
        let mut response = page(status, given);
        assert!(factory.attach(&request(&[]), &mut response).is_none(), "{status} {given:?}");
        assert_eq!(response.headers, page(status, given).headers);
    }
    let all = factory.types(MediaTypes::parse(["*/*"]).unwrap());
    assert!(all.attach(&request(&[]), &mut page(200, &[("content-type", "")])).is_some());
    assert_eq!(ReplaceFactory::new("", "x").err(), Some(OptionError::EmptyFrom));
}

#[test]
fn replaced_and_then_coded_has_no_tag_at_all() {
    let mut response = page(200, &[]);
    let asked = request(&[("range", "bytes=0-9")]);
    assert!(ReplaceFactory::new("a", "b").unwrap().attach(&asked, &mut response).is_some());
    assert!(GzipFactory::new().attach(&request(&[]), &mut response).is_some());
    assert_eq!(names(&response.headers), ["cache-control", "content-encoding", "content-type", "vary"]);
}

#[test]
fn a_response_without_content_is_no_stream_to_count() {
    let factory = CountFactory::default();
    drop(factory.attach(&request(&[]), &mut page(200, &[])));
    assert_eq!((factory.counts().streams(), factory.counts().ended()), (0, 0));
}
