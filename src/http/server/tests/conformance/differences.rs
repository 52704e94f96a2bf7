//! This server beside hyper's: the same bytes are read alike, or as the table here says.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::corpus;
use super::hyper_server::read_by_hyper;
use super::streams::stream;
use super::{Outcome, Reading, Step, pieces, read_by_ours, unrecorded};
use crate::http::request_path::RequestPath;
use crate::http::route::Route;
use crate::http::routing::{Found, Routes};

/// How this server differs from hyper at one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Difference {
    /// It answers with this status what hyper passes on.
    Refused(u16),
    /// It reads the content up to a place that hyper passes.
    Broken,
    /// It passes on what hyper refuses.
    Accepted,
    /// It closes the connection after it, where hyper keeps it.
    Closes,
    /// It does something else.
    Other,
}

/// A difference that is meant.
struct Rule {
    difference: Difference,
    section: &'static str,
    reason: &'static str,
    /// Whether it holds for this request, as the one that passed it on read it; with all bytes of the connection.
    holds: fn(&Reading, &[u8]) -> bool,
    /// Bytes for which it does.
    sample: fn() -> Vec<u8>,
}

const RULES: &[Rule] = &[
    Rule {
        difference: Difference::Refused(400),
        section: "RFC 9112, section 3.2",
        reason: "a request of HTTP/1.1 without Host, or one of any version with several or an invalid one, must be refused",
        holds: |reading, _| {
            let hosts = reading.fields.get("host");
            let is_host = |text: &[u8]| {
                let mut parts = text.splitn(2, |byte| *byte == b':');
                let name = parts.next().unwrap_or_default();
                let is_name = name.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(byte));
                is_name && parts.next().unwrap_or_default().iter().all(u8::is_ascii_digit)
            };
            hosts.is_none_or(|hosts| hosts.len() > 1 || !is_host(&hosts[0]))
        },
        sample: || b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    },
    Rule {
        difference: Difference::Closes,
        section: "RFC 9110, section 10.1.1",
        reason: "content that the client holds back may come or not behind an answer that did not wait for it",
        holds: |reading, _| reading.fields.contains_key("expect"),
        sample: || {
            b"POST /.. HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na".to_vec()
        },
    },
    Rule {
        difference: Difference::Refused(400),
        section: "RFC 9112, sections 3.2.2 to 3.2.4",
        reason: "only CONNECT has an authority for its target and only OPTIONS a star; a URL is one of HTTP",
        holds: |reading, _| !reading.target.starts_with('/'),
        sample: || b"GET h:80 HTTP/1.1\r\nHost: t\r\n\r\n".to_vec(),
    },
    Rule {
        difference: Difference::Refused(400),
        section: "RFC 9110, section 5.5",
        reason: "a field that frames the message is not ASCII: the next hop may read it otherwise",
        holds: |reading, _| {
            let is_foreign =
                |value: &bytes::Bytes| !value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
            crate::http1::framing_fields().any(|name| {
                reading.fields.get(name.as_str()).is_some_and(|values| values.iter().any(is_foreign))
            })
        },
        sample: || b"GET / HTTP/1.1\r\nHost: t\r\nConnection: \xff\r\n\r\n".to_vec(),
    },
    Rule {
        difference: Difference::Refused(501),
        section: "RFC 9112, section 6.1",
        reason: "a transfer coding that is not decoded here is refused, not passed on coded",
        holds: |reading, _| codings(reading).len() > 1,
        sample: || {
            b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n".to_vec()
        },
    },
    Rule {
        difference: Difference::Refused(400),
        section: "RFC 9112, section 6.1",
        reason: "chunked must not be applied twice",
        holds: |reading, _| codings(reading).iter().filter(|coding| *coding == "chunked").count() > 1,
        sample: || {
            b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n".to_vec()
        },
    },
    Rule {
        difference: Difference::Refused(400),
        section: "RFC 9112, section 6.3",
        reason: "an invalid Content-Length is refused beside Transfer-Encoding too",
        holds: |reading, bytes| !codings(reading).is_empty() && has_length(bytes),
        sample: || {
            let fields = "Transfer-Encoding: chunked\r\nContent-Length: x";
            format!("POST / HTTP/1.1\r\nHost: t\r\n{fields}\r\n\r\n0\r\n\r\n").into_bytes()
        },
    },
    Rule {
        difference: Difference::Refused(417),
        section: "RFC 9110, section 10.1.1",
        reason: "an expectation other than 100-continue cannot be met",
        holds: |reading, _| reading.fields.contains_key("expect"),
        sample: || b"GET / HTTP/1.1\r\nHost: t\r\nExpect: x\r\n\r\n".to_vec(),
    },
    Rule {
        difference: Difference::Refused(400),
        section: "RFC 9112, section 2.2",
        reason: "at least one empty line before a request is to be ignored; not any number of them",
        holds: |_, bytes| bytes.windows(65).any(|run| run.iter().all(|byte| b"\r\n".contains(byte))),
        sample: || ["\r\n".repeat(33), "GET / HTTP/1.1\r\nHost: t\r\n\r\n".to_owned()].concat().into_bytes(),
    },
    Rule {
        difference: Difference::Refused(431),
        section: "RFC 9110, section 5.4",
        reason: "a head has 32 KiB at most; hyper's default is over 400 KiB",
        holds: |_, bytes| bytes.len() > crate::http::MAX_HEAD,
        sample: || format!("GET / HTTP/1.1\r\nHost: t\r\nX: {}\r\n\r\n", "x".repeat(32 * 1024)).into_bytes(),
    },
    Rule {
        difference: Difference::Refused(414),
        section: "RFC 9112, section 3",
        reason: "a request line has 32 KiB at most, like the head that it is in",
        holds: |reading, _| reading.target.len() > 32_000,
        sample: || format!("GET /{} HTTP/1.1\r\nHost: t\r\n\r\n", "x".repeat(50 * 1024)).into_bytes(),
    },
    Rule {
        difference: Difference::Broken,
        section: "RFC 9112, section 7.1.1",
        reason: "the extensions of a chunk have 4 KiB at most; hyper allows 16 KiB",
        holds: |reading, bytes| !codings(reading).is_empty() && bytes.len() > 4096,
        sample: || chunked(&format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(5000))),
    },
    Rule {
        difference: Difference::Broken,
        section: "RFC 9112, sections 2.2 and 7.1",
        reason: "a bare line feed ends no line of a trailer section: another reader may take it for no end",
        holds: |reading, bytes| {
            let is_bare = |pair: &[u8]| pair[1] == b'\n' && pair[0] != b'\r';
            !codings(reading).is_empty() && bytes.windows(2).any(is_bare)
        },
        sample: || chunked("0\r\nA: b\n\r\n\r\n"),
    },
    Rule {
        difference: Difference::Accepted,
        section: "RFC 9110, section 5.6.1",
        reason: "empty members of a list must be ignored",
        holds: |_, bytes| {
            bytes.to_ascii_lowercase().windows(8).any(|text| text == b"chunked," || text == b",chunked")
        },
        sample: || b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n".to_vec(),
    },
    Rule {
        difference: Difference::Accepted,
        section: "RFC 9110, section 2.5",
        reason: "a later minor version is processed as the highest known one",
        holds: |_, bytes| {
            bytes.windows(8).any(|text| text.starts_with(b"HTTP/1.") && matches!(text, [.., b'2'..=b'9']))
        },
        sample: || b"GET / HTTP/1.2\r\nHost: t\r\n\r\n".to_vec(),
    },
    Rule {
        difference: Difference::Accepted,
        section: "RFC 9112, section 6.3",
        reason: "a list of equal lengths is one length",
        holds: |_, bytes| has_length(bytes),
        sample: || b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3, 3\r\n\r\nabc".to_vec(),
    },
    Rule {
        difference: Difference::Accepted,
        section: "RFC 3986, section 2.1",
        reason: "characters that browsers send and no URI may have are percent-encoded",
        // hyper lets `"` pass in a path, not in a query.
        holds: |_, bytes| bytes.iter().any(|byte| matches!(byte, b'"' | b'<' | b'>' | b'`' | 0x80..)),
        sample: || b"GET /a?\"b HTTP/1.1\r\nHost: t\r\n\r\n".to_vec(),
    },
];

