//! Use it inside a tokio program.
//!
//! Nothing in [`throttle`](crate::throttle), [`budget`](crate::budget), [`filter`](crate::filter), [`body`](crate::body) or [`clock`](crate::clock) spawns a task or needs this crate's runtime. A
//! [`SystemClock`](crate::clock::SystemClock) has a thread of its own that wakes the tasks that are due; the tasks are yours.
//!
//! # A chain as a response body
//!
//! [`PacedBody`](crate::body::PacedBody) is an `http_body::Body` that pulls a chain of filters, for hyper or anything else that takes one. Files in it are read by
//! a [`ReadFile`](crate::body::ReadFile) that you pass to [`with_files`](crate::body::PacedBody::with_files): one method, on your runtime's pool of blocking
//! threads.
//!
//! # axum and other tower services
//!
//! The feature `tower` has `throttle::PaceLayer`, which paces response bodies: each by itself, those of a client together, and all together.
#![cfg_attr(
    feature = "tower",
    doc = r##"
```
use std::sync::Arc;

use sluicegate::budget::{ClientKey, Clients, Each, Node};
use sluicegate::{clock::SystemClock, limit::{Budget, Rate}, throttle::PaceLayer};

let clock = Arc::new(SystemClock::new()); // with a thread that wakes the tasks that are due

let server = Node::root("server", Budget::of(Rate::new(10 << 20)?), clock);
let clients = Clients::new(server, "client", Budget::of(Rate::new(1 << 20)?));
let each = Each::new("response", Budget::of(Rate::new(200 << 10)?).with_burst(100 << 10));
let key = |request: &http::request::Parts| match request.headers.get("x-api-key") {
    Some(key) => ClientKey::header(key.as_bytes()).unwrap_or(ClientKey::Local),
    None => ClientKey::Local,
};
let layer = PaceLayer::by_client(&clients, key, each);
// axum::Router::new().route("/", get(page)).layer(layer)
# drop(layer);
# Ok::<(), sluicegate::limit::ZeroRate>(())
```
"##
)]
//!
//! `examples/axum` is a whole program on its own tokio runtime: `cargo run --manifest-path examples/axum/Cargo.toml`.
//!
//! # Bodies, readers and writers
//!
//! [`Paced`](crate::throttle::Paced) wraps any `http_body::Body`, and so goes into hyper without a layer. [`Throttle`](crate::throttle::Throttle) takes the traits of `futures-io`; `tokio_util::compat` turns
//! tokio's into these.
//!
//! ```
//! use std::sync::Arc;
//! use futures_lite::{AsyncReadExt, future, io::Cursor};
//! use sluicegate::budget::Node;
//! use sluicegate::clock::SystemClock;
//! use sluicegate::limit::{Budget, Rate};
//! use sluicegate::throttle::Throttle;
//!
//! let limit = Node::root("download", Budget::of(Rate::new(1 << 20)?), Arc::new(SystemClock::new()));
//! let mut reader = Throttle::new(Cursor::new("bytes"), &limit);
//! let mut text = String::new();
//! future::block_on(reader.read_to_string(&mut text))?; // any executor will do
//! assert_eq!(text, "bytes");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
