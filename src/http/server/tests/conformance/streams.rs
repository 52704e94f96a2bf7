//! Random bytes that a client may send: requests, whole or damaged.

use std::fmt;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// One valid request, mostly: its line, fields and content vary in all that RFC 9112 allows.
pub(super) fn request() -> impl Strategy<Value = Vec<u8>> {
    let method = prop_oneof![
        4 => Just("GET"), 4 => Just("POST"),
        1 => select(&["HEAD", "PUT", "DELETE", "OPTIONS", "X-Y!", "CONNECT"][..]),
    ];
    let target = prop_oneof![
        4 => "/[a-z0-9]{0,6}([?][a-z=&]{0,6})?",
        1 => select(&[
            "/%41%2e?%", "//a", "/a/../b", "/./a//", "http://h/x", "HTTPS://h:1", "*", "h:80", "/a#b", "/..",
            "/a;b=c,d", "/{x}", "/\"q\"", "/a%2Fb", "/caf\u{e9}", "/[1]|^\\",
        ][..]).prop_map(str::to_owned),
    ];
    let version = prop_oneof![12 => Just("1.1"), 4 => Just("1.0"), 1 => Just("1.2")];
    let feed = prop_oneof![8 => Just("\r\n"), 1 => Just("\n")];
    let host = prop_oneof![16 => Just(Some("Host: t")), 1 => Just(None), 1 => Just(Some("Host: a b"))];
    (method, target, version, feed, 0..3usize, host, vec(field(), 0..4), content()).prop_map(
        |(method, target, version, feed, empty, host, fields, (framing, content))| {
            let mut lines = vec![format!("{method} {target} HTTP/{version}")];
            lines.extend(host.map(str::to_owned));
            lines.extend(fields);
            lines.extend(framing);
            let head = format!("{}{}{feed}{feed}", feed.repeat(empty), lines.join(feed));
            [head.as_bytes(), &content].concat()
        },
    )
}

fn field() -> impl Strategy<Value = String> {
    let value = "[!-~]([ -~\t]{0,10}[!-~])?";
    let known = select(
        &[
            "Connection: close",
            "Connection: keep-alive",
            "connection: Keep-Alive, x",
            "Connection: x , CLOSE",
            "Connection: upgrade",
            "Upgrade: websocket",
            "Expect: 100-continue",
            "expect: 100-Continue",
            "Expect: something",
            "TE: trailers",
            "Trailer: x-sum",
            "Accept-Encoding: gzip",
            "Keep-Alive: timeout=5",
            "X: \u{e9}",
            "X:",
        ][..],
    );
    prop_oneof![
        2 => ("[a-zA-Z!#$%&'*+.^_`|~0-9-]{1,8}", "[ \t]{0,2}", value, "[ \t]{0,2}")
            .prop_map(|(name, before, value, after)| format!("x{name}:{before}{value}{after}")),
        3 => known.prop_map(str::to_owned),
    ]
}

/// Fields that frame content in ways that servers disagree about.
const ODD_FRAMING: &[&[&str]] = &[
    &["Content-Length: 3", "Content-Length: 3"],
    &["Content-Length: 3, 3"],
    &["Content-Length: +3"],
    &["Content-Length: 3", "Transfer-Encoding: chunked"],
    &["Transfer-Encoding: chunked", "Content-Length: 3"],
    &["Transfer-Encoding: gzip, chunked"],
    &["Transfer-Encoding: chunked, identity"],
    &["Transfer-Encoding: gzip"],
    &["Content-Length: 03"],
];

