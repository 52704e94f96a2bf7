//! Named filters: the tables `[filter.NAME]`, and the kinds that need none.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::error::{Problem, shorten, suggestion};
use super::raw::{EndOfStreamWord, Parsed};
use super::route::Pace;
use crate::filter::{GzipFactory, GzipLevel, MediaRange, MediaTypes};
use crate::limit::{Burst, Rate, Size};

/// The name under which a route's own pace stands among its filters.
pub(super) const RATE: &str = "rate";

/// What a named filter is.
#[derive(Clone, Debug, PartialEq)]
pub enum FilterKind {
    /// The route's own pace: what the bare name `rate` stands for.
    RoutePace,
    /// Another pace than the route's, for instance before a filter that changes the length.
    Rate(Pace),
    /// Counts what passes, on all routes that name it together; the server logs the sums when it ends.
    Count,
    /// Codes the content with gzip for clients that take it.
    Gzip(GzipSettings),
    /// Replaces a text.
    Replace(ReplaceSettings),
    /// A kind that the program added, with the other keys of its table.
    Custom {
        /// The kind's name, as it was given to [`Loader::filter_kind`](super::Loader::filter_kind).
        kind: String,
        /// What stands in the table beside `kind`; to be checked by who made the kind.
        options: toml::Table,
    },
}

impl FilterKind {
    /// The kinds that can be used on a route without a table.
    pub const BUILT_IN: [&str; 3] = [RATE, "count", "gzip"];

    /// What `name` means without a table.
    pub fn built_in(name: &str) -> Option<Self> {
        match name {
            RATE => Some(Self::RoutePace),
            "count" => Some(Self::Count),
            "gzip" => Some(Self::Gzip(GzipSettings::default())),
            _ => None,
        }
    }
}

/// What is coded with gzip, and how hard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GzipSettings {
    /// 1 (quick) to 9 (small). Default 6.
    pub level: GzipLevel,
    /// Bodies known to be shorter than this stay as they are. Default [`GzipFactory::MIN_SIZE`].
    pub min_size: Size,
    /// The media types that are coded. Default: texts.
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

/// Which text is replaced by which, and in what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplaceSettings {
    /// Never empty.
    pub from: String,
    /// May be empty: then `from` is taken out.
    pub to: String,
    /// The media types in which it is done. Default: texts.
    pub types: MediaTypes,
}

