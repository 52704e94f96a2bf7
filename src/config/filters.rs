//! Named filters: the tables `[filter.NAME]`, and the kinds that need none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Problem;
use super::raw::{EndOfStreamWord, Parsed};
use super::recover::{self, Faults};
use super::route::Pace;
use crate::filter::{GzipFactory, GzipLevel, MediaRange, MediaTypes};
use crate::limit::{Burst, Rate, Size};
use crate::words::shorten;
use crate::words::suggestion;

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
    types: Option<Spanned<Vec<Parsed<MediaRange>>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReplace {
    from: Spanned<String>,
    to: String,
    types: Option<Spanned<Vec<Parsed<MediaRange>>>>,
}

const KINDS: [&str; 4] = [RATE, "count", "gzip", "replace"];

/// Reads the tables of the file `text`, parsed as `tree`, in which also the kinds `custom` are known.
///
/// Read apart from the rest, because which keys a table has depends on its `kind`. One that is wrong is known
/// all the same: routes that name it have no mistake.
pub(super) fn read(text: &str, tree: &DeTable<'_>, custom: &BTreeSet<String>, faults: &mut Faults) -> Named {
    let mut named = Named { kinds: BTreeMap::new(), places: BTreeMap::new() };
    let Some(filters) = tree.get("filter") else { return named };
    let DeValue::Table(filters) = filters.get_ref() else {
        let text = "filter is not a table; write a [filter.NAME] for each";
        faults.push(Problem::new(Some(filters.span()), text));
        return named;
    };
    for (key, table) in filters.iter() {
        let name = key.get_ref().to_string();
        let mut reader = Reader { name: &name, place: key.span(), file: (text, tree), faults: &mut *faults };
        let kind = reader.kind(table, custom).unwrap_or(FilterKind::Count);
        named.places.insert(name.clone(), key.span());
        named.kinds.insert(name, kind);
    }
    named
}

/// Reads one table.
struct Reader<'a> {
    name: &'a str,
    /// Where the name stands.
    place: Range<usize>,
    file: (&'a str, &'a DeTable<'a>),
    faults: &'a mut Faults,
}

impl Reader<'_> {
    fn fault(&mut self, at: Range<usize>, text: impl fmt::Display) {
        let text = format!("[filter.{}]: {text}", shorten(self.name));
        self.faults.push(Problem::new(Some(at), text));
    }

    fn kind(&mut self, table: &Spanned<DeValue<'_>>, custom: &BTreeSet<String>) -> Option<FilterKind> {
        let place = self.place.clone();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if self.name.is_empty() || !self.name.chars().all(is_plain) {
            self.fault(place.clone(), "a filter's name has letters, digits, `-` and `_` only");
        }
        let DeValue::Table(keys) = table.get_ref() else {
            self.fault(place, "this is not a table; write its `kind` and settings as keys");
            return None;
        };
        let known: Vec<&str> = KINDS.into_iter().chain(custom.iter().map(String::as_str)).collect();
        let Some(kind) = keys.get("kind") else {
            self.fault(place, format!("its kind is missing; write one of {}", known.join(", ")));
            return None;
        };
        let at = kind.span();
        let Some(kind) = kind.get_ref().as_str() else {
            self.fault(at, format!("its kind is not a text; write one of {}", known.join(", ")));
            return None;
        };
        if !known.contains(&kind) {
            self.fault(at, format!("no kind is called {:?}; {}", shorten(kind), suggestion(kind, &known)));
            return None;
        }
        if self.name == RATE {
            self.fault(place, "\"rate\" is the pace a route sets itself; choose another name");
        } else if self.name != kind && known.contains(&self.name) {
            self.fault(at, format!("{:?} is the name of another kind; choose another name", self.name));
        }
        let mut keys = keys.clone();
        keys.remove("kind");
        self.settings(kind, &keys, table.span())
    }

    fn settings(&mut self, kind: &str, keys: &DeTable<'_>, span: Range<usize>) -> Option<FilterKind> {
        Some(match kind {
            RATE => {
                let raw: RawRate = recover::read(keys, span, self.file, self.faults)?;
                let end_of_stream = raw.end_of_stream.map(|word| word.0).unwrap_or_default();
                let burst = raw.burst.unwrap_or_default();
                FilterKind::Rate(Pace { rate: Some(raw.rate), burst, end_of_stream })
            }
            "count" => {
                let RawCount {} = recover::read(keys, span, self.file, self.faults)?;
                FilterKind::Count
            }
            "gzip" => {
                let raw: RawGzip = recover::read(keys, span, self.file, self.faults)?;
                let default = GzipSettings::default();
                let level = raw.level.map(|level| (level.span(), u8::try_from(level.into_inner())));
                let level =
                    level.map(|(at, level)| (at, level.ok().and_then(|level| GzipLevel::new(level).ok())));
                if let Some((at, None)) = &level {
                    self.fault(at.clone(), "level is not one of 1 (quick) to 9 (small)");
                }
                FilterKind::Gzip(GzipSettings {
                    level: level.and_then(|(_, level)| level).unwrap_or(default.level),
                    min_size: raw.min_size.unwrap_or(default.min_size),
                    types: self.media_types(raw.types),
                })
            }
            "replace" => {
                let raw: RawReplace = recover::read(keys, span, self.file, self.faults)?;
                if raw.from.get_ref().is_empty() {
                    self.fault(raw.from.span(), "from is empty; write the text to be replaced");
                }
                let types = self.media_types(raw.types);
                FilterKind::Replace(ReplaceSettings { from: raw.from.into_inner(), to: raw.to, types })
            }
            custom => {
                let options = recover::read(keys, span, self.file, self.faults)?;
                FilterKind::Custom { kind: custom.to_owned(), options }
            }
        })
    }

    fn media_types(&mut self, types: Option<Spanned<Vec<Parsed<MediaRange>>>>) -> MediaTypes {
        let Some(types) = types else { return MediaTypes::text() };
        // What could not be read is no longer in it.
        if types.get_ref().is_empty() && !self.faults.is_told(&types.span()) {
            self.fault(self.place.clone(), "types is empty; name some, or leave it out for texts");
        }
        types.into_inner().into_iter().map(|range| range.0).collect()
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
