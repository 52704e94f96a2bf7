//! Guides to the library. This module holds documentation only; every example in it is compiled and run.
//!
//! | guide | for |
//! |---|---|
//! | [`filter`] | a filter of your own, on a bare chain, on a route or by name in a configuration |
//! | [`throttle`] | a pace on readers, writers, streams and listeners |
//! | [`limits`] | choosing between a [`Limit`](crate::limit::Limit) and a [`Node`](crate::budget::Node) |
//! | [`tokio`] | tower services such as axum, and other runtimes |
//! | [`server`] | the whole server in a program: files, and content of your own |
//!
//! # The paved path
//!
//! What most programs need, each with an example in its own documentation (`.ci/public_api.py` checks that):
//!
//! | for | items |
//! |---|---|
//! | a pace in one line | [`pace`](crate::throttle::pace), [`pace_stream`](crate::throttle::pace_stream), [`pace_body`](crate::throttle::pace_body) |
//! | streams under a limit | [`Throttle`](crate::throttle::Throttle), [`Incoming`](crate::throttle::Incoming), [`Node`](crate::budget::Node), [`Each`](crate::budget::Each), [`Clients`](crate::budget::Clients), [`ClientKey`](crate::budget::ClientKey) |
//! | tower services | [`PaceLayer`](crate::throttle::PaceLayer), [`PaceRequestLayer`](crate::throttle::PaceRequestLayer) |
//! | rates and sizes | [`Rate`](crate::limit::Rate), [`Size`](crate::limit::Size), [`Budget`](crate::limit::Budget), [`Limit`](crate::limit::Limit), [`Interval`](crate::limit::Interval) |
//! | chains of filters | [`Chain`](crate::filter::Chain), [`Filter`](crate::filter::Filter), [`RateFilter`](crate::filter::RateFilter), [`Step`](crate::filter::Step), [`Brigade`](crate::brigade::Brigade), [`Bucket`](crate::brigade::Bucket) |
//! | bodies | [`PacedBody`](crate::body::PacedBody), [`ReadFile`](crate::body::ReadFile), [`BodyGenerator`](crate::generator::BodyGenerator) |
//! | clocks | [`SystemClock`](crate::clock::SystemClock), [`ManualClock`](crate::clock::ManualClock) |
//! | a server | [`Server`](crate::http::server::Server), [`Route`](crate::http::route::Route), [`Handler`](crate::http::route::Handler), [`Config`](crate::config::Config), [`FilterKinds`](crate::config::FilterKinds) |
//! | its limits | [`Budgets`](crate::http::Budgets), [`SharedLimits`](crate::http::SharedLimits) |
//! | its listeners | [`Listener`](crate::rt::Listener), [`ListenAddr`](crate::address::ListenAddr), [`Admin`](crate::admin::Admin), [`Token`](crate::token::Token) |
//! | streams of events | [`Hub`](crate::events::Hub), [`Events`](crate::events::Events) |
//! | the fleet quota | [`QuotaClient`](crate::quota::client::QuotaClient), [`Runtime`](crate::quota::client::Runtime), [`Allocation`](crate::quota::client::Allocation), [`QuotaServer`](crate::quota::server::QuotaServer) |
//!
//! The pages in `docs/` describe the server: pacing, configuration, operation. `docs/architecture.md` is the map of the code.

pub mod filter;
pub mod limits;
pub mod server;
pub mod throttle;
pub mod tokio;
