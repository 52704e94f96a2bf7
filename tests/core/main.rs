//! The core on a manual clock: filters, chains, limits, the tree of budgets, bodies and throttled streams.
//!
//! No test here waits for real time or looks at a socket of the server.

mod any_chain;
mod body;
mod budget;
mod chain;
mod contract;
mod filter_heads;
mod filters;
mod pacing;
mod properties;
mod properties_drive;
mod properties_rates;
mod throttle;
mod tree;
mod units;
