//! Filters on served routes: what is paced is what leaves, and heads fit the bytes.

use std::io::Read;
use std::time::Duration;

use flate2::read::GzDecoder;
use sluicegate::filter::{GzipFactory, ReplaceFactory};
use sluicegate::http::route::Route;
use sluicegate::limit::Rate;

use testkit::backend::Backend;
use testkit::served::Served;
use testkit::wire::{Client, End};

/// Text that gzip makes shorter, but not by much.
fn text(len: usize) -> String {
    let mut state = 1_u32;
    let mut letter = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + (state >> 24) as u8 % 26)
    };
    (0..len).map(|_| letter()).collect()
}

fn unzip(body: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(body).read_to_string(&mut text).unwrap();
    text
}

fn folder(name: &str, text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), text).unwrap();
    folder
}

#[test]
fn the_rate_counts_coded_bytes() {
    const RATE: u64 = 40_000;
    let text = text(60_000);
    let folder = folder("a.txt", &text);
    let route = testkit::served::files(&folder, RATE).filter(GzipFactory::new());
    let served = Served::new(vec![route]);
    let answer = Client::new(served.connect()).get("/a.txt", "Accept-Encoding: gzip\r\n");
    assert_eq!((answer.end, answer.field("content-encoding")), (End::Complete, Some("gzip")));
    assert_eq!((answer.field("content-length"), answer.field("accept-ranges")), (None, None));
    assert!(answer.field("etag").unwrap().starts_with("W/") && answer.field("vary").is_some());
    assert_eq!(unzip(&answer.body), text);
    assert!((30_000..50_000).contains(&answer.body.len()), "{} coded bytes", answer.body.len());
    answer.assert_paced(RATE, 0);
}

#[test]
fn a_rate_before_the_coder_counts_plain_bytes() {
    const RATE: u64 = 40_000;
    let text = "a".repeat(40_000);
    let folder = folder("a.txt", &text);
    let route = testkit::served::files(&folder, RATE);
    let served = Served::new(vec![route.pace_here().filter(GzipFactory::new())]);
    let answer = Client::new(served.connect()).get("/a.txt", "Accept-Encoding: gzip\r\n");
    assert_eq!(unzip(&answer.body), text);
    // Five chunks of 8 000 plain bytes, though few hundred leave.
    assert!(answer.body.len() < 1_000 && answer.lasted() >= Duration::from_millis(800), "{answer:?}");
}

#[test]
fn a_head_through_gzip_has_the_fields_of_get_and_no_bytes() {
    let text = text(5_000);
    let folder = folder("a.txt", &text);
    let proxied = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\netag: \"x\"\r\naccept-ranges: bytes\r\n\r\n{text}",
        text.len()
    );
    let head_only = proxied.clone();
    let backend = Backend::new(move |stream, head| {
        let end = if head.starts_with("HEAD") {
            testkit::wire::find(head_only.as_bytes(), b"\r\n\r\n").unwrap() + 4
        } else {
            head_only.len()
        };
        let _ = std::io::Write::write_all(stream, &head_only.as_bytes()[..end]);
    });
    let routes = vec![
        Route::files("/files/", folder.path())
            .unwrap()
            .rate(Rate::or_unlimited(1))
            .filter(GzipFactory::new()),
        testkit::backend::routed("/", backend.source(), None).filter(GzipFactory::new()),
    ];
    let served = Served::new(routes);
    let mut client = Client::new(served.connect());
    for target in ["/files/a.txt", "/a.txt"] {
        for fields in ["Accept-Encoding: gzip\r\n", ""] {
            let head = client.head(target, fields);
            assert_eq!((head.status(), head.body.len()), (200, 0), "{target}");
            // At one byte a second the whole answer would take hours; its head is what is wanted.
            client.send(
                format!("GET {target} HTTP/1.1\r\nHost: t\r\n{fields}Connection: close\r\n\r\n").as_bytes(),
            );
            let get = testkit::message::read_head(&mut client.stream).unwrap();
            let fields_of = |head: &str| {
                let mut lines: Vec<String> = head
                    .lines()
                    .skip(1)
                    .map(str::to_lowercase)
                    .filter(|line| {
                        !["date:", "connection:", "transfer-encoding:"]
                            .iter()
                            .any(|name| line.starts_with(name))
                    })
                    .collect();
                lines.sort();
                lines
            };
            assert_eq!(fields_of(&head.head), fields_of(&get), "{target} {fields}");
            client = Client::new(served.connect());
        }
    }
}

// Caches that are told of no Vary give one client's variant to another (RFC 9110 §15.4.5).
#[test]
fn a_304_varies_as_the_200_does() {
    let folder = folder("a.txt", &text(10_000));
    std::fs::write(folder.path().join("a.png"), text(10_000)).unwrap();
    let served = Served::new(vec![Route::files("/", folder.path()).unwrap().filter(GzipFactory::new())]);
    let mut client = Client::new(served.connect());
    let mut ask = |target: &str, fields: &str| {
        let answer = client.get(target, fields);
        let field = |name: &str| answer.field(name).map(str::to_owned);
        (answer.status(), field("vary"), field("etag"), field("last-modified"))
    };
    for (target, varies) in [("/a.txt", Some("Accept-Encoding".to_owned())), ("/a.png", None)] {
        for accept in ["Accept-Encoding: gzip\r\n", ""] {
            let (status, vary, etag, modified) = ask(target, accept);
            assert_eq!((status, &vary), (200, &varies), "{target}");
            let (etag, modified) = (etag.unwrap(), modified.unwrap());
            let plain = etag.trim_start_matches("W/").to_owned();
            for condition in [
                format!("If-None-Match: {etag}\r\n"),
                format!("If-None-Match: {plain}\r\n"),
                format!("If-None-Match: W/{plain}\r\n"),
                format!("If-Modified-Since: {modified}\r\n"),
            ] {
                let (status, vary, ..) = ask(target, &format!("{accept}{condition}"));
                assert_eq!((status, &vary), (304, &varies), "{target} {accept} {condition}");
            }
        }
    }
}

#[test]
fn replaced_text_has_no_ranges_no_length_and_no_validators() {
    let folder = folder("a.txt", &"a secret and ".repeat(1_000));
    let redact = ReplaceFactory::new("secret", "******!").unwrap();
    let route = Route::files("/", folder.path()).unwrap().filter(redact).rate(Rate::or_unlimited(1_000_000));
    let served = Served::new(vec![route]);
    let mut client = Client::new(served.connect());
    let fields = "Range: bytes=0-9\r\nIf-None-Match: *\r\nAccept-Encoding: gzip\r\n";
    let answer = client.get("/a.txt", fields);
    assert_eq!((answer.status(), answer.end), (200, End::Complete), "a range of other bytes is none");
    assert_eq!(String::from_utf8(answer.body.clone()).unwrap(), "a ******! and ".repeat(1_000));
    for name in ["content-length", "content-range", "accept-ranges", "etag", "last-modified"] {
        assert_eq!(answer.field(name), None, "{name}");
    }
    let head = client.head("/a.txt", fields);
    assert_eq!((head.status(), head.field("content-length"), head.field("etag")), (200, None, None));
}
