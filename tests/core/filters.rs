//! The filters that change content, as properties: whatever the cuts of the input, the room of the
//! output and the flushes between, the bytes are the right ones and the marks keep their places.

use std::collections::VecDeque;
use std::io::Read;

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, bufread::GzDecoder};
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use sluicegate::brigade::{Brigade, Bucket, SourceError};
use sluicegate::clock::{Clock, Instant, ManualClock};
use sluicegate::filter::{Chain, Filter, Gzip, GzipLevel, RateFilter, Replace, Step};
use sluicegate::limit::{Limit, Rate};

/// Steps `chain` until it is done; gives what came out with the instants it came at.
///
/// Input goes in a bucket at a time as soon as it is wanted; the output has the `rooms` in turn, and
/// the last filter must not exceed them.
fn run(mut chain: Chain, input: Vec<Bucket>, rooms: &[u64]) -> Vec<(Instant, Bucket)> {
    let clock = ManualClock::new();
    let mut input = VecDeque::from(input);
    let mut rooms = rooms.iter().copied().cycle();
    let mut room = rooms.next().unwrap();
    let mut out = Brigade::with_budget(room);
    let mut all = Vec::new();
    loop {
        match chain.step(clock.now(), &mut out).unwrap() {
            Step::Output => {
                assert!(out.bytes() <= room, "{} bytes in a room of {room}", out.bytes());
                while let Some(bucket) = out.pop() {
                    all.push((clock.now(), bucket));
                }
                room = rooms.next().unwrap();
                out.set_budget(room);
            }
            Step::NeedInput => chain.input().push(input.pop_front().expect("input was given to its end")),
            Step::Sleep(_) if chain.wants_input() && !input.is_empty() => {
                chain.input().extend(input.pop_front());
            }
            Step::Sleep(due) => clock.set(due),
            Step::Read(slice) => unreachable!("no file was put in: {slice:?}"),
            Step::Done => return all,
        }
    }
}

fn alone(filter: impl Filter + 'static, input: Vec<Bucket>, rooms: &[u64]) -> Vec<Bucket> {
    run(Chain::new().then(filter), input, rooms).into_iter().map(|(_, bucket)| bucket).collect()
}

/// `content` cut into pieces of the given lengths, in turn, with a flush behind those that say so.
fn cut(content: &[u8], cuts: &[(usize, bool)]) -> Vec<Bucket> {
    let mut rest = Bytes::copy_from_slice(content);
    let mut buckets = Vec::new();
    for (len, flush) in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        buckets.push(Bucket::Data(rest.split_to((*len).min(rest.len()))));
        buckets.extend(flush.then_some(Bucket::Flush));
    }
    buckets.push(Bucket::Eos);
    buckets
}

fn bytes(buckets: &[Bucket]) -> Vec<u8> {
    buckets.iter().cloned().collect::<Brigade>().to_bytes().to_vec()
}

/// Marks with how many bytes of data stand before each.
fn marks(buckets: &[Bucket]) -> Vec<(String, u64)> {
    let mut before = 0;
    let mut marks = Vec::new();
    for bucket in buckets {
        before += bucket.len();
        if bucket.is_mark() {
            marks.push((format!("{bucket:?}"), before));
        }
    }
    marks
}

fn names(buckets: &[Bucket]) -> Vec<String> {
    marks(buckets).into_iter().map(|(name, _)| name).collect()
}

fn gunzip(coded: &[u8]) -> Vec<u8> {
    let mut decoder = GzDecoder::new(coded);
    let mut plain = Vec::new();
    decoder.read_to_end(&mut plain).unwrap();
    assert!(decoder.into_inner().is_empty(), "nothing behind the one member");
    plain
}

/// Decodes what came so far, as a reader that waits for more does.
fn gunzip_begun(coded: &[u8]) -> Vec<u8> {
    let mut decoder = Decompress::new_gzip(15);
    let mut plain = Vec::with_capacity(1 << 20);
    if !coded.is_empty() {
        decoder.decompress_vec(coded, &mut plain, FlushDecompress::Sync).unwrap();
    }
    plain
}

