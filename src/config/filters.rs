//! Filters by name: the tables `[filter.NAME]`, and the kinds that need no table.

use std::collections::{BTreeMap, BTreeSet};

use super::pace::Pace;
use crate::filter::{GzipFactory, GzipLevel, MediaRange, MediaTypes};
use crate::keys::{Entry, Keys, Node, Place, Value};
use crate::limit::Size;
use crate::words::{shorten, suggestion};

/// The name of a route's own pace among its filters.
pub(super) const RATE: &str = "rate";

/// A kind of filter with its settings.
#[derive(Clone, Debug, PartialEq)]
pub enum FilterKind {
    /// The route's own pace, named `rate`.
    RoutePace,
    /// A pace besides the route's, for instance before a filter that changes the length.
    Rate(Pace),
    /// Counts streams and bytes over all routes that name it; the totals are logged at exit.
    Count,
    /// Compresses with gzip for clients that accept it.
    Gzip(GzipSettings),
    /// Replaces a text.
    Replace(ReplaceSettings),
    /// A kind that the program added.
    Custom {
        /// The kind's name, as it was given to [`Loader::filter_kind`](super::Loader::filter_kind).
        kind: String,
        /// The other keys of the table, checked when the filter is made.
        options: toml::Table,
    },
}

impl FilterKind {
    /// Kinds that a route can use without a table.
    pub const BUILT_IN: [&str; 3] = [RATE, "count", "gzip"];

    /// Returns the kind `name` with its default settings, if it needs no table.
    pub fn built_in(name: &str) -> Option<Self> {
        match name {
            RATE => Some(Self::RoutePace),
            "count" => Some(Self::Count),
            "gzip" => Some(Self::Gzip(GzipSettings::default())),
            _ => None,
        }
    }
}

/// Settings of gzip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GzipSettings {
    /// Compression level, 1 (fastest) to 9 (smallest). Default 6.
    pub level: GzipLevel,
    /// Bodies known to be shorter than this are not compressed. Default [`GzipFactory::MIN_SIZE`].
    pub min_size: Size,
    /// Media types that are compressed. Default: text.
    pub types: MediaTypes,
}

impl Default for GzipSettings {
    fn default() -> Self {
        Self {
            level: GzipLevel::default(),
            min_size: Size::new(GzipFactory::MIN_SIZE),
            types: MediaTypes::text(),
        }
    }
}

/// Settings of a replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplaceSettings {
    /// Text that is replaced; never empty.
    pub from: String,
    /// Replacement; empty to remove `from`.
    pub to: String,
    /// Media types in which it is done. Default: text.
    pub types: MediaTypes,
}

const KINDS: [&str; 4] = [RATE, "count", "gzip", "replace"];

/// The filters that have tables, by their names, with the places of these.
pub(super) type Named = BTreeMap<String, (Place, FilterKind)>;

/// Reads `filters`, the table of tables `[filter.NAME]`. The kinds `custom` are known too.
///
/// A filter that is wrong is known all the same: routes that name it have no mistake.
pub(super) fn read(filters: &Keys<'_>, custom: &BTreeSet<String>) -> Named {
    let mut named = Named::new();
    for entry in filters.all() {
        let kind = match filters.inner(entry) {
            Some(keys) => kind(&entry.name, &entry.at, &keys, custom),
            None => {
                let text =
                    "this is not a table; filters are named, so write kind and settings below [filter.NAME]";
                filters.table_fault(entry.at.clone(), format!("[filter.{}]: {text}", shorten(&entry.name)));
                None
            }
        };
        named.insert(entry.name.clone(), (entry.at.clone(), kind.unwrap_or(FilterKind::Count)));
    }
    named
}

/// Reads the filter `name`, which stands at `at`.
fn kind(name: &str, at: &Place, keys: &Keys<'_>, custom: &BTreeSet<String>) -> Option<FilterKind> {
    let fault = |at: &Place, text: String| keys.table_fault(at.clone(), format!("{}: {text}", keys.name()));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || !name.chars().all(is_plain) {
        fault(at, "a filter's name has letters, digits, `-` and `_` only".to_owned());
    }
    keys.hide("kind");
    let known: Vec<&str> = KINDS.into_iter().chain(custom.iter().map(String::as_str)).collect();
    let kind: Option<String> = keys.parse("kind");
    let Some(kind) = kind.filter(|kind| known.contains(&kind.as_str())) else {
        // Which keys it has depends on its kind.
        match keys.all().iter().find(|entry| entry.name == "kind") {
            None => fault(at, format!("its kind is missing; write one of {}", known.join(", "))),
            Some(Entry { node: Node { value: Value::Text(kind), at }, .. }) => {
                fault(at, format!("no kind is called {:?}; {}", shorten(kind), suggestion(kind, &known)));
            }
            Some(_) => {}
        }
        return None;
    };
    if name == RATE {
        fault(at, "\"rate\" is the pace a route sets itself; choose another name".to_owned());
    } else if name != kind && known.contains(&name) {
        keys.table_fault_at(
            "kind",
            format!("{}: {name:?} is the name of another kind; choose another name", keys.name()),
        );
    }
    Some(match kind.as_str() {
        RATE => {
            keys.require("rate");
            FilterKind::Rate(Pace::read(keys, keys.rates_on("rate").unwrap_or_default()))
        }
        "count" => FilterKind::Count,
        "gzip" => FilterKind::Gzip(GzipSettings::read(keys, at)),
        "replace" => FilterKind::Replace(ReplaceSettings::read(keys, at)),
        _ => {
            let rest = keys.all().iter().filter(|entry| entry.name != "kind");
            let options = rest.map(|entry| (entry.name.clone(), entry.node.value.to_toml())).collect();
            FilterKind::Custom { kind, options }
        }
    })
}

impl GzipSettings {
    fn read(keys: &Keys<'_>, at: &Place) -> Self {
        let default = Self::default();
        let level = keys.number("level", 1..=9).and_then(|level| GzipLevel::new(level as u8).ok());
        Self {
            level: level.unwrap_or(default.level),
            min_size: keys.amount("min_size", str::parse::<Size>).unwrap_or(default.min_size),
            types: read_types(keys, at),
        }
    }
}

impl ReplaceSettings {
    fn read(keys: &Keys<'_>, at: &Place) -> Self {
        keys.require("from");
        keys.require("to");
        let from: Option<String> = keys.parse("from");
        if from.as_ref().is_some_and(String::is_empty) {
            keys.fault("from", "it is empty; write the text to be replaced");
        }
        let to = keys.parse("to").unwrap_or_default();
        Self { from: from.unwrap_or_default(), to, types: read_types(keys, at) }
    }
}

fn read_types(keys: &Keys<'_>, at: &Place) -> MediaTypes {
    let types: Option<Vec<MediaRange>> = keys.values("types");
    if types.as_ref().is_some_and(Vec::is_empty) && !keys.failed(&["types"]) {
        let text = format!("{}: types is empty; name some, or leave it out for texts", keys.name());
        keys.table_fault(at.clone(), text);
    }
    types.map_or_else(MediaTypes::text, |types| types.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_name_has_a_kind() {
        assert!(FilterKind::BUILT_IN.iter().all(|name| FilterKind::built_in(name).is_some()));
        assert!(FilterKind::BUILT_IN.iter().all(|name| KINDS.contains(name)));
    }
}
