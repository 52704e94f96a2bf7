//! The parts of Sluicegate that pace bytes and need no runtime.
//!
//! # A pace in one line
//!
//! [`throttle`] puts a pace on anything that reads or writes: blocking or not, in any executor.
//!
//! ```
//! use std::io::{self, Cursor};
//! use sluicegate_core::limit::Rate;
//! use sluicegate_core::throttle::pace;
//!
//! let mut source = pace(Cursor::new("some bytes"), Rate::kib_per_second(64));
//! assert_eq!(io::copy(&mut source, &mut io::sink())?, 10);
//! # Ok::<(), io::Error>(())
//! ```
//!
//! # A chain of filters
//!
//! Content moves as [brigades](brigade) of buckets through a [chain](filter::Chain) of filters, the last of
//! which is the [rate filter](filter::RateFilter). [`limit`] has the arithmetic, [`budget`] a tree of limits
//! that streams share on a [clock]. [`body`] drives a chain as an HTTP body.
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
//!
//! # Features
//!
//! | feature | adds | compiles |
//! |---|---|---|
//! | `tokio` | tokio's `AsyncRead`, `AsyncWrite`, `AsyncBufRead` and `AsyncSeek` on [`throttle::Throttle`] | tokio without features: traits, no runtime |
//! | `tower` | `throttle::PaceLayer` and `throttle::PaceRequestLayer` | tower-layer, tower-service |
//!
//! None is on by default.
//!
//! # What may change
//!
//! `public-api.txt` beside this crate's manifest lists all of it; CI fails if the sources are not as listed.
//!
//! - Errors and causes that may become more are `#[non_exhaustive]`: [`filter::FilterError`], [`filter::OptionError`],
//!   [`budget::HeldBy`]. What a driver or a filter must handle in full is not, since one that ignores a case is wrong:
//!   [`brigade::Bucket`], [`filter::Step`], [`filter::Verdict`], [`body::Piece`].
//! - Structs with public fields are settings and reports, such as [`limit::Budget`] and [`throttle::Report`]: where one is
//!   `Default`, write `..Default::default()`, and a field more is no break. All others have private fields.
//! - Every public type is `Debug`.
//! - Rates and sizes are read and written as text by serde: `"64k"`.
//! - Of other crates, these are in public signatures: bytes, futures-core, futures-io, futures-sink, http and http-body, which
//!   [`foreign`] has; serde's traits; and by feature tokio's traits, tower-layer and tower-service. A new major version of one of
//!   them is a new major version of this crate.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(missing_debug_implementations)]
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

/// The crates whose types are in public signatures, in the versions that fit.
pub mod foreign {
    pub use bytes;
    pub use futures_core;
    pub use futures_io;
    pub use futures_sink;
    pub use http;
    pub use http_body;
}