fn codings(reading: &Reading) -> Vec<String> {
    let values = reading.fields.get("transfer-encoding").into_iter().flatten();
    let text =
        values.map(|value| String::from_utf8_lossy(value).to_ascii_lowercase()).collect::<Vec<_>>().join(",");
    text.split(',').map(|coding| coding.trim().to_owned()).filter(|coding| !coding.is_empty()).collect()
}

fn has_length(bytes: &[u8]) -> bool {
    bytes.to_ascii_lowercase().windows(14).any(|name| name == b"content-length")
}

fn chunked(content: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{content}").into_bytes()
}

/// The target that a handler on `/` sees of one that hyper passes on; `None` if none sees it, because the target is no
/// path or leads above the root.
fn routed(target: &str) -> Option<String> {
    // What a URI may not have and hyper lets pass, all of it or in a query.
    let is_foreign = |byte: &u8| matches!(byte, b'"' | b'<' | b'>' | b'`' | 0x80..);
    let encode = |byte: u8| if is_foreign(&byte) { format!("%{byte:02X}") } else { char::from(byte).into() };
    let encoded: String = target.bytes().map(encode).collect();
    let handler = super::Noting(super::Readings::default());
    let routes = Routes::new(vec![Route::handler("/", handler)], |_| 0);
    let asked: http::Uri = encoded.parse().ok()?;
    match routes.find(&RequestPath::new(asked.path()), &asked, &http::HeaderMap::new()) {
        Found::Route(_, target) => Some(target.rewritten.unwrap_or(asked).to_string()),
        _ => None,
    }
}

