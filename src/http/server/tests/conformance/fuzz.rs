//! Random input for the request parser, the framing decoder and the connection driver.
//!
//! Each target runs for some cases in every test run; [`for_a_while`] runs them all for as long as it is asked to:
//!
//! ```sh
//! SLUICEGATE_FUZZ_SECONDS=3600 cargo test --lib fuzz::for_a_while -- --ignored --nocapture
//! ```

use std::fmt::Debug;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{TestError, TestRunner};

use super::differences::compare;
use super::fuzz_driver;
use super::streams::{Stream, stream};
use super::{pieces, read_by_ours, unrecorded};
use crate::http1::{
    Framing, FramingFields, Progress, client_keeps_connection, read_request, request_framing,
};

type Checked = Result<(), TestCaseError>;

/// Any bytes, mostly those that mean something in HTTP.
fn bytes(most: usize) -> impl Strategy<Value = Stream> {
    const WORDS: &[&[u8]] = &[
        b"GET ",
        b"POST ",
        b"/",
        b"http://",
        b"*",
        b" HTTP/1.1",
        b" HTTP/1.0",
        b"\r\n",
        b"\n",
        b"\r",
        b"Host: t\r\n",
        b"Content-Length: ",
        b"Transfer-Encoding: ",
        b"chunked",
        b"Connection: ",
        b"close",
        b"Expect: 100-continue\r\n",
        b"0",
        b"5",
        b"ffffffffffffffff",
        b";",
        b",",
        b":",
        b" ",
        b"\t",
        b"\r\n\r\n",
    ];
    let part = prop_oneof![6 => select(WORDS).prop_map(<[u8]>::to_vec), 2 => vec(any::<u8>(), 1..4)];
    vec(part, 0..most).prop_map(|parts| Stream(parts.concat()))
}

/// A head is found at the same place wherever it is cut, and reading it neither panics nor depends on what follows.
fn check_parser(input: &(Stream, Vec<Index>)) -> Checked {
    let (stream, cuts) = input;
    let find = |cuts: &[Index]| {
        let (mut progress, mut len) = (Progress::default(), 0);
        pieces(&stream.0, cuts).into_iter().find_map(|piece| {
            len += piece.len();
            progress.end_of_head(&stream.0[..len])
        })
    };
    let end = find(&[]);
    prop_assert_eq!(find(cuts), end);
    if let Some(end) = end
        && let Ok(head) = read_request(&Bytes::copy_from_slice(&stream.0[..end]))
    {
        prop_assert!(!head.uri.to_string().bytes().any(|byte| byte <= b' ' || byte >= 0x7f));
        let has = FramingFields::of(&head.headers);
        let _ = (request_framing(&head, has), client_keeps_connection(&head, has));
    }
    prop_assert_eq!(read_by_ours(&[&stream.0]), read_by_ours(&pieces(&stream.0, cuts)));
    Ok(())
}

/// Content comes out alike wherever it is cut, also before an error; nothing behind its end is taken.
fn check_framing(input: &(u8, Stream, Vec<Index>)) -> Checked {
    let (kind, stream, cuts) = input;
    let read = |cuts: &[Index]| -> Result<_, TestCaseError> {
        let mut framing = match kind {
            0 => Framing::Length(stream.0.len() as u64 / 2),
            1 => Framing::UntilClose,
            _ => Framing::chunked(),
        };
        let (mut content, mut taken) = (Vec::new(), 0);
        for mut piece in pieces(&stream.0, cuts) {
            while !piece.is_empty() && !framing.is_whole() {
                let Ok(next) = framing.take(piece) else { return Ok((content, None, false)) };
                let len = next.framing + next.content;
                prop_assert!(len > 0 && len <= piece.len(), "{next:?} of {}", piece.len());
                content.extend_from_slice(&piece[next.framing..len]);
                taken += len;
                piece = &piece[len..];
            }
        }
        Ok((content, Some(taken), framing.end()))
    };
    prop_assert_eq!(read(cuts)?, read(&[])?);
    Ok(())
}

fn cuts() -> impl Strategy<Value = Vec<Index>> {
    vec(any::<Index>(), 0..12)
}

proptest! {
    #![proptest_config(unrecorded())]

    #[test]
    fn any_bytes_are_parsed_alike_wherever_they_are_cut(input in (bytes(30), cuts())) {
        check_parser(&input)?;
    }

    #[test]
    fn any_content_is_decoded_alike_wherever_it_is_cut(input in (0..6u8, bytes(20), cuts())) {
        check_framing(&input)?;
    }

    #[test]
    fn a_connection_keeps_its_promises_whatever_happens(scene in fuzz_driver::scene()) {
        fuzz_driver::check(&scene)?;
    }
}

/// Runs new random cases until `deadline`; returns their number.
fn run_until<S: Strategy>(deadline: Instant, strategy: &S, check: impl Fn(&S::Value) -> Checked) -> u64
where
    S::Value: Debug + Clone,
{
    const CASES: u32 = 100;
    let mut cases = 0;
    while Instant::now() < deadline {
        let mut runner = TestRunner::new(ProptestConfig { cases: CASES, ..unrecorded() });
        match runner.run(strategy, |input| check(&input)) {
            Ok(()) => cases += u64::from(CASES),
            Err(TestError::Fail(reason, input)) => panic!("{reason}\n{input:?}"),
            Err(error) => panic!("{error}"),
        }
    }
    cases
}

#[test]
#[ignore = "runs for SLUICEGATE_FUZZ_SECONDS, a minute by default"]
fn for_a_while() {
    let seconds = std::env::var("SLUICEGATE_FUZZ_SECONDS").map_or(60, |text| text.parse().unwrap());
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut cases = [0; 4];
    // In turns, so that a long run shows a fault of any of them early.
    while Instant::now() < end {
        let deadline = || end.min(Instant::now() + Duration::from_secs(5));
        cases[0] += run_until(deadline(), &(bytes(60), cuts()), check_parser);
        cases[1] += run_until(deadline(), &(0..6u8, bytes(60), cuts()), check_framing);
        cases[2] += run_until(deadline(), &fuzz_driver::scene(), fuzz_driver::check);
        cases[3] +=
            run_until(deadline(), &(stream(), cuts()), |(stream, cuts)| compare(&stream.0, cuts).map(drop));
    }
    let [parser, framing, driver, hyper] = cases;
    println!("cases: parser {parser}, framing {framing}, driver {driver}, beside hyper {hyper}");
}
