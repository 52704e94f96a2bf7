//! Conditions and ranges: how much of a file is sent, if any.

use std::fs::File;
use std::time::{Duration, SystemTime};

use http::Method;
use proptest::prelude::*;

use super::confined::unrecorded;
use super::site::Site;

#[test]
fn conditions_decide_before_ranges_and_in_their_order() {
    let site = Site::new();
    let tag = site.get("digits.txt").field("etag").to_owned();
    let weak = format!("W/{tag}");
    let (then, before) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:36 GMT");
    let part = ("range", "bytes=2-4");
    for (fields, status) in [
        (vec![("if-none-match", tag.as_str())], 304),
        (vec![("if-none-match", &weak), part], 304),
        (vec![("if-none-match", "\"other\""), ("if-modified-since", then)], 200),
        (vec![("if-modified-since", then)], 304),
        (vec![("if-modified-since", before)], 200),
        (vec![("if-modified-since", "not a date")], 200),
        (vec![("if-match", "\"other\""), ("if-none-match", &tag)], 412),
        (vec![("if-match", &tag), ("if-unmodified-since", before)], 200),
        (vec![("if-unmodified-since", before), part], 412),
        (vec![("if-unmodified-since", then), part], 206),
        (vec![("if-range", &tag), part], 206),
        (vec![("if-range", &weak), part], 200),
        (vec![("if-range", then), part], 206),
        (vec![("if-range", before), part], 200),
        (vec![("if-range", "\"other\""), ("range", "bytes=90-")], 200),
    ] {
        let answer = site.ask(Method::GET, "digits.txt", &fields);
        assert_eq!(answer.status(), status, "{fields:?}");
        assert_eq!(answer.field("etag"), tag);
        if status == 304 {
            assert!(answer.empty && answer.field("content-length").is_empty());
            assert_eq!(answer.field("last-modified"), then);
        }
    }
    assert_eq!(
        site.ask(Method::GET, "nothing", &[("if-match", "*")]).status(),
        404,
        "only what is there matches"
    );
}

#[test]
fn a_file_just_written_has_a_weak_tag() {
    let site = Site::new();
    let path = site.dir.path().join("root/digits.txt");
    let time = SystemTime::now() + Duration::from_secs(3600);
    File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    let answer = site.get("digits.txt");
    let tag = answer.field("etag");
    assert!(tag.starts_with("W/\""), "{tag}");
    let again = site.ask(Method::GET, "digits.txt", &[("if-range", tag), ("range", "bytes=0-1")]);
    assert_eq!(again.status(), 200);
    assert_eq!(site.ask(Method::GET, "digits.txt", &[("if-none-match", tag)]).status(), 304);
}

#[test]
fn one_range_comes_as_it_is() {
    let site = Site::new();
    for (range, content_range, text) in [
        ("bytes=0-0", "bytes 0-0/10", "0"),
        ("bytes=2-4", "bytes 2-4/10", "234"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=-2", "bytes 8-9/10", "89"),
        ("bytes=-99", "bytes 0-9/10", "0123456789"),
        ("bytes=8-99", "bytes 8-9/10", "89"),
        ("bytes=0-3,2-5", "bytes 0-5/10", "012345"),
        ("bytes=3-4,50-", "bytes 3-4/10", "34"),
    ] {
        let answer = site.ask(Method::GET, "digits.txt", &[("range", range)]);
        assert_eq!((answer.status(), answer.text()), (206, text), "{range}");
        assert_eq!(answer.field("content-range"), content_range);
        assert_eq!(answer.field("content-length"), text.len().to_string());
        assert_eq!(answer.field("content-type"), "text/plain; charset=utf-8");
    }
}

#[test]
fn ranges_that_mean_nothing_are_ignored_and_those_that_miss_are_refused() {
    let site = Site::new();
    for range in
        ["bytes=4-2", "lines=1-2", "bytes=x", "bytes=1-2,x", &format!("bytes={}", "0-0,2-2,".repeat(9))]
    {
        let answer = site.ask(Method::GET, "digits.txt", &[("range", range)]);
        assert_eq!((answer.status(), answer.text()), (200, "0123456789"), "{range}");
        assert!(answer.field("content-range").is_empty());
    }
    let twice = site.ask(Method::GET, "digits.txt", &[("range", "bytes=0-0"), ("range", "bytes=1-1")]);
    assert_eq!(twice.status(), 200);
    for (path, range, content_range) in [
        ("digits.txt", "bytes=10-", "bytes */10"),
        ("digits.txt", "bytes=-0", "bytes */10"),
        ("empty", "bytes=0-", "bytes */0"),
    ] {
        let answer = site.ask(Method::GET, path, &[("range", range)]);
        assert_eq!((answer.status(), answer.field("content-range")), (416, content_range), "{range}");
        assert_eq!(answer.field("content-length"), answer.text().len().to_string());
    }
}

#[test]
fn several_ranges_come_as_multipart() {
    let site = Site::new();
    let answer = site.ask(Method::GET, "digits.txt", &[("range", "bytes=7-8, 0-1,-1")]);
    assert_eq!(answer.status(), 206);
    let boundary = answer.field("content-type").strip_prefix("multipart/byteranges; boundary=").unwrap();
    let part = |range: &str, text: &str| {
        format!(
            "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes {range}/10\r\n\r\n{text}\r\n"
        )
    };
    let expected = [part("7-9", "789"), part("0-1", "01"), format!("--{boundary}--\r\n")].concat();
    assert_eq!(answer.text(), expected);
    assert_eq!(answer.field("content-length"), expected.len().to_string());
    assert!(answer.field("content-range").is_empty(), "RFC 9110 §15.3.7.2: not in a multipart's head");
}

/// Every part that is sent is what the file holds there.
#[test]
fn parts_are_what_the_file_holds() {
    let (site, digits) = (Site::new(), "0123456789");
    proptest!(unrecorded(), |(range in "bytes=[0-9]?-[0-9]?(,[0-9]?-[0-9]?){0,4}")| {
        let answer = site.ask(Method::GET, "digits.txt", &[("range", &range)]);
        let text = answer.text();
        match (answer.status(), answer.field("content-range")) {
            (200, _) => prop_assert_eq!(text, digits),
            (416, _) => {}
            (206, "") => {
                for part in text.split("Content-Range: bytes ").skip(1) {
                    let (range, rest) = part.split_once("/10\r\n\r\n").unwrap();
                    prop_assert_eq!(rest.split_once("\r\n").unwrap().0, cut(digits, range));
                }
            }
            (206, range) => {
                prop_assert_eq!(text, cut(digits, range.trim_start_matches("bytes ").trim_end_matches("/10")));
            }
            (status, _) => prop_assert!(false, "{}", status),
        }
        prop_assert_eq!(answer.field("content-length"), text.len().to_string());
    });
}

/// The bytes of `text` that a range like `2-4` means.
fn cut<'a>(text: &'a str, range: &str) -> &'a str {
    let (first, last) = range.split_once('-').unwrap();
    &text[first.parse().unwrap()..=last.parse().unwrap()]
}