/// The fields that frame content, and its bytes.
fn content() -> impl Strategy<Value = (Vec<String>, Vec<u8>)> {
    let bytes = || vec(prop_oneof![any::<u8>(), select(&b"\r\n0;1aG "[..])], 0..40);
    let sized = bytes().prop_map(|content| (vec![format!("Content-Length: {}", content.len())], content));
    let chunked = (vec(chunk(), 0..4), select(&["", "X-Sum: 1\r\n", "a: b\r\nA:c\r\n"][..]), any::<bool>());
    let chunked = chunked.prop_map(|(chunks, trailers, is_upper)| {
        let name = if is_upper { "Transfer-Encoding: Chunked" } else { "transfer-encoding:chunked" };
        let content = [&chunks.concat()[..], b"0\r\n", trailers.as_bytes(), b"\r\n"].concat();
        (vec![name.to_owned()], content)
    });
    let odd = select(ODD_FRAMING).prop_map(|lines| {
        let is_chunked = lines.iter().any(|line| line.ends_with("chunked"));
        let content = if is_chunked { &b"3\r\nabc\r\n0\r\n\r\n"[..] } else { b"abc" };
        (lines.iter().map(|&line| line.to_owned()).collect(), content.to_vec())
    });
    prop_oneof![4 => Just((Vec::new(), Vec::new())), 3 => sized, 4 => chunked, 1 => odd]
}

fn chunk() -> impl Strategy<Value = Vec<u8>> {
    let content = vec(prop_oneof![any::<u8>(), select(&b"\r\n0;1a"[..])], 1..20);
    let extension =
        prop_oneof![4 => Just(String::new()), 1 => "[ \t]{0,2}(;[a-z]{1,4}(=[a-z\"]{0,4})?){0,2}"];
    (content, 0..3usize, extension).prop_map(|(content, zeros, extension)| {
        let line = format!("{}{:x}{extension}\r\n", "0".repeat(zeros), content.len());
        [line.as_bytes(), &content, b"\r\n"].concat()
    })
}

/// What is done to valid bytes.
#[derive(Clone, Debug)]
pub(super) enum Damage {
    Replace(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    Cut(Index),
}

/// Line ends, blanks and fields where they should not be.
const INSERTED: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b"\r\n\r\n",
    b"\n\n",
    b"\r\r\n",
    b": ",
    b"\r\n ",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Connection: close\r\n",
    b"Host: u\r\n",
    b"0\r\n\r\n",
    b"5;x\n",
    b"0x1\r\n",
    b"HTTP/1.1",
    b"GET / ",
    b"\xef\xbb\xbf",
];

/// Damages of the kinds that have confused servers.
pub(super) fn damage() -> impl Strategy<Value = Damage> {
    let byte = prop_oneof![any::<u8>(), select(&b"\r\n\t :;,0\0\x7f\x80\xff/"[..])];
    prop_oneof![
        3 => (any::<Index>(), byte).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        4 => (any::<Index>(), select(INSERTED)).prop_map(|(at, text)| Damage::Insert(at, text.to_vec())),
        2 => (any::<Index>(), 1..6usize).prop_map(|(at, len)| Damage::Remove(at, len)),
        1 => (any::<Index>(), 1..40usize).prop_map(|(at, len)| Damage::Repeat(at, len)),
        1 => any::<Index>().prop_map(Damage::Cut),
    ]
}

impl Damage {
    pub(super) fn apply(&self, bytes: &mut Vec<u8>) {
        let len = bytes.len();
        match self {
            Self::Replace(at, byte) if len > 0 => bytes[at.index(len)] = *byte,
            Self::Insert(at, text) => {
                let at = at.index(len + 1);
                bytes.splice(at..at, text.iter().copied());
            }
            Self::Remove(at, count) => {
                let at = at.index(len + 1);
                bytes.drain(at..(at + count).min(len));
            }
            Self::Repeat(at, count) => {
                let at = at.index(len + 1);
                let part = bytes[at..(at + count).min(len)].to_vec();
                bytes.splice(at..at, part);
            }
            Self::Cut(at) => bytes.truncate(at.index(len + 1)),
            Self::Replace(..) => {}
        }
    }
}

/// What comes over a connection; shown as a string literal.
#[derive(Clone)]
pub(super) struct Stream(pub(super) Vec<u8>);

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// Requests one after another, with up to three damages.
pub(super) fn stream() -> impl Strategy<Value = Stream> {
    let damages = prop_oneof![1 => Just(Vec::new()), 2 => vec(damage(), 1..4)];
    (vec(request(), 1..4), damages).prop_map(|(requests, damages)| {
        let mut bytes = requests.concat();
        for damage in damages {
            damage.apply(&mut bytes);
        }
        Stream(bytes)
    })
}
