//! Keys of a configuration: what was given for them ([`Draft`]), and how settings read them ([`Keys`]).
//!
//! Settings read their keys in the module that acts on them: `SinkSettings::read(&keys)`. Reading declares: a key
//! that nobody asks for is unknown. What cannot be read is noted and left out, so that one pass finds all
//! faults; a check of several keys says nothing about one that could not be read.

mod draft;
mod on_disk;
mod read;
mod report;
mod table;
mod toml_file;

use std::fmt;

pub use draft::Draft;
pub(crate) use draft::{Entry, Node, Place, Value};
pub use on_disk::Absent;
pub(crate) use on_disk::{Kind, check_file};
pub(crate) use read::{LIKE, MAX_COUNT, NOTHING_AHEAD};
pub use report::ConfigError;
pub(crate) use report::{FaultKind, Reading};
pub(crate) use table::Keys;

/// Why a setting is refused beside the others: its key, and what is wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The key of the setting.
    pub key: &'static str,
    /// What is wrong, and what to do.
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.text)
    }
}
