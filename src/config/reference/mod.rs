//! All keys of a configuration, for people and for editors: an example with a comment on each, and a JSON Schema.
//!
//! The schema is what settings ask for as they read the example, with the example's comments: a key cannot be in one and
//! not in the other.

mod entries;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::document::Config;
use crate::keys::{Absent, ConfigError, Declared, Draft};

pub use schema::schema;

/// A configuration with a comment on each key, and all but a few of them left out. It serves the current folder.
pub const EXAMPLE: &str = include_str!("example.toml");

/// Forms of values that the example has no place for.
const OTHER_FORMS: &str = "listen = [{ address = '127.0.0.1:1', proxy_protocol = false }]
    [[class]]
    name = 'a'
    match = { network = '10.0.0.0/8' }
    limits.total.schedule = [{ during = 'Sun', weight = 2 }]
    [[route]]
    path = '/'
    files = '.'";

/// The example with the keys that it leaves out.
fn whole() -> String {
    EXAMPLE.split_inclusive('\n').map(|line| entries::left_out(line).unwrap_or(line)).collect()
}

/// The keys that settings ask for as they read `text`.
fn declared(text: &str) -> Result<Declared, ConfigError> {
    let draft = Draft::from_toml(text, "example", "");
    Config::read(&draft, &BTreeSet::new(), Absent::Unchecked)?;
    Ok(Declared::of(&draft))
}
