//! What a whole process holds: descriptors, tasks, processor time, its log.
//!
//! A program of its own, because the tests of another would count here too; for the same reason its tests run one
//! after another, in [turns](testkit::wait::alone). A test opens nothing before its turn and leaves nothing behind it: the
//! next one counts.

mod backend;
mod faults;
mod quiet;
mod slow_reader;
mod soak;
