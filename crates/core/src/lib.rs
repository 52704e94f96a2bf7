//! The parts of Sluicegate that pace bytes and need no runtime.
//!
//! Content moves as [brigades](brigade) of buckets through a [chain](filter::Chain) of filters, the last of
//! which is the [rate filter](filter::RateFilter). [`limit`] has the arithmetic, [`budget`] a tree of limits
//! that streams share on a [clock]. [`body`] drives a chain as an HTTP body, and [`throttle`] puts a pace on
//! anything that reads or writes.
//!
//! Filters, chain and limits are sans-I/O: they are passed the time and return what must happen next. A
//! [`clock::SystemClock`] has a timer thread and works with any executor; on a [`clock::ManualClock`] nothing waits.
//!
//! ```
//! use sluicegate_core::brigade::{Brigade, Bucket};
//! use sluicegate_core::clock::Instant;
//! use sluicegate_core::filter::{Chain, RateFilter, Step};
//! use sluicegate_core::limit::{Limit, Rate};
//!
//! // 60 KiB/s, and a brigade of 38 400 bytes.
//! let mut chain = Chain::new().then(RateFilter::new(Limit::new(Rate::new(60 * 1024)?)));
//! chain.input().extend([Bucket::Data(vec![0; 38_400].into()), Bucket::Eos]);
//!
//! let (mut now, mut out, mut timeline) = (Instant::ZERO, Brigade::new(), Vec::new());
//! loop {
//!     match chain.step(now, &mut out)? {
//!         Step::Output => {
//!             timeline.push((now.as_nanos() / 1_000_000, out.bytes()));
//!             out.clear();
//!         }
//!         Step::Sleep(due) => now = due,
//!         _ => break,
//!     }
//! }
//! assert_eq!(timeline, [(0, 12_288), (200, 12_288), (400, 13_824)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

/// The README's code is compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;

pub mod body;
pub mod brigade;
pub mod budget;
pub mod clock;
pub mod excerpt;
pub mod filter;
pub mod generator;
pub mod limit;
pub mod sync;
pub mod throttle;