fn data(text: &'static str) -> Bucket {
    Bucket::Data(Bytes::from_static(text.as_bytes()))
}

fn cuts(longest: usize) -> impl Strategy<Value = Vec<(usize, bool)>> {
    prop::collection::vec((1..=longest, prop::bool::weighted(0.2)), 1..12)
}

fn rooms() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(prop_oneof![Just(1), 1u64..64, 1u64..=65_536], 1..6)
}

/// Bytes with repetitions in them, so that a coder has something to do.
fn content() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec((any::<u8>(), 1usize..60), 0..120)
        .prop_map(|runs| runs.into_iter().flat_map(|(byte, n)| std::iter::repeat_n(byte, n)).collect())
}

proptest! {
    #[test]
    fn gzip_decodes_to_what_went_in(content in content(), cuts in cuts(900), rooms in rooms(), level in 1u8..=9) {
        let input = cut(&content, &cuts);
        let flushes = marks(&input);
        let out = alone(Gzip::new(GzipLevel::new(level).unwrap()), input, &rooms);
        let coded = bytes(&out);
        prop_assert_eq!(gunzip(&coded), &content[..]);
        // Each mark is still there, and what came before it can be read when it passes.
        prop_assert_eq!(names(&out).len(), flushes.len());
        for ((name, plain), (passed, before)) in flushes.into_iter().zip(marks(&out)) {
            prop_assert_eq!(name, passed);
            prop_assert_eq!(gunzip_begun(&coded[..before as usize]), &content[..plain as usize]);
        }
    }

    #[test]
    fn replace_does_what_str_replace_does(
        text in "[ab]{0,300}|[a-c]{0,3000}", from in "[ab]{1,6}|a{1,9}", to in "[ab]{0,8}|x{600,700}",
        cuts in cuts(40), rooms in rooms(),
    ) {
        let input = cut(text.as_bytes(), &cuts);
        let flushes = marks(&input);
        let out = alone(Replace::new(from.clone(), to.clone()).unwrap(), input, &rooms);
        let replaced = bytes(&out);
        prop_assert_eq!(std::str::from_utf8(&replaced).unwrap(), text.replace(&from, &to));
        prop_assert_eq!(names(&out).len(), flushes.len());
        for ((name, plain), (passed, before)) in flushes.into_iter().zip(marks(&out)) {
            prop_assert_eq!(name, passed);
            // All that is decided is out: what is held is a beginning of `from`, shorter than it.
            let (seen, gone) = (&text[..plain as usize], &replaced[..before as usize]);
            let is_decided = (0..from.len().min(seen.len() + 1)).any(|held| {
                let (decided, tail) = seen.split_at(seen.len() - held);
                from.starts_with(tail) && decided.replace(&from, &to).as_bytes() == gone
            });
            prop_assert!(is_decided, "{:?} of {:?}", gone, seen);
        }
    }

    #[test]
    fn a_chain_of_all_gives_the_same_however_it_is_cut(
        text in "[a-d]{0,4000}", cuts in cuts(700), rooms in rooms(),
    ) {
        let input = cut(text.as_bytes(), &cuts).into_iter().filter(|bucket| !matches!(bucket, Bucket::Flush));
        let chain = Chain::new()
            .then(Replace::new("ab", "secret").unwrap())
            .then(Gzip::new(GzipLevel::default()))
            .then(RateFilter::new(Limit::new(Rate::or_unlimited(500))));
        let out = run(chain, input.collect(), &rooms);
        let (instants, out): (Vec<_>, Vec<_>) = out.into_iter().unzip();
        let coded = bytes(&out);
        prop_assert_eq!(String::from_utf8(gunzip(&coded)).unwrap(), text.replace("ab", "secret"));
        // Coded bytes are paced: a full chunk of 100 bytes each 200 ms, the remainder with the last.
        let chunks_before_the_last = (coded.len() as u64 / 100).saturating_sub(1);
        prop_assert_eq!(*instants.last().unwrap(), Instant::from_millis(200 * chunks_before_the_last));
    }
}

