//! What is wrong with a configuration: where it stands, what it is, and what to do.

use std::fmt;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::raw::TOP_LEVEL;
use crate::excerpt::excerpt;
use crate::words::{shorten, suggestion};

/// Why a configuration cannot be used.
///
/// The text has one line for each thing found wrong, in the order of the file:
/// `FILE:LINE:COLUMN: what is wrong; what to do`.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Never empty.
    lines: Vec<String>,
}

impl ConfigError {
    pub(super) fn new(line: String) -> Self {
        Self { lines: vec![line] }
    }

    /// One line for each of `problems`, with its place in `text`, which was read from the file `name`.
    pub(super) fn at(name: &str, text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.at.as_ref().map(|at| at.start));
        Self { lines: problems.iter().map(|problem| problem.render(name, text)).collect() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConfigError").field(&self.lines).finish()
    }
}

impl std::error::Error for ConfigError {}

/// Something wrong at a place of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// Bytes from the beginning of the file; `None` where the file as a whole is meant.
    pub(super) at: Option<Range<usize>>,
    pub(super) text: String,
}

impl Problem {
    pub(super) fn new(at: Option<Range<usize>>, text: impl Into<String>) -> Self {
        Self { at, text: text.into() }
    }

    /// What toml or serde found, in our words where ours help more.
    ///
    /// `tree` is the parsed file `text`; without it the error is one of syntax.
    pub(super) fn from_toml(error: &toml::de::Error, text: &str, tree: Option<&DeTable<'_>>) -> Self {
        let at = error.span();
        let message = error.message();
        let place = tree.zip(at.as_ref()).and_then(|(tree, at)| Place::find(tree, at));
        let text = if let Some(rest) = message.strip_prefix("unknown field ") {
            unknown("key", rest, &place.unwrap_or_default().table())
        } else if let Some(rest) = message.strip_prefix("unknown variant ") {
            unknown("value", rest, &format!("for {}", place.unwrap_or_default()))
        } else if let Some(rest) = message.strip_prefix("missing field ") {
            let key = rest.trim_matches('`');
            format!("{key:?} is missing {}; it is needed there", place.unwrap_or_default().table())
        } else {
            // serde has the value in it, of whatever length.
            let message = excerpt(message.trim_end(), 200);
            let there = at.clone().and_then(|at| text.get(at)).unwrap_or_default();
            match place {
                Some(place) => format!("{place}: {message}"),
                None if message == "duplicate key" => {
                    format!("the key {:?} stands in this table twice; leave one out", shorten(there))
                }
                None => format!("this is not TOML: {message}"),
            }
        };
        Self { at, text }
    }

    /// The line of this problem: with file, line and column, both from 1, the column in characters.
    pub(super) fn render(&self, name: &str, text: &str) -> String {
        let Some(at) = &self.at else { return format!("{name}: {}", self.text) };
        let mut end = at.start.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &text[..end];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("{name}:{line}:{column}: {}", self.text)
    }
}

/// What serde says behind "unknown field" or "unknown variant", with the nearest of the known ones.
fn unknown(what: &str, rest: &str, place: &str) -> String {
    // "`rats`, expected one of `path`, `rate`"
    let (given, expected) =
        rest.strip_prefix('`').and_then(|rest| rest.split_once("`, ")).unwrap_or((rest, ""));
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let is_setting = TOP_LEVEL.contains(&given)
        && !matches!(given, "limits" | "sink" | "quota" | "tracing" | "filter" | "route");
    if what == "key" && is_setting {
        return format!("{given} cannot stand {place}; write it at the top, before the first [table]");
    }
    format!("unknown {what} {:?} {place}; {}", shorten(given), suggestion(given, &known))
}

/// A place in the file by its names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Place {
    /// The table as its header would spell it; empty at the top level.
    table: String,
    /// The key whose value is meant, if it is not the table.
    key: Option<String>,
}

impl Place {
    /// The place in `tree` whose span holds `at`.
    fn find(tree: &DeTable<'_>, at: &Range<usize>) -> Option<Self> {
        Self::find_within(tree, "", at)
    }

    fn find_within(table: &DeTable<'_>, path: &str, at: &Range<usize>) -> Option<Self> {
        let holds = |span: Range<usize>| span.start <= at.start && at.end <= span.end;
        let header = |open: &str, close: &str| match path {
            "" => String::new(),
            path => format!("{open}{path}{close}"),
        };
        for (key, value) in table.iter() {
            let name = shorten(key.get_ref());
            let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            if holds(key.span()) {
                return Some(Self { table: header("[", "]"), key: Some(name) });
            }
            let tables: Vec<&DeTable<'_>> = match value.get_ref() {
                DeValue::Table(inner) => vec![inner],
                DeValue::Array(items) => items.iter().filter_map(|item| item.get_ref().as_table()).collect(),
                _ => Vec::new(),
            };
            let is_array = value.get_ref().is_array();
            let found = tables.into_iter().find_map(|inner| Self::find_within(inner, &below, at));
            if let Some(mut place) = found {
                if is_array && place.table == format!("[{below}]") {
                    place.table = format!("[[{below}]]");
                }
                return Some(place);
            }
            if holds(value.span()) {
                return Some(match value.get_ref() {
                    DeValue::Table(_) => Self { table: format!("[{below}]"), key: None },
                    DeValue::Array(items) if items.iter().any(|item| item.get_ref().is_table()) => {
                        Self { table: format!("[[{below}]]"), key: None }
                    }
                    _ => Self { table: header("[", "]"), key: Some(name) },
                });
            }
            if let DeValue::Array(items) = value.get_ref()
                && items.iter().any(|item| item.get_ref().is_table() && holds(item.span()))
            {
                return Some(Self { table: format!("[[{below}]]"), key: None });
            }
        }
        None
    }

    /// The table alone, with the word before it.
    fn table(&self) -> String {
        if self.table.is_empty() { "at the top level".to_owned() } else { format!("in {}", self.table) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) if self.table.is_empty() => f.write_str(key),
            Some(key) => write!(f, "{key} in {}", self.table),
            None if self.table.is_empty() => f.write_str("the file"),
            None => f.write_str(&self.table),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_from_one() {
        let text = "a = 1\nb = \"äöü\" x";
        let at = |offset| Problem::new(Some(offset..offset), "").render("f", text);
        assert_eq!(at(0), "f:1:1: ");
        assert_eq!(at(6), "f:2:1: ");
        assert_eq!(at(text.len() - 1), "f:2:11: ");
        assert_eq!(at(text.len() + 5), "f:2:12: ", "behind the end");
        assert_eq!(at(12), "f:2:6: ", "within a character");
    }
}
