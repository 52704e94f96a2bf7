//! Any filters in any order: the stream ends, its bytes and marks are all there, and nothing spins.

use std::collections::VecDeque;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use sluicegate::brigade::{Brigade, Bucket, FileSlice, SourceError};
use sluicegate::clock::Instant;
use sluicegate::filter::{Chain, Count, Counts, EndOfStream, Filter, RateFilter, Replace, Step};
use sluicegate::limit::{Limit, Rate};
use testkit::filters::sleepers::{Keep, OneEach};

fn filter(kind: u8) -> Box<dyn Filter> {
    match kind {
        0 => Box::new(Count::new(Counts::default())),
        1 => Box::new(Replace::new("ab", "ab").unwrap()),
        2 => Box::new(Keep::new(Duration::from_millis(30), 1000)),
        3 => Box::new(OneEach::new(Duration::from_millis(7))),
        4 => Box::new(RateFilter::new(Limit::new(Rate::or_unlimited(9_999)))),
        _ => Box::new(RateFilter::new(Limit::new(Rate::or_unlimited(777))).end_of_stream(EndOfStream::Paced)),
    }
}

proptest! {
    #[test]
    fn ends_whole_and_in_order(
        kinds in prop::collection::vec(0u8..6, 0..6),
        pieces in prop::collection::vec((0u8..4, prop::collection::vec(b'a'..=b'b', 1..300)), 0..12),
        room in prop_oneof![1u64..4, 1u64..65_536],
        short in 1usize..500,
        fails in any::<bool>(),
        late in 0u64..3,
    ) {
        let content: Vec<u8> = pieces.iter().flat_map(|(_, piece)| piece.clone()).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        let file = Arc::new(file);
        let mut input = VecDeque::new();
        let mut at = 0;
        for (kind, piece) in &pieces {
            let len = piece.len() as u64;
            input.push_back(match kind {
                0 | 1 => Bucket::Data(piece.clone().into()),
                _ => Bucket::File(FileSlice::new(Arc::clone(&file), at, len)),
            });
            input.extend((kind % 2 == 0).then_some(Bucket::Flush));
            at += len;
        }
        input.push_back(if fails { Bucket::Error(SourceError::new("gone")) } else { Bucket::Eos });
        let flushes = pieces.iter().filter(|(kind, _)| kind % 2 == 0).count();

        let mut chain = kinds.iter().fold(Chain::new(), |chain, kind| chain.then_boxed(filter(*kind)));
        let read = |slice: &FileSlice| {
            let mut bytes = vec![0; short.min(slice.len() as usize)];
            file.read_exact_at(&mut bytes, slice.offset()).unwrap();
            Bytes::from(bytes)
        };
        let mut now = Instant::ZERO;
        let mut out = Brigade::with_budget(room);
        let (mut all, mut seen, mut last) = (Vec::new(), 0, None);
        // A step moves a byte, reads some, takes input or waits: none of it can go on for longer.
        for _ in 0..200_000 {
            match chain.step(now, &mut out).unwrap() {
                Step::Output => while let Some(bucket) = out.pop() {
                    prop_assert!(!matches!(last, Some(Bucket::Eos | Bucket::Error(_))), "behind the end");
                    match &bucket {
                        Bucket::Data(bytes) => all.extend_from_slice(bytes),
                        Bucket::File(slice) => {
                            let mut rest = slice.clone();
                            while !rest.is_empty() {
                                let bytes = read(&rest);
                                all.extend_from_slice(&bytes);
                                let _read = rest.split_to(bytes.len() as u64);
                            }
                        }
                        Bucket::Flush => seen += 1,
                        _ => {}
                    }
                    last = Some(bucket);
                },
                Step::Read(slice) => chain.supply(read(&slice)),
                Step::NeedInput | Step::Sleep(_) if chain.wants_input() && !input.is_empty() => {
                    chain.input().extend(input.pop_front());
                }
                Step::NeedInput => prop_assert!(false, "all input was given"),
                Step::Sleep(due) => {
                    prop_assert!(due > now);
                    now = due + Duration::from_millis(late * 50);
                }
                Step::Done => break,
            }
        }
        prop_assert!(chain.is_finished(), "it spins");
        prop_assert_eq!(String::from_utf8(all).unwrap(), String::from_utf8(content).unwrap());
        prop_assert_eq!(seen, flushes);
        prop_assert!(matches!(last, Some(Bucket::Error(_))) == fails);
    }
}
