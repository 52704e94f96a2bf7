//! Whatever happens: bytes are conserved in their order, no window holds too much, nothing is left behind.

use std::task::Poll;
use std::time::Duration;

use proptest::prelude::*;
use sluicegate::budget::Node;
use sluicegate::clock::Clock;
use sluicegate::limit::{Budget, Rate};
use sluicegate::throttle::Throttle;

use super::scene::{CleanClock, Script, Step, Task, content};

#[derive(Clone, Debug)]
enum Op {
    Read(usize, usize),
    Write(usize, usize),
    Advance(u64),
    ToNext,
    /// The shared rate, and the own one of a stream.
    Set(Option<u64>, usize, Option<u64>),
    Replace(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let rate = || prop::option::weighted(0.8, 1u64..200_000);
    prop_oneof![
        6 => (0..3usize, 0..5_000usize).prop_map(|(at, len)| Op::Read(at, len)),
        6 => (0..3usize, 0..5_000usize).prop_map(|(at, len)| Op::Write(at, len)),
        3 => (0..400u64).prop_map(Op::Advance),
        3 => Just(Op::ToNext),
        1 => (rate(), 0..3usize, rate()).prop_map(|(all, at, own)| Op::Set(all, at, own)),
        1 => (0..3usize).prop_map(Op::Replace),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_000usize).prop_map(Step::Move),
        1 => Just(Step::Block),
        1 => Just(Step::Fail),
    ]
}

/// A stream, what it has read, and how much it has written.
struct Stream {
    own: Node,
    io: Throttle<Script>,
    read: Vec<u8>,
    written: usize,
}

impl Stream {
    fn new(server: &Node, budget: Budget, steps: &[Step]) -> Self {
        let own = server.child("stream", budget);
        let io = Throttle::new(Script::of(steps.iter().copied()), &own);
        Self { own, io, read: Vec::new(), written: 0 }
    }
}

proptest! {
    #[test]
    fn bytes_are_conserved_and_no_more_pass_than_the_limits_allow(
        steps in prop::collection::vec(step(), 0..60),
        ops in prop::collection::vec(op(), 1..200),
        rate in 1u64..200_000,
        burst in 0u64..50_000,
    ) {
        let clock = CleanClock::default();
        let limited = Budget::of(Rate::or_unlimited(rate)).with_burst(burst);
        let server = Node::root("server", limited, clock.0.clone());
        let task = Task::default();
        let mut streams: Vec<Stream> = (0..3).map(|_| Stream::new(&server, limited, &steps)).collect();
        // Since the limit was last changed.
        let (mut changed, mut passed) = (false, 0u64);
        for op in ops {
            match op {
                Op::Read(at, len) => {
                    let Stream { io, read, .. } = &mut streams[at];
                    if let Poll::Ready(Ok(bytes)) = task.read(io, len) {
                        prop_assert!(bytes.len() <= len);
                        passed += bytes.len() as u64;
                        read.extend_from_slice(&bytes);
                    }
                }
                Op::Write(at, len) => {
                    let Stream { io, written, .. } = &mut streams[at];
                    if let Poll::Ready(Ok(bytes)) = task.write(io, &content(*written..*written + len)) {
                        passed += bytes as u64;
                        *written += bytes;
                    }
                }
                Op::Advance(millis) => clock.0.advance(Duration::from_millis(millis)),
                Op::ToNext => drop(clock.0.advance_to_next()),
                Op::Set(all, at, own) => {
                    changed = true;
                    server.set(Budget::of(all.and_then(Rate::or_unlimited)));
                    streams[at].own.set(Budget::of(own.and_then(Rate::or_unlimited)));
                }
                Op::Replace(at) => streams[at] = Stream::new(&server, limited, &steps),
            }
            if !changed {
                // In nano-bytes: the burst, or what an interval gives, or a byte.
                let depth = u128::from(burst.max(1)) * 1_000_000_000;
                let depth = depth.max(u128::from(rate) * 200_000_000);
                let earned = u128::from(rate) * u128::from(clock.0.now().as_nanos());
                // A nanosecond's worth for the rounding of wake-ups.
                let most = depth + earned + u128::from(rate);
                prop_assert!(u128::from(passed) * 1_000_000_000 <= most, "{} bytes", passed);
            }
        }
        for Stream { own, mut io, read, written } in streams {
            prop_assert!(read == content(0..read.len()));
            prop_assert!(io.get_ref().taken == content(0..written));
            prop_assert_eq!(io.get_ref().given, read.len() + io.buffer().len());
            prop_assert_eq!(io.reads().report().bytes, read.len() as u64);
            prop_assert_eq!(io.writes().report().bytes, written as u64);
            drop(io);
            prop_assert_eq!(own.children(), 0);
        }
        prop_assert_eq!((server.children(), clock.0.sleepers()), (0, 0));
        if !changed {
            prop_assert_eq!(server.passed().bytes, passed, "what was reserved came back");
        }
    }
}
