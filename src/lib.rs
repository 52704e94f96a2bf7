//! Sluicegate lets bytes out at a set pace.

pub mod admin;
pub mod body;
pub mod brigade;
pub mod clock;
pub mod config;
mod excerpt;
pub mod filter;
pub mod generator;
pub mod http;
pub mod limit;
pub mod rt;
pub mod sink;
pub mod telemetry;