/// The filters that have tables, each with the place of its name for warnings.
pub(super) struct Named {
    pub(super) kinds: BTreeMap<String, FilterKind>,
    pub(super) places: BTreeMap<String, std::ops::Range<usize>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRate {
    rate: Rate,
    burst: Option<Burst>,
    end_of_stream: Option<EndOfStreamWord>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCount {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGzip {
    level: Option<Spanned<i64>>,
    min_size: Option<Size>,
    types: Option<Vec<Parsed<MediaRange>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReplace {
    from: Spanned<String>,
    to: String,
    types: Option<Vec<Parsed<MediaRange>>>,
}

const KINDS: [&str; 4] = [RATE, "count", "gzip", "replace"];

/// Reads the tables of the file `text`, parsed as `tree`, in which also the kinds `custom` are known.
///
/// Read apart from the rest, because which keys a table has depends on its `kind`.
pub(super) fn read(
    text: &str,
    tree: &DeTable<'_>,
    custom: &BTreeSet<String>,
    problems: &mut Vec<Problem>,
) -> Named {
    let mut named = Named { kinds: BTreeMap::new(), places: BTreeMap::new() };
    let Some(filters) = tree.get("filter") else { return named };
    let DeValue::Table(filters) = filters.get_ref() else {
        let text = "filter is not a table; write a [filter.NAME] for each";
        problems.push(Problem::new(Some(filters.span()), text));
        return named;
    };
    for (name, table) in filters.iter() {
        let place = name.span();
        match read_one(name.get_ref(), table, custom) {
            Ok(kind) => {
                named.kinds.insert(name.get_ref().to_string(), kind);
                named.places.insert(name.get_ref().to_string(), place);
            }
            Err(Fault::Ours(at, text)) => {
                let text = format!("[filter.{}]: {text}", shorten(name.get_ref()));
                problems.push(Problem::new(Some(at.unwrap_or(place)), text));
            }
            Err(Fault::Toml(error)) => problems.push(Problem::from_toml(&error, text, Some(tree))),
        }
    }
    named
}

enum Fault {
    Ours(Option<std::ops::Range<usize>>, String),
    Toml(toml::de::Error),
}

impl From<toml::de::Error> for Fault {
    fn from(error: toml::de::Error) -> Self {
        Self::Toml(error)
    }
}

fn read_one(
    name: &str,
    table: &Spanned<DeValue<'_>>,
    custom: &BTreeSet<String>,
) -> Result<FilterKind, Fault> {
    let ours = |at, text: String| Err(Fault::Ours(at, text));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || !name.chars().all(is_plain) {
        return ours(None, "a filter's name has letters, digits, `-` and `_` only".to_owned());
    }
    let DeValue::Table(keys) = table.get_ref() else {
        return ours(None, "this is not a table; write its `kind` and settings as keys".to_owned());
    };
    let known: Vec<&str> = KINDS.into_iter().chain(custom.iter().map(String::as_str)).collect();
    let Some(kind) = keys.get("kind") else {
        return ours(None, format!("its kind is missing; write one of {}", known.join(", ")));
    };
    let at = Some(kind.span());
    let Some(kind) = kind.get_ref().as_str() else {
        return ours(at, format!("its kind is not a text; write one of {}", known.join(", ")));
    };
    if !known.contains(&kind) {
        return ours(at, format!("no kind is called {:?}; {}", shorten(kind), suggestion(kind, &known)));
    }
    if name == RATE {
        return ours(None, "\"rate\" is the pace a route sets itself; choose another name".to_owned());
    }
    if name != kind && known.contains(&name) {
        return ours(at, format!("{name:?} is the name of another kind; choose another name"));
    }
    let mut keys = keys.clone();
    keys.remove("kind");
    let rest = ValueDeserializer::from(Spanned::new(table.span(), DeValue::Table(keys)));
    Ok(match kind {
        RATE => {
            let raw = RawRate::deserialize(rest)?;
            let end_of_stream = raw.end_of_stream.map(|word| word.0).unwrap_or_default();
            let burst = raw.burst.unwrap_or_default();
            FilterKind::Rate(Pace { rate: Some(raw.rate), burst, end_of_stream })
        }
        "count" => {
            RawCount::deserialize(rest)?;
            FilterKind::Count
        }
        "gzip" => {
            let raw = RawGzip::deserialize(rest)?;
            let default = GzipSettings::default();
            let level = match raw.level {
                None => default.level,
                Some(level) => {
                    let read =
                        u8::try_from(*level.get_ref()).ok().and_then(|level| GzipLevel::new(level).ok());
                    match read {
                        Some(level) => level,
                        None => {
                            return ours(
                                Some(level.span()),
                                "level is not one of 1 (quick) to 9 (small)".to_owned(),
                            );
                        }
                    }
                }
            };
            let types = media_types(raw.types)?;
            FilterKind::Gzip(GzipSettings {
                level,
                min_size: raw.min_size.unwrap_or(default.min_size),
                types,
            })
        }
        "replace" => {
            let raw = RawReplace::deserialize(rest)?;
            if raw.from.get_ref().is_empty() {
                return ours(
                    Some(raw.from.span()),
                    "from is empty; write the text to be replaced".to_owned(),
                );
            }
            let types = media_types(raw.types)?;
            FilterKind::Replace(ReplaceSettings { from: raw.from.into_inner(), to: raw.to, types })
        }
        custom => FilterKind::Custom { kind: custom.to_owned(), options: toml::Table::deserialize(rest)? },
    })
}

fn media_types(types: Option<Vec<Parsed<MediaRange>>>) -> Result<MediaTypes, Fault> {
    match types {
        None => Ok(MediaTypes::text()),
        Some(types) if types.is_empty() => {
            Err(Fault::Ours(None, "types is empty; name some, or leave it out for texts".to_owned()))
        }
        Some(types) => Ok(types.into_iter().map(|range| range.0).collect()),
    }
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