#[test]
fn bytes_before_a_flush_are_decodable_at_once() {
    let mut chain = Chain::new().then(Gzip::new(GzipLevel::default()));
    let mut out = Brigade::new();
    let mut coded = Vec::new();
    for (event, so_far) in [("id: 1\n\n", "id: 1\n\n"), ("id: 2\n\n", "id: 1\n\nid: 2\n\n")] {
        chain.input().extend([data(event), Bucket::Flush]);
        assert!(matches!(chain.step(Instant::ZERO, &mut out), Ok(Step::Output)));
        assert!(matches!(out.iter().last(), Some(Bucket::Flush)));
        coded.extend_from_slice(&out.to_bytes());
        out.clear();
        assert_eq!(gunzip_begun(&coded), so_far.as_bytes());
    }
    // A second flush with nothing between adds no bytes.
    chain.input().push(Bucket::Flush);
    assert!(matches!(chain.step(Instant::ZERO, &mut out), Ok(Step::Output)));
    assert_eq!((out.len(), out.bytes()), (1, 0));
}

#[test]
fn a_flush_ends_also_in_a_room_of_one_byte() {
    // zlib repeats its flush marker for ever if it is given too little room for it.
    let out = alone(Gzip::new(GzipLevel::default()), vec![data("abc"), Bucket::Flush, Bucket::Eos], &[1]);
    assert_eq!(names(&out), ["Flush", "Eos"]);
    assert_eq!(gunzip(&bytes(&out)), b"abc");
}

#[test]
fn an_error_passes_on_earlier_bytes_but_never_a_whole_gzip() {
    let cause = SourceError::new("upstream hung up");
    let mut input = vec![data("only half"), Bucket::Error(cause.clone())];
    for room in [1, 7, 65_536] {
        let out = alone(Gzip::new(GzipLevel::default()), input.clone(), &[room]);
        let coded = bytes(&out);
        assert_eq!(gunzip_begun(&coded), b"only half");
        assert!(GzDecoder::new(&coded[..]).read_to_end(&mut Vec::new()).is_err(), "it must not look whole");
        assert!(matches!(out.last(), Some(Bucket::Error(error)) if *error == cause));
    }
    input[0] = data("a sec");
    let out = alone(Replace::new("secret", "").unwrap(), input, &[65_536]);
    assert_eq!(bytes(&out), b"a sec", "what was held is no match any more");
    assert!(matches!(out.last(), Some(Bucket::Error(error)) if *error == cause));
}

#[test]
fn trailers_stay_behind_the_last_byte_and_lose_their_digests() {
    let mut fields = HeaderMap::new();
    fields.insert("repr-digest", HeaderValue::from_static("sha-256=:AA==:"));
    fields.insert("server-timing", HeaderValue::from_static("db;dur=5"));
    let input = vec![data("a sec"), Bucket::Trailers(Box::new(fields)), Bucket::Eos];
    let check = |out: Vec<Bucket>, plain: &dyn Fn(&[u8]) -> Vec<u8>| {
        let [.., data, Bucket::Trailers(fields), Bucket::Eos] = &out[..] else { panic!("{out:?}") };
        assert!(!data.is_mark());
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["server-timing"]);
        assert_eq!(plain(&bytes(&out)), b"a sec");
    };
    for room in [1, 65_536] {
        check(alone(Gzip::new(GzipLevel::default()), input.clone(), &[room]), &gunzip);
        check(alone(Replace::new("secret", "").unwrap(), input.clone(), &[room]), &<[u8]>::to_vec);
    }
}

#[test]
fn an_empty_body_is_an_empty_gzip() {
    let out = alone(Gzip::new(GzipLevel::default()), vec![Bucket::Eos], &[65_536]);
    assert_eq!(gunzip(&bytes(&out)), b"");
}

#[test]
fn a_huge_replacement_is_handed_out_as_room_allows_and_never_copied() {
    let to = Bytes::from(vec![b'x'; 4 << 20]);
    let inside = to.as_ptr_range();
    let input = vec![Bucket::Data(Bytes::from(vec![b'a'; 200])), Bucket::Eos];
    let out = alone(Replace::new("a", to.clone()).unwrap(), input, &[65_536]);
    assert_eq!(out.iter().map(Bucket::len).sum::<u64>(), 200 * (4 << 20));
    for bucket in &out {
        if let Bucket::Data(bytes) = bucket {
            assert!(inside.contains(&bytes.as_ptr()));
        }
    }
}

