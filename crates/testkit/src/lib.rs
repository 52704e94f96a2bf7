//! What the tests and benchmarks of Sluicegate share: servers, backends, clients, timelines.
//!
//! Everything here panics where a test would assert. A client waits at most [`wait::PATIENCE`] for what must
//! come, so a server that hangs fails a test instead of stopping it. Unit tests inside `sluicegate` can use only what
//! names none of its types, as [`recorder`]: they would see a second copy of the types under test.

pub mod backend;
pub mod certificates;
pub mod contrib;
pub mod exposition;
pub mod filters;
pub mod folder;
pub mod h2;
pub mod message;
pub mod panels;
pub mod patient;
pub mod poller;
pub mod process;
pub mod program;
pub mod recorder;
pub mod records;
pub mod report;
pub mod roles;
pub mod served;
pub mod skip;
pub mod sse;
pub mod task;
pub mod timeline;
pub mod tls;
pub mod token_file;
pub mod versions;
pub mod wait;
pub mod watched;
pub mod wire;
