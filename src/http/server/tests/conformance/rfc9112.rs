//! The rules of RFC 9112, and of RFC 9110 where it speaks of messages, that a server can be seen to keep: a row each.
//!
//! Left out, as the bytes of one connection do not show them: rules for clients, proxies and caches (the tests of the
//! proxy have those); 9112-9.1 to 9.2, 9.4 and 9.5 (addresses and numbers of connections, and timeouts, which have
//! tests with a clock); 9112-9.7 and 9.8 (TLS); 9112-10 to 12 (media types and advice). The 414 of 9112-3 and content that nobody
//! reads (9112-9.3) are in `requests.rs`, whose bytes are too many for a row.

use std::collections::BTreeSet;

use super::super::{Page, World, content};
use super::{Step, answers, exchange};
use crate::http::server::Settings;
use crate::http::server::tests::pipe::Road;

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Kept,
    Closed,
}

use Fate::{Closed, Kept};

/// Section, rule, request bytes; statuses of all responses; "METHOD target content" of all requests that a handler
/// saw, with `~` behind content that broke off; fate of the connection.
type Row = (&'static str, &'static str, &'static [u8], &'static [u16], &'static [&'static str], Fate);

const ROWS: &[Row] = &[
    ("9112-2.2", "octets are parsed, not characters", b"GET / HTTP/1.1\r\nHost: t\r\nX: \xc3\x28\xff\r\n\r\n", &[200], &["GET / "], Kept),
    ("9112-2.2", "a single LF may end a line", b"GET / HTTP/1.1\nHost: t\n\n", &[200], &["GET / "], Kept),
    ("9112-2.2", "a bare CR makes its element invalid: target", b"GET /a\rb HTTP/1.1\r\nHost: t\r\n\r\n", &[400], &[], Closed),
    ("9112-2.2", "a bare CR makes its element invalid: version", b"GET / HTTP/1.1\rX\r\nHost: t\r\n\r\n", &[400], &[], Closed),
    ("9112-2.2", "a bare CR makes its element invalid: field", b"GET / HTTP/1.1\r\nHost: t\r\nX: a\rb\r\n\r\n", &[400], &[], Closed),
    ("9112-2.2", "at least one empty line before the request line is ignored", b"\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n", &[200], &["GET / "], Kept),
    ("9112-2.2", "so is one behind content", b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\na\r\nGET /b HTTP/1.1\r\nHost: t\r\n\r\n", &[200, 200], &["POST / a", "GET /b "], Kept),
    ("9112-2.2", "a line that begins with whitespace before the first field is rejected", b"GET / HTTP/1.1\r\n X: y\r\nHost: t\r\n\r\n", &[400], &[], Closed),
    ("9112-2.2", "what is no HTTP message gets 400 and a close", b"hello\r\n", &[400], &[], Closed),
    ("9112-2.3", "the version's name is case-sensitive", b"GET / http/1.1\r\nHost: t\r\n\r\n", &[400], &[], Closed),
    ("9112-2.3", "a version has one digit before and behind the dot", b"GET / HTTP/1.10\r\nHost: t\r\n\r\n", &[400], &[], Closed),
    ("9110-2.5", "a higher minor version is processed as the highest known one", b"GET / HTTP/1.9\r\nHost: t\r\n\r\n", &[200], &["GET / "], Kept),
    ("9110-15.6.6", "another major version gets 505", b"GET / HTTP/3.0\r\nHost: t\r\n\r\n", &[505], &[], Closed),
    ("9112-3", "a request line has three parts", b"GET /\r\nHost: t\r\n\r\n", &[400], &[], Closed),
    ("9112-3", "a single space parts them", b"GET  / HTTP/1.1\r\nHost: t\r\n\r\n", &[400], &[], Closed),
    ("9112-3", "and not a tab", b"GET\t/\tHTTP/1.1\r\nHost: t\r\n\r\n", &[400], &[], Closed),
    ("9112-3.1", "a method is a token", b"GE(T / HTTP/1.1\r\nHost: t\r\n\r\n", &[400], &[], Closed),
    ("9112-3.1", "a method is case-sensitive", b"get / HTTP/1.1\r\nHost: t\r\n\r\n", &[200], &["get / "], Kept),
    ("9112-3.2", "no whitespace is in a target", b"GET /a b HTTP/1.1\r\nHost: t\r\n\r\n", &[400], &[], Closed),
    ("9112-3.2", "HTTP/1.1 without Host gets 400", b"GET / HTTP/1.1\r\n\r\n", &[400], &[], Closed),
    ("9112-3.2", "more than one Host gets 400", b"GET / HTTP/1.1\r\nHost: t\r\nHost: t\r\n\r\n", &[400], &[], Closed),
    ("9112-3.2", "an invalid Host gets 400", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", &[400], &[], Closed),
    ("9112-3.2", "an empty Host is valid: the target may have no authority", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", &[200], &["GET / "], Kept),
    ("9112-3.2", "HTTP/1.0 needs no Host", b"GET / HTTP/1.0\r\n\r\n", &[200], &["GET / "], Closed),
    ("9112-3.2.1", "the origin form has a path and a query", b"GET /a?b=c HTTP/1.1\r\nHost: t\r\n\r\n", &[200], &["GET /a?b=c "], Kept),
    ("9112-3.2.2", "the absolute form is accepted, and stands above Host", b"GET http://u/a HTTP/1.1\r\nHost: t\r\n\r\n", &[200], &["GET http://u/a "], Kept),
    ("9110-4.2.4", "a target with a user in it is an error", b"GET http://me@u/a HTTP/1.1\r\nHost: t\r\n\r\n", &[400], &[], Closed),
    ("9110-4.2.1", "a target with an empty host is invalid", b"GET http:///a HTTP/1.1\r\nHost: t\r\n\r\n", &[400], &[], Closed),
    ("9112-3.2.3", "the authority form is only for CONNECT", b"GET t:80 HTTP/1.1\r\nHost: t\r\n\r\n", &[400], &[], Closed),
    ("9110-9.3.6", "CONNECT has a port", b"CONNECT t HTTP/1.1\r\nHost: t\r\n\r\n", &[400], &[], Closed),
    ("9110-9.3.6", "an origin server need not implement CONNECT", b"CONNECT t:80 HTTP/1.1\r\nHost: t\r\n\r\n", &[501], &[], Kept),
    ("9112-3.2.4", "the asterisk form is for OPTIONS", b"OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n", &[204], &[], Kept),
    ("9112-3.2.4", "the asterisk form is only for OPTIONS", b"GET * HTTP/1.1\r\nHost: t\r\n\r\n", &[400], &[], Closed),
    ("9112-5", "the first colon ends a field's name", b"POST / HTTP/1.1\r\nHost: t\r\nX: a:b\r\nContent-Length:2\r\n\r\nab", &[200], &["POST / ab"], Kept),
    ("9112-5", "a line without a colon is no field", b"GET / HTTP/1.1\r\nHost: t\r\nX\r\n\r\n", &[400], &[], Closed),
    ("9112-5.1", "whitespace before the colon gets 400", b"GET / HTTP/1.1\r\nHost: t\r\nX : y\r\n\r\n", &[400], &[], Closed),
    ("9112-5.1", "so does a tab, and before framing", b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length\t: 2\r\n\r\nab", &[400], &[], Closed),
    ("9112-5.1", "whitespace around a value is not part of it", b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: \t 2 \t\r\n\r\nab", &[200], &["POST / ab"], Kept),
    ("9112-5.2", "a folded line gets 400", b"GET / HTTP/1.1\r\nHost: t\r\nX: a\r\n b\r\n\r\n", &[400], &[], Closed),
    ("9110-5.1", "field names are case-insensitive", b"POST / HTTP/1.1\r\nhOsT: t\r\ncOnTeNt-LeNgTh: 2\r\n\r\nab", &[200], &["POST / ab"], Kept),
    ("9110-5.5", "NUL in a value is rejected", b"GET / HTTP/1.1\r\nHost: t\r\nX: a\0b\r\n\r\n", &[400], &[], Closed),
    ("9110-5.6.2", "a field's name is a token", b"GET / HTTP/1.1\r\nHost: t\r\n(X): y\r\n\r\n", &[400], &[], Closed),
    ("9112-6.1", "chunked is understood, in any case", b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: CHUNKED\r\n\r\n2\r\nab\r\n0\r\n\r\n", &[200], &["POST / ab"], Kept),
    ("9112-6.1", "another coding gets 501", b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", &[501], &[], Closed),
    ("9112-6.1", "chunked is not applied twice", b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &[400], &[], Closed),
    ("9112-6.1", "Transfer-Encoding in HTTP/1.0 is faulty framing", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n", &[400], &[], Closed),
    ("9112-6.1", "with both framings the connection closes, whatever the request says", b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n2\r\nab\r\n0\r\n\r\nGET /b HTTP/1.1\r\nHost: t\r\n\r\n", &[200], &["POST / ab"], Closed),
    ("9112-6.3 (4)", "in a request chunked is last, or 400", b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", &[400], &[], Closed),
    ("9112-6.3 (4)", "and chunked it must be", b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip\r\n\r\n", &[400], &[], Closed),
    ("9112-6.3 (5)", "an invalid length gets 400", b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2a\r\n\r\nab", &[400], &[], Closed),
    ("9112-6.3 (5)", "a sign is invalid", b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: +2\r\n\r\nab", &[400], &[], Closed),
    ("9112-6.3 (5)", "lengths that differ get 400", b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab", &[400], &[], Closed),
    ("9112-6.3 (5)", "equal ones may count as one", b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nContent-Length: 2, 2\r\n\r\nab", &[200], &["POST / ab"], Kept),
    ("9110-8.6", "a length that overflows is not taken for another", b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 18446744073709551618\r\n\r\nab", &[400], &[], Closed),
    ("9112-6.3 (6)", "content has its length, whatever it looks like", b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 18\r\n\r\nGET / HTTP/1.1\r\n\r\n", &[200], &["POST / GET / HTTP/1.1\r\n\r\n"], Kept),
    ("9112-6.3 (6)", "content that breaks off is incomplete, and the connection closes", b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nab", &[200], &["POST / ab~"], Kept),
    ("9112-6.3 (7)", "a request without framing has no content", b"POST / HTTP/1.1\r\nHost: t\r\n\r\nGET /b HTTP/1.1\r\nHost: t\r\n\r\n", &[200, 200], &["POST / ", "GET /b "], Kept),
    ("9110-9.3.1", "GET may have content, and it is no request", b"GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc", &[200], &["GET / abc"], Kept),
    ("9112-7.1", "chunk sizes are hexadecimal, in any case, with any zeros", b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n00A\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n", &[200], &["POST / 01234567890123456789"], Kept),
    ("9112-7.1", "a size that overflows is an error", b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000002\r\nab\r\n0\r\n\r\n", &[200], &["POST / ~"], Closed),
    ("9112-7.1", "a size is not empty", b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n;x\r\n", &[200], &["POST / ~"], Closed),
    ("9112-7.1", "nothing but an extension stands behind a size", b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2 2\r\nab\r\n0\r\n\r\n", &[200], &["POST / ~"], Closed),
    ("9112-7.1", "a chunk ends with CRLF", b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n", &[200], &["POST / ab~"], Closed),
    ("9112-7.1", "a bare LF does not end a size", b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2\nab\r\n0\r\n\r\n", &[200], &["POST / ~"], Closed),
    ("9112-7.1.1", "unknown extensions are ignored", b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2 ; a=\"b\";c\r\nab\r\n0;d\r\n\r\n", &[200], &["POST / ab"], Kept),
    ("9112-7.1.2", "trailers are no fields: they frame nothing", b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nContent-Length: 9\r\n\r\nGET /b HTTP/1.1\r\nHost: t\r\n\r\n", &[200, 200], &["POST / ab", "GET /b "], Kept),
    ("9112-8", "a chunked message without its last chunk is incomplete", b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", &[200], &["POST / ab~"], Kept),
    ("9112-8", "a head that breaks off is no request", b"GET / HTTP/1.1\r\nHost: t\r\n", &[], &[], Kept),
    ("9112-9.3", "HTTP/1.1 is persistent", b"GET / HTTP/1.1\r\nHost: t\r\n\r\nGET /b HTTP/1.1\r\nHost: t\r\n\r\n", &[200, 200], &["GET / ", "GET /b "], Kept),
    ("9112-9.3", "HTTP/1.0 is not", b"GET / HTTP/1.0\r\n\r\nGET /b HTTP/1.0\r\n\r\n", &[200], &["GET / "], Closed),
    ("9112-9.3", "HTTP/1.0 with keep-alive is", b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n", &[200, 200], &["GET / ", "GET /b "], Closed),
    ("9112-9.3.2", "pipelined requests are answered in their order", b"HEAD /a HTTP/1.1\r\nHost: t\r\n\r\nPOST /b HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nxGET /c HTTP/1.1\r\nHost: t\r\n\r\n", &[200, 200, 200], &["HEAD /a ", "POST /b x", "GET /c "], Kept),
    ("9112-9.6", "behind close nothing is processed", b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\nGET /b HTTP/1.1\r\nHost: t\r\n\r\n", &[200], &["GET / "], Closed),
    ("9112-9.6", "close counts in a list, on any line, in any case", b"GET / HTTP/1.1\r\nHost: t\r\nConnection: x, CLOSE\r\nConnection: keep-alive\r\n\r\nGET /b HTTP/1.1\r\nHost: t\r\n\r\n", &[200], &["GET / "], Closed),
    ("9112-9.6", "behind a refusal nothing is processed", b"GET / HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\nHost: t\r\n\r\n", &[400], &[], Closed),
    ("9110-7.8", "Upgrade may be ignored", b"GET / HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: x/1\r\n\r\nGET /b HTTP/1.1\r\nHost: t\r\n\r\n", &[200, 200], &["GET / ", "GET /b "], Kept),
    ("9110-10.1.1", "a waiting client gets 100", b"POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n", &[100, 200], &["POST / ~"], Kept),
    ("9110-10.1.1", "HTTP/1.0 gets none", b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab", &[200], &["POST / ab"], Closed),
    ("9110-10.1.1", "without content there is nothing to wait for", b"GET / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n\r\n", &[200], &["GET / "], Kept),
    ("9110-10.1.1", "another expectation gets 417", b"POST / HTTP/1.1\r\nHost: t\r\nExpect: x=y\r\nContent-Length: 0\r\n\r\n", &[417], &[], Closed),
];

/// Checks that each row's bytes, sent as `pieces` of them, have its outcome.
fn check(pieces: impl Fn(&'static [u8]) -> Vec<&'static [u8]>) {
    let mut wrong = Vec::new();
    for (section, rule, bytes, statuses, saw, fate) in ROWS {
        let (written, readings, is_kept) = exchange(&pieces(bytes));
        let is_head = |mark: Option<usize>| {
            mark.is_some_and(|mark: usize| readings.lock().unwrap()[mark].method == http::Method::HEAD)
        };
        let said = answers::read(&written, is_head).unwrap();
        let said: Vec<u16> = said.iter().map(|said| said.status).collect();
        let seen: Vec<String> = super::Outcome::new(&written, &readings, is_kept)
            .steps
            .into_iter()
            .filter_map(|step| match step {
                Step::Read(reading) => Some(format!(
                    "{} {} {}{}",
                    reading.method,
                    reading.target,
                    String::from_utf8_lossy(&reading.content),
                    if reading.is_whole { "" } else { "~" }
                )),
                Step::Answered(_) => None,
            })
            .collect();
        let is = (&said[..], &seen[..], if is_kept { Kept } else { Closed });
        let expected: Vec<String> = saw.iter().map(|&text| text.to_owned()).collect();
        if is != (*statuses, &expected[..], *fate) {
            wrong.push(format!("{section}, {rule}\n  expected {statuses:?} {saw:?} {fate:?}\n  is {is:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), ROWS.len(), wrong.join("\n"));
}

#[test]
fn each_rule_is_kept() {
    let rules: BTreeSet<_> = ROWS.iter().map(|row| (row.0, row.1)).collect();
    assert_eq!(rules.len(), ROWS.len(), "a rule is there twice");
    check(|bytes| vec![bytes]);
}

#[test]
fn each_rule_is_kept_byte_by_byte() {
    check(|bytes| bytes.chunks(1).collect());
}

/// What is sent of a page of ten bytes: section, rule, request, whether the source knows its length, its status;
/// lines that the head has and words that it has not, and what follows the head.
type Sent = (
    &'static str,
    &'static str,
    &'static str,
    bool,
    u16,
    &'static [&'static str],
    &'static [&'static str],
    &'static [u8],
);

#[test]
fn responses_are_framed_by_the_rules_of_their_request() {
    let ten = content(10);
    let chunked = [&b"a\r\n"[..], &ten, b"\r\n0\r\n\r\n"].concat();
    let (ten, chunked): (&'static [u8], &'static [u8]) = (ten.to_vec().leak(), chunked.leak());
    let rows: &[Sent] = &[
        (
            "9112-6.2",
            "a length that is known is sent",
            "GET / HTTP/1.1",
            true,
            200,
            &["content-length: 10"],
            &["transfer-encoding"],
            ten,
        ),
        (
            "9112-6.1",
            "one that is not known takes chunks, and no length beside them",
            "GET / HTTP/1.1",
            false,
            200,
            &["transfer-encoding: chunked"],
            &["content-length"],
            chunked,
        ),
        (
            "9112-6.1",
            "HTTP/1.0 gets no Transfer-Encoding",
            "GET / HTTP/1.0",
            false,
            200,
            &["connection: close"],
            &["transfer-encoding", "content-length"],
            ten,
        ),
        (
            "9112-6.3 (1)",
            "HEAD gets no content",
            "HEAD / HTTP/1.1",
            true,
            200,
            &["content-length: 10"],
            &["transfer-encoding"],
            b"",
        ),
        (
            "9112-6.3 (1)",
            "204 has no content, and neither framing",
            "GET / HTTP/1.1",
            true,
            204,
            &[],
            &["transfer-encoding", "content-length"],
            b"",
        ),
        (
            "9112-6.3 (1)",
            "304 has no content",
            "GET / HTTP/1.1",
            false,
            304,
            &[],
            &["transfer-encoding"],
            b"",
        ),
        (
            "9112-9.6",
            "a connection that ends says so",
            "GET / HTTP/1.1\r\nConnection: close",
            true,
            200,
            &["connection: close"],
            &[],
            ten,
        ),
        (
            "9112-2.3",
            "HTTP/1.0 is answered by a message that it can read",
            "GET / HTTP/1.0",
            true,
            200,
            &["http/1.0 200 ok", "connection: close"],
            &[],
            ten,
        ),
        (
            "9112-4",
            "a space is behind the status also if no reason is",
            "GET / HTTP/1.1",
            true,
            299,
            &["http/1.1 299 \r\n"],
            &[],
            ten,
        ),
        (
            "9110-6.6.1",
            "every response has a date",
            "GET / HTTP/1.1",
            true,
            404,
            &["http/1.1 404 not found", "date: "],
            &[],
            ten,
        ),
    ];
    for (section, rule, request, sized, status, has, lacks, behind) in rows {
        let mut world =
            World::of(Settings::default(), Page { status: *status, bytes: content(10), sized: *sized }, 0);
        let client = world.connect(Road::WIDE);
        client.send(format!("{request}\r\nHost: t\r\n\r\n").as_bytes());
        world.settle();
        let came = client.read(usize::MAX);
        let end = came.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
        let head = format!("{}\r\n", String::from_utf8_lossy(&came[..end]).to_ascii_lowercase());
        for line in *has {
            let is_there = head.starts_with(line) || head.contains(&format!("\r\n{line}"));
            assert!(is_there, "{section}, {rule}: no {line:?} in {head}");
        }
        for word in *lacks {
            assert!(!head.contains(word), "{section}, {rule}: {word:?} in {head}");
        }
        assert_eq!(&came[end + 4..], *behind, "{section}, {rule}");
        world.cut(1);
    }
}