#[test]
fn many_short_matches_do_not_make_many_small_buckets() {
    let input = vec![Bucket::Data(Bytes::from(vec![b'a'; 60_000])), Bucket::Eos];
    let out = alone(Replace::new("a", "b").unwrap(), input, &[65_536]);
    assert_eq!(bytes(&out), vec![b'b'; 60_000]);
    assert!(out.len() < 10, "{} buckets", out.len());
}

#[test]
fn untouched_bytes_are_not_copied() {
    let content = Bytes::from(vec![b'x'; 30_000]);
    let input = vec![Bucket::Data(content.clone()), Bucket::Eos];
    let out = alone(Replace::new("needle", "").unwrap(), input, &[65_536]);
    let [Bucket::Data(passed), Bucket::Eos] = &out[..] else { panic!("{out:?}") };
    assert_eq!(passed.as_ptr(), content.as_ptr());
}

// The depth was that of the rate and burst that were there at the first byte.
#[test]
fn a_limit_that_only_reports_follows_its_rate_and_burst() {
    let limit = Limit::new(Rate::or_unlimited(1_000)).with_burst(500);
    limit.set_report_only(true);
    let mut filter = RateFilter::new(limit.clone());
    let mut over = |millis, bytes: usize| {
        let before = limit.over();
        let mut input: Brigade = [Bucket::Data(Bytes::from(vec![0; bytes]))].into_iter().collect();
        filter.filter(Instant::from_millis(millis), &mut input, &mut Brigade::new()).unwrap();
        limit.over() - before
    };
    assert_eq!(over(0, 1_000), 300, "a chunk of 200 and the burst would leave at once");
    limit.set_rate(Rate::or_unlimited(10_000));
    assert_eq!(over(60_000, 3_000), 500, "a chunk of 2 000 and the burst");
    limit.set_burst(0);
    assert_eq!(over(120_000, 3_000), 1_000, "a chunk of 2 000");
}

/// All that comes out of a chain into which `content` is put, `most` at a time.
fn coded(mut chain: Chain, out: &mut Brigade, content: &Bytes) -> Vec<u8> {
    let mut coded = Vec::new();
    let mut input = VecDeque::from([Bucket::Data(content.clone()), Bucket::Eos]);
    loop {
        match chain.step(Instant::ZERO, out).unwrap() {
            Step::Output => {
                coded.extend_from_slice(&out.to_bytes());
                out.clear();
            }
            Step::NeedInput => chain.input().extend(input.pop_front()),
            Step::Done => return coded,
            step => unreachable!("nothing is paced or read: {step:?}"),
        }
    }
}

#[test]
fn a_chain_that_gathers_little_says_the_first_byte_without_its_source_or_a_coder() {
    let chains: [fn() -> Chain; 2] = [
        || Chain::new().then(Gzip::new(GzipLevel::default())),
        || Chain::new().then(Gzip::new(GzipLevel::default())).then(RateFilter::new(Limit::unlimited())),
    ];
    for make in chains {
        for content in [Bytes::new(), Bytes::from("some text ".repeat(20_000))] {
            let mut chain = make();
            chain.set_max_gathered(Some(1));
            let mut out = Brigade::with_budget(1);
            assert!(matches!(chain.step(Instant::ZERO, &mut out).unwrap(), Step::Output));
            assert_eq!(out.to_bytes(), &[0x1f][..]);
            assert!(chain.filters_held() < 100 && chain.bytes_held() < 100);
            let mut all = out.to_bytes().to_vec();

            out.clear();
            out.set_budget(65_536);
            chain.set_max_gathered(None);
            all.extend_from_slice(&coded(chain, &mut out, &content));
            assert!(all == coded(make(), &mut Brigade::with_budget(65_536), &content));
        }
    }
}
