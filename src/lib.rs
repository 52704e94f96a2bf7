//! Sluicegate lets bytes out at a set pace.
//!
//! Content generators emit [brigades](brigade) of any size into a [chain](filter::Chain) of filters, the
//! last of which is the [rate filter](filter::RateFilter): a chunk for each interval, exactly and without
//! drift, whatever the cuts of the input. The model is Apache httpd's output filters and its mod_ratelimit;
//! `docs/pacing.md` says where this differs.
//!
//! Filters are sans-I/O: they are passed the time and return what must happen next. Drivers do it:
//! [`body::PacedBody`] pulls a chain as an HTTP body, and [`http::server::Server`] serves files and upstreams through
//! such bodies. [`throttle`] puts a pace on anything else that reads or writes. On a [`clock::ManualClock`] all of it
//! runs without waiting.
//!
//! A pace in one line, on anything that reads or writes:
//!
//! ```
//! use std::io::{self, Cursor};
//! use sluicegate::{limit::Rate, throttle::pace};
//!
//! let mut source = pace(Cursor::new("some bytes"), Rate::kib_per_second(64));
//! assert_eq!(io::copy(&mut source, &mut io::sink())?, 10);
//! # Ok::<(), io::Error>(())
//! ```
//!
//! A chain, which anybody may step:
//!
//! ```
//! use sluicegate::brigade::{Brigade, Bucket};
//! use sluicegate::clock::Instant;
//! use sluicegate::filter::{Chain, RateFilter, Step};
//! use sluicegate::limit::{Limit, Rate};
//!
//! // mod_ratelimit's own example: 60 KiB/s, and a brigade of 38 400 bytes.
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
//! A program that needs readers, writers, bodies and chains alone depends on this crate with `default-features = false`, or on `sluicegate-core`.
//!
//! | feature | adds |
//! |---|---|
//! | `cli` (default) | the program, with all of the server |
//! | `events` | streams of events |
//! | `quota` | the fleet quota: its server and clients; with it `tls` |
//! | `otlp` | spans of traced events, exported |
//! | `probe` | measures the pace of any HTTP server; with it `tls` |
//! | `service` | sockets handed on by a service manager, and the new program of SIGUSR2 |
//! | `tls` | TLS on listeners, the quota, the probe |
//! | `tokio` | tokio's `AsyncRead`, `AsyncWrite`, `AsyncBufRead` and `AsyncSeek` on [`throttle::Throttle`]; no runtime is compiled |
//! | `tower` | `throttle::PaceLayer` and `throttle::PaceRequestLayer` |
//!
//! # What may change
//!
//! `public-api.txt` in the repository lists the public API, as the core's listing does its own; CI fails where the sources are not as listed. Besides what `sluicegate-core`
//! says of its part:
//!
//! - Causes, errors and reports may become more: they are `#[non_exhaustive]`, such as [`http::server::TransferReport`], [`tls::CertificateInfo`] and
//!   [`proxy_protocol::HeaderReason`]. What a program must handle in full is not, such as [`http::content::Content`] and [`address::ListenAddr`]; nor are the words of a
//!   configuration, which a program sets and the server reads.
//! - Structs with public fields that a program fills in are settings, such as [`http::server::Settings`]: begin with their `default()` or `new(…)`; a field more is no break.
//! - Errors are types of their own that say what to do; where a program may treat causes differently there are predicates, such as
//!   [`http::HostPatternError::has_port`] and [`admin::AdminError::needs_token`]. Every public type is `Debug`.
//! - [`rt`], `simulate`, `config::reference` and `logging` are public because the program `sluicegate` is a crate of its own, made of them. They are usable, and change with the
//!   program: a new minor version may break them. It needs of `rt` listeners (which every server takes), connections, tasks, signals and what a service manager says; of
//!   `simulate` a simulation and its figures; of `config::reference` the example and the schema; of `logging` the forms of its log and the settings of the access log. What
//!   neither the program nor the tests and examples name is private.
//! - Settings are read by [`config::Loader`], which tells all faults with their places and knows which defaults follow from others; they have no traits of serde, as the core's
//!   units have. A program with a format of its own reads and writes the parts: what is a word or a text in a
//!   configuration has `FromStr` and `Display`, and the one reads what the other writes, but for certificates in a class, which are shown short. Nothing writes a whole configuration: the file is what its author typed, with comments, and
//!   what is changed by hand while a server runs is written to the overlay beside it.
//! - Of other crates, these are in public signatures: those of the core, and futures-lite, hyper (its traits of readers, writers, timers and executors), log, prometheus-client (`Collector`), rustix,
//!   serde and toml (values of a configuration), and by feature tonic, prost, futures-rustls, opentelemetry and svg. [`foreign`] has those that a program needs most.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(missing_debug_implementations)]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]
// Helpers of single features. The default build, which has all, finds unused ones.
#![cfg_attr(not(all(feature = "events", feature = "probe")), allow(dead_code, unused_imports))]

pub use sluicegate_core::{body, brigade, budget, clock, filter, generator, limit, throttle};

use sluicegate_core::{excerpt, sync};

// First: its macros are used by all below.
#[macro_use]
pub mod words;

pub mod address;
pub mod admin;
pub mod config;
pub mod duration;
#[cfg(feature = "events")]
pub mod events;
/// Settings of event streams; the feature `events` has the rest. Every build reads the same configuration.
#[cfg(not(feature = "events"))]
pub mod events {
    mod event_store;
    mod settings;

    pub use event_store::{EventStore, EventStoreError};
    pub use settings::{EventRate, EventSettings, EventUnit, Suspend};
}
/// The crates whose types are in public signatures, in the versions that fit.
pub mod foreign {
    pub use futures_lite;
    pub use sluicegate_core::foreign::*;
}
#[cfg(any(doc, doctest))]
pub mod guide;
pub mod http;
mod http1;
mod keys;
mod live_limits;
pub mod logging;
mod named_file;
mod overlay;
#[cfg(feature = "probe")]
pub mod probe;
pub mod proxy_protocol;
pub mod quota;
pub mod rt;
mod saved_file;
pub mod schedule;
#[cfg(feature = "redis")]
pub mod shared_store;
mod shown_address;
#[cfg(feature = "probe")]
pub mod simulate;
pub mod sink;
pub mod tcp;
pub mod telemetry;
pub mod tls;
pub mod token;
pub mod tracing;
#[cfg(test)]
mod wake_count;

/// Compiles the Rust of the README and of `docs/`.
#[cfg(all(doctest, feature = "cli"))]
mod pages {
    macro_rules! pages {
        ($($name:ident $file:literal)*) => {
            $(#[doc = include_str!(concat!("../", $file))] struct $name;)*
        };
    }
    pages! {
        Readme "README.md"
        Architecture "docs/architecture.md"
        Benchmarks "docs/benchmarks.md"
        Configuration "docs/configuration.md"
        Events "docs/events.md"
        Http "docs/http.md"
        Index "docs/README.md"
        Limits "docs/limits.md"
        Operations "docs/operations.md"
        Pacing "docs/pacing.md"
        Probe "docs/probe.md"
        Proxy "docs/proxy.md"
        ProxyProtocol "docs/proxy-protocol.md"
        Quota "docs/quota.md"
        Simulate "docs/simulate.md"
        SlowReaders "docs/slow-readers.md"
        Tcp "docs/tcp.md"
        Tls "docs/tls.md"
    }
}
