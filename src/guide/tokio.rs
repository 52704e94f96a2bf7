//! Use it inside a tokio program.
//!
//! Nothing in [`throttle`](crate::throttle), [`budget`](crate::budget), [`filter`](crate::filter), [`body`](crate::body) or [`clock`](crate::clock) spawns a task or needs this crate's runtime. A
//! [`SystemClock`](crate::clock::SystemClock) has a thread of its own that wakes the tasks that are due; the tasks are yours.
//!
//! Every example here is compiled; `examples/tokio` has whole programs that run: `axum` (downloads and uploads by API key), `hyper_chain`, `clients`
//! (reqwest, sockets) and `quota_client`. `cargo run --manifest-path examples/tokio/Cargo.toml --bin axum`.
//!
//! # Readers and writers
//!
//! With the feature `tokio` a [`Throttle`](crate::throttle::Throttle) has tokio's `AsyncRead`, `AsyncWrite`, `AsyncBufRead` and `AsyncSeek`: `pace(socket, rate)` goes
//! wherever the socket would. Only the traits are compiled, and nothing of tokio's runtime.
//!
//! # Bodies and streams of reqwest
//!
//! Below a limit that several downloads share, with what a progress bar needs: the meter is a handle, to be read from any task.
//!
//! ```
//! use bytes::Bytes;
//! use futures_lite::{Stream, StreamExt};
//! use sluicegate::budget::Node;
//! use sluicegate::throttle::PacedStream;
//!
//! /// `download(response.bytes_stream(), &Node::at(Rate::mib_per_second(1)))`
//! async fn download<E>(pieces: impl Stream<Item = Result<Bytes, E>> + Unpin, shared: &Node) -> Result<u64, E> {
//!     let mut pieces = PacedStream::new(pieces, shared);
//!     let meter = pieces.reads().clone();
//!     while let Some(piece) = pieces.next().await {
//!         let piece = piece?; // to be written to a file
//!         let report = meter.report();
//!         println!("{} of {} bytes, {} bytes/s, waited {} times, {:?}", piece.len(), report.bytes, report.rate, report.waits, report.waited);
//!     }
//!     Ok(meter.report().bytes)
//! }
//! ```
//!
//! `next` is of any `StreamExt`: futures-lite's here, or that of futures-util or tokio-stream.
//!
//! ```
//! use bytes::Bytes;
//! use futures_lite::Stream;
//! use http_body::Body;
//! use sluicegate::limit::Rate;
//! use sluicegate::throttle::{pace_body, pace_stream};
//!
//! /// `download(response.bytes_stream())`
//! fn download<E>(pieces: impl Stream<Item = Result<Bytes, E>>) -> impl Stream<Item = Result<Bytes, E>> {
//!     pace_stream(pieces, Rate::mib_per_second(1))
//! }
//!
//! /// `client.put(url).body(reqwest::Body::wrap(upload(file)))`
//! fn upload(file: Bytes) -> impl Body<Data = Bytes> + Send + Sync {
//!     pace_body(http_body_util::Full::new(file), Rate::mib_per_second(1))
//! }
//! ```
//!
//! `reqwest::Body::wrap` asks for a body that is `Sync`, which axum's is not: hand such a one on as a stream,
//! `reqwest::Body::wrap_stream(pace_stream(body.into_data_stream(), rate))`.
//!
//! # A chain on bodies of hyper
//!
//! [`BodyGenerator`](crate::generator::BodyGenerator) takes any `http_body::Body`, and [`PacedBody`](crate::body::PacedBody) is one: `Send + Sync`, so that `.boxed()` takes it.
//!
//! ```
//! use bytes::Bytes;
//! use http_body_util::{BodyExt, combinators::BoxBody};
//! use sluicegate::body::{BodyError, PacedBody};
//! use sluicegate::clock::SystemClock;
//! use sluicegate::filter::{Chain, RateFilter};
//! use sluicegate::generator::BodyGenerator;
//! use sluicegate::limit::{Limit, Rate};
//!
//! fn paced(body: hyper::body::Incoming) -> BoxBody<Bytes, BodyError> {
//!     let chain = Chain::new().then(RateFilter::new(Limit::new(Rate::kib_per_second(60))));
//!     PacedBody::new(BodyGenerator::new(body), chain, SystemClock::shared()).boxed()
//! }
//! ```
//!
//! Files in a chain are read by a [`ReadFile`](crate::body::ReadFile) that you pass to [`with_files`](crate::body::PacedBody::with_files): one method, on your runtime's pool
//! of blocking threads.
//!
//! # The fleet quota
//!
//! A [`QuotaClient`](crate::quota::client) runs on tokio if its settings say so: [`run_in`](crate::quota::client::QuotaClientSettings::run_in) takes a
//! [`Runtime`](crate::quota::client::Runtime), which is two functions of ten lines.
//!
//! # axum and other tower services
//!
//! The feature `tower` has `throttle::PaceLayer`, which paces response bodies, and `PaceRequestLayer`, which paces what clients send: each by itself, those of a
//! client together, and all together.
#![cfg_attr(
    feature = "tower",
    doc = r##"
```
use sluicegate::budget::{ClientKey, Clients, Each, Node};
use sluicegate::{limit::{Budget, Rate}, throttle::{PaceLayer, PaceRequestLayer}};

let server = Node::at(Rate::mib_per_second(10));
let clients = Clients::new(server, "client", Rate::mib_per_second(1));
let each = Each::new("response", Budget::of(Rate::kib_per_second(200)).with_burst(100 << 10));
let key = |request: &http::request::Parts| match request.headers.get("x-api-key") {
    Some(key) => ClientKey::header(key.as_bytes()).unwrap_or(ClientKey::Local),
    None => ClientKey::Local,
};
let downloads = PaceLayer::by_client(&clients, key, each);
// What a client sends and what it gets is limited together: both are below the client's node.
let uploads = PaceRequestLayer::by_client(&clients, key, Each::new("upload", Budget::default()));
// axum::Router::new().route("/file", get(load).put(store)).layer(uploads).layer(downloads)
# drop((downloads, uploads));
```
"##
)]
