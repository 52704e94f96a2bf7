//! Write a filter: one method, no I/O, no futures.
//!
//! A [`Filter`](crate::filter::Filter) is passed the time, takes buckets from `input` and pushes buckets to `output`. It takes no more data than
//! `output` has room for, passes marks (flush, trailers, errors, end of stream) on, and returns what must happen next.
//!
//! ```
//! use sluicegate::brigade::{Brigade, Bucket};
//! use sluicegate::clock::Instant;
//! use sluicegate::filter::{Chain, Filter, FilterError, Step, Verdict};
//!
//! struct Shout;
//!
//! impl Filter for Shout {
//!     fn filter(&mut self, _: Instant, input: &mut Brigade, output: &mut Brigade) -> Result<Verdict, FilterError> {
//!         while let Some(bucket) = input.pop_within(output.room()) {
//!             output.push(match bucket {
//!                 Bucket::Data(bytes) => Bucket::Data(bytes.to_ascii_uppercase().into()),
//!                 mark => mark,
//!             });
//!         }
//!         Ok(Verdict::after(output))
//!     }
//! }
//!
//! // On a bare chain, without a server, a runtime or a clock:
//! let mut chain = Chain::new().then(Shout);
//! chain.input().extend([Bucket::Data("quiet".into()), Bucket::Eos]);
//! let mut out = Brigade::new();
//! assert!(matches!(chain.step(Instant::ZERO, &mut out)?, Step::Output));
//! assert_eq!(out.to_bytes(), "QUIET");
//! # Ok::<(), FilterError>(())
//! ```
//!
//! A filter that breaks the contract (more output than there was room for, data after the end) is stopped with an error that names the rule.
//!
//! # On a route, and by name
//!
//! By code, a filter goes on a route; by name, [`FilterKinds`](crate::config::FilterKinds) makes it known to configuration files. Filters run in order,
//! and the route's pace is last.
//!
//! ```
//! # use sluicegate::{brigade::Brigade, clock::Instant, filter::{Filter, FilterError, Verdict}};
//! # struct Shout;
//! # impl Filter for Shout {
//! #     fn filter(&mut self, _: Instant, input: &mut Brigade, output: &mut Brigade) -> Result<Verdict, FilterError> {
//! #         while let Some(bucket) = input.pop_within(output.room()) { output.push(bucket); }
//! #         Ok(Verdict::after(output))
//! #     }
//! # }
//! use std::sync::Arc;
//! use sluicegate::filter::factory_fn;
//! use sluicegate::config::FilterKinds;
//! use sluicegate::http::route::Route;
//! use sluicegate::limit::Rate;
//!
//! let by_code = Route::files("/", "src")?.rate(Rate::new(60 * 1024)?).filter(factory_fn(|| Shout));
//!
//! let kinds = FilterKinds::default().with("shout", |_options| Ok(Arc::new(factory_fn(|| Shout))));
//! let text = "[[route]]\npath = '/'\nfiles = 'src'\nrate = 60\nfilters = ['shout']";
//! let config = kinds.loader().parse(text, "example.toml", ".")?;
//! assert_eq!(config.routes[0].filters.len(), 2, "shout, then the pace");
//! # drop(by_code);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `cargo run --example custom_filter` masks digits across bucket borders, and `cargo run --example custom_server` serves with such a filter.
//!
//! # Content that changes
//!
//! A filter that makes other bytes invalidates what the head says of them: length, ranges, validators, digests. [`rewrite`](crate::filter::rewrite) has the three calls
//! that a [`FilterFactory`](crate::filter::FilterFactory) needs: `want_whole_content` on the request, `forget_content` on the response, which also says whether
//! the content can be changed at all, and `forget_digests` on trailers. `cargo run --example banner` inserts a banner into pages with them.
