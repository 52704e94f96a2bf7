//! Guides to the library. This module holds documentation only; every example in it is compiled and run.
//!
//! | guide | for |
//! |---|---|
//! | [`filter`] | a filter of your own, on a bare chain, on a route or by name in a configuration |
//! | [`throttle`] | a pace on readers, writers, streams and listeners |
//! | [`limits`] | choosing between a [`Limit`](crate::limit::Limit) and a [`Node`](crate::budget::Node) |
//! | [`tokio`] | tower services such as axum, and other runtimes |
//!
//! The pages in `docs/` describe the server: pacing, configuration, operation. `docs/architecture.md` is the map of the code.

pub mod filter;
pub mod limits;
pub mod throttle;
pub mod tokio;
