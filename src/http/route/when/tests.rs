//! What meets the conditions of rules, and how they are written.

use super::*;

fn is_asked(when: &When, method: &str, uri: &str) -> bool {
    let uri: http::Uri = uri.parse().unwrap();
    when.asks(&method.parse().unwrap(), (uri.path(), uri.query()), None)
}

#[test]
fn a_star_in_a_path_stands_for_any_characters() {
    for (pattern, path, matches) in [
        ("/a", "/a", true),
        ("/a", "/ab", false),
        ("/a/*", "/a/b/c", true),
        ("/a/*", "/a", false),
        ("*.iso", "/x/y.iso", true),
        ("*.iso", "/x/y.iso/", false),
        ("/*/raw/*.bin", "/a/b/raw/c.bin", true),
        ("/*/raw/*.bin", "/raw/c.bin", false),
        ("/a*a", "/a", false),
        ("/a*a", "/aa", true),
        ("*", "/", true),
    ] {
        assert_eq!(pattern.parse::<PathPattern>().unwrap().matches(path), matches, "{pattern} {path}");
    }
}

#[test]
fn a_pattern_is_in_the_form_that_paths_are_compared_in() {
    for (pattern, normal, path) in [
        ("/%7Ea/*", "/~a/*", "/~a/b"),
        ("/a//b", "/a/b", "/a/b"),
        ("/a/*//b", "/a/*/b", "/a/x/b"),
        ("/caf\u{e9}/*", "/caf%C3%A9/*", "/caf%C3%A9/x"),
        ("/a b", "/a%20b", "/a%20b"),
        ("*%2fb*", "*%2Fb*", "/a%2Fb"),
        ("*.%69so", "*.iso", "/a.iso"),
        ("*/a//", "*/a/", "/x/a/"),
        ("/100%", "/100%25", "/100%25"),
        ("/a.*", "/a.*", "/a.b"),
        ("/..*", "/..*", "/..b"),
        ("**", "**", "/"),
    ] {
        let pattern: PathPattern = pattern.parse().unwrap();
        assert_eq!(pattern.to_string(), normal);
        assert!(pattern.matches(path), "{normal} {path}");
    }
    for bad in ["/a/../b", "/a/./b", "/a/.", "/..", "*/../b", "/*/%2e%2E/b", "/a/*/."] {
        let error = bad.parse::<PathPattern>().unwrap_err();
        assert!(error.0.contains("has a segment . or .."), "{error}");
    }
    assert!("/a%2a".parse::<PathPattern>().unwrap_err().0.contains("%2A"));
}

#[test]
fn all_that_is_given_must_hold_and_of_a_list_one() {
    let when = When {
        path: vec!["/a/*".parse().unwrap(), "/b/*".parse().unwrap()],
        extension: vec!["ISO".parse().unwrap()],
        method: vec![Method::GET],
        query: vec!["fast".parse().unwrap(), "speed=a b".parse().unwrap()],
        ..When::default()
    };
    for (method, uri, expected) in [
        ("GET", "/a/x.iso?fast", true),
        ("GET", "/b/x.Iso?x=1&fast=0", true),
        ("GET", "/b/x.iso?speed=a+b", true),
        ("GET", "/b/x.iso?sp%65ed=a%20b", true),
        ("GET", "/b/x.iso?speed=a", false),
        ("GET", "/b/x.iso", false),
        ("HEAD", "/a/x.iso?fast", false),
        ("GET", "/c/x.iso?fast", false),
        ("GET", "/a/x.zip?fast", false),
        ("GET", "/a.iso/x?fast", false),
    ] {
        assert_eq!(is_asked(&when, method, uri), expected, "{method} {uri}");
    }
    assert!(When::default().is_empty() && is_asked(&When::default(), "PUT", "/?x"));
}

#[test]
fn a_response_is_known_by_its_status_its_type_and_its_size() {
    let answer = |status: u16, content_type: &str, length: &str| {
        let answer = http::Response::builder().status(status).header(CONTENT_TYPE, content_type);
        answer.header(CONTENT_LENGTH, length).body(()).unwrap().into_parts().0
    };
    let when = When {
        status: vec!["2xx".parse().unwrap(), "404".parse().unwrap()],
        content_type: vec!["video/*".parse().unwrap()],
        size: Some(">1k".parse().unwrap()),
        ..When::default()
    };
    for (status, content_type, length, expected) in [
        (200, "video/mp4", "1025", true),
        (299, "video/webm; codecs=vp9", "99999", true),
        (404, "video/mp4", "1025", true),
        (403, "video/mp4", "1025", false),
        (200, "audio/mp4", "1025", false),
        (200, "video/mp4", "1024", false),
        (200, "video/mp4", "many", false),
    ] {
        let head = answer(status, content_type, length);
        assert_eq!(when.answers(&head), expected, "{status} {content_type} {length}");
    }
    for (bound, sizes) in [
        (">1k", [false, false, true]),
        (">=1k", [false, true, true]),
        ("<1k", [true, false, false]),
        ("<= 1k", [true, true, false]),
    ] {
        let bound: SizeBound = bound.parse().unwrap();
        assert_eq!([1023, 1024, 1025].map(|size| bound.has(size)), sizes, "{bound}");
    }
}

#[test]
fn conditions_are_printed_as_they_are_read_and_others_are_refused() {
    let when = When {
        path: vec!["/a/*".parse().unwrap()],
        status: vec!["4xx".parse().unwrap(), "200".parse().unwrap()],
        size: Some(">=10m".parse().unwrap()),
        query: vec!["a=b".parse().unwrap()],
        ..When::default()
    };
    assert_eq!(when.to_string(), "path /a/*, query a=b, status 4xx or 200, size >=10m");
    assert!("a/*".parse::<PathPattern>().is_err() && "/a?b".parse::<PathPattern>().is_err());
    assert!(".iso".parse::<Extension>().is_err() && "".parse::<Extension>().is_err());
    assert!("=a".parse::<QueryKey>().is_err());
    for bad in ["99", "600", "6xx", "xx", "4x", ""] {
        assert!(bad.parse::<StatusClass>().is_err(), "{bad}");
    }
    for bad in ["10m", "=10m", ">10", "", ">", ">x"] {
        assert!(bad.parse::<SizeBound>().is_err(), "{bad}");
    }
}
