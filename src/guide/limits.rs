//! Choose between a [`Limit`](crate::limit::Limit) and a [`Node`](crate::budget::Node).
//!
//! | | `Limit` | `Node` |
//! |---|---|---|
//! | bounds | each stream that has it, by itself | all streams below it, together |
//! | used by | [`RateFilter`](crate::filter::RateFilter), so a [`Chain`](crate::filter::Chain) | [`Throttle`](crate::throttle::Throttle), [`Paced`](crate::throttle::Paced), the server |
//! | pace | a chunk each interval (200 ms by default), on a grid, mod_ratelimit's rules | turns of at most 200 ms, by weight, as soon as tokens are there |
//! | time | is passed in | read from its clock |
//! | waits | never: the chain returns when to step again | the wrapper that asks for a turn |
//!
//! Both are handles: clone them, set them while bytes run, and every stream follows.
//!
//! A `Limit` is a setting that streams share, not a sum: two streams with one limit of 60 KiB/s get 60 KiB/s each.
//!
//! ```
//! use sluicegate::brigade::{Brigade, Bucket};
//! use sluicegate::clock::Instant;
//! use sluicegate::filter::{Chain, RateFilter, Step};
//! use sluicegate::limit::{Limit, Rate};
//!
//! let limit = Limit::new(Rate::new(60 * 1024)?);
//! for _ in 0..2 {
//!     let mut chain = Chain::new().then(RateFilter::new(limit.clone()));
//!     chain.input().push(Bucket::Data(vec![0; 20_000].into()));
//!     let mut out = Brigade::new();
//!     assert!(matches!(chain.step(Instant::ZERO, &mut out)?, Step::Output));
//!     assert_eq!(out.bytes(), 12_288, "one chunk, for each");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A `Node` is a place in a tree. A stream is bounded by its node and by every node above it; at a shared node its children get equal shares, and what one
//! leaves the others use.
//!
//! ```
//! use std::sync::Arc;
//! use sluicegate::budget::{Each, Node};
//! use sluicegate::clock::ManualClock;
//! use sluicegate::limit::{Budget, Rate};
//!
//! let server = Node::root("server", Budget::of(Rate::new(10 << 20)?), Arc::new(ManualClock::new()));
//! let client = server.child("client", Budget::of(Rate::new(1 << 20)?)); // this client: 1 MiB/s, within the 10
//! let each = Each::new("response", Budget::of(Rate::new(200 << 10)?)); // a setting for as many nodes as there are responses
//! let (first, second) = (each.child_of(&client), each.child_of(&client));
//!
//! each.set(Budget::of(Rate::new(50 << 10)?)); // at once, for all of them
//! assert_eq!(first.budget(), second.budget());
//! # Ok::<(), sluicegate::limit::ZeroRate>(())
//! ```
//!
//! Use a `Limit` for "every response is a stream of 60 KiB/s", and a `Node` for "all of this together". The server has both: the pace of a route is a `Limit`, and `[limits]` are nodes.