/// Finds the first request that is not read alike: how it differs, and as whoever passed it on read it.
fn first_difference(hyper: &Outcome, ours: &Outcome) -> Option<(Difference, Reading)> {
    let mut last = None;
    for at in 0.. {
        match (hyper.steps.get(at), ours.steps.get(at)) {
            (Some(Step::Read(theirs)), Some(Step::Read(our))) => {
                let expected =
                    Reading { target: routed(&theirs.target).unwrap_or_default(), ..theirs.clone() };
                if expected != *our {
                    let is_cut = !our.is_whole && our.is_start_of(&expected);
                    return Some((
                        if is_cut { Difference::Broken } else { Difference::Other },
                        theirs.clone(),
                    ));
                }
                last = Some(theirs);
            }
            (Some(Step::Read(theirs)), Some(Step::Answered(status))) => {
                let is_last = at + 1 == ours.steps.len() && !ours.is_kept;
                // Content of which some is missing keeps hyper open, whatever follows.
                let is_alone = is_last && theirs.is_whole && (hyper.is_kept || at + 1 < hyper.steps.len());
                // No handler sees what has no route, and then the connection goes on.
                let is_routed = routed(&theirs.target).is_some();
                if is_routed || is_alone {
                    let closes = !is_routed && theirs.fields.contains_key("expect");
                    let difference = if closes { Difference::Closes } else { Difference::Refused(*status) };
                    return Some((difference, theirs.clone()));
                }
                last = None;
            }
            (Some(Step::Read(theirs)), None) => return Some((Difference::Other, theirs.clone())),
            (_, Some(Step::Read(our))) => return Some((Difference::Accepted, our.clone())),
            // Neither passes on anything more.
            (_, Some(Step::Answered(_))) | (Some(Step::Answered(_)), None) => return None,
            (None, None) => break,
        }
    }
    let difference = match (hyper.is_kept, ours.is_kept, last?.is_whole) {
        (true, false, false) => Difference::Broken,
        (true, false, true) => Difference::Closes,
        (false, true, _) => Difference::Other,
        _ => return None,
    };
    last.map(|reading| (difference, reading.clone()))
}

impl Reading {
    /// Whether this is `other`, of which content and trailers are missing.
    fn is_start_of(&self, other: &Self) -> bool {
        (&self.method, &self.target, self.version, &self.fields)
            == (&other.method, &other.target, other.version, &other.fields)
            && other.content.starts_with(&self.content)
    }
}

/// Reads `bytes` by both servers; returns the number of the rule by which they differ, if they do.
///
/// # Errors
/// They differ, and by no rule.
pub(super) fn compare(bytes: &[u8], cuts: &[Index]) -> Result<Option<usize>, TestCaseError> {
    let pieces = pieces(bytes, cuts);
    let (hyper, ours) = (read_by_hyper(&pieces), read_by_ours(&pieces));
    // A CONNECT that is answered is not HTTP any more behind that.
    let connects =
        |step: &Step| matches!(step, Step::Read(reading) if reading.method == http::Method::CONNECT);
    if hyper.steps.iter().any(connects) {
        return Ok(None);
    }
    let Some((difference, reading)) = first_difference(&hyper, &ours) else { return Ok(None) };
    let is_it = |rule: &Rule| rule.difference == difference && (rule.holds)(&reading, bytes);
    RULES.iter().position(is_it).map(Some).ok_or_else(|| {
        let shown = String::from_utf8_lossy(bytes).escape_debug().to_string();
        TestCaseError::fail(format!("{difference:?}\n{shown}\nhyper: {hyper:#?}\nours: {ours:#?}"))
    })
}

#[test]
fn each_documented_difference_from_hyper_is_one() {
    let mut wrong = Vec::new();
    for (number, rule) in RULES.iter().enumerate() {
        let found = compare(&(rule.sample)(), &[]);
        if !matches!(found, Ok(Some(found)) if found == number) {
            wrong.push(format!("{number}: {}, {}: {found:?}", rule.section, rule.reason));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn all_requests_of_other_tests_are_read_as_hyper_reads_them() {
    let mut wrong = Vec::new();
    for bytes in corpus::all() {
        if let Err(error) = compare(&bytes, &[]) {
            wrong.push(error.to_string());
        }
        // Each byte alone, where that is not too many.
        if bytes.len() < 300 {
            let (whole, alone) =
                (read_by_ours(&[&bytes]), read_by_ours(&bytes.chunks(1).collect::<Vec<_>>()));
            assert_eq!(whole, alone, "{}", String::from_utf8_lossy(&bytes));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

proptest! {
    #![proptest_config(unrecorded())]

    #[test]
    fn random_streams_are_read_as_hyper_reads_them(stream in stream(), cuts in vec(any::<Index>(), 0..6)) {
        compare(&stream.0, &cuts)?;
    }

    #[test]
    fn a_stream_is_read_alike_wherever_it_is_cut(stream in stream(), cuts in vec(any::<Index>(), 1..12)) {
        prop_assert_eq!(read_by_ours(&[&stream.0]), read_by_ours(&pieces(&stream.0, &cuts)));
    }
}
