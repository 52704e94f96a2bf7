//! HTTP: the server, its routes, and the two sources of content: files and upstreams.

pub mod answer;
mod assembly;
pub mod content;
pub mod files;
pub mod peer;
pub mod proxy;
pub mod route;
pub mod server;

pub use assembly::{AssemblyError, FilterKinds};
