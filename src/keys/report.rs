//! Faults of a configuration as they are found, and the lines that tell them.

use std::cell::RefCell;
use std::fmt;

use super::draft::{Draft, Place, Table, Value};
use super::on_disk::Absent;
use crate::words::{shorten, suggestion};

/// The most faults that are listed.
pub(super) const MAX_FAULTS: usize = 50;

/// Why a configuration cannot be used.
///
/// The text has one line for each thing found wrong: `FILE:LINE:COLUMN: what is wrong; what to do`, in the order of
/// the file, or `--flag: what is wrong; what to do`, in the order of the flags.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Never empty.
    lines: Vec<String>,
    is_usage: bool,
}

impl ConfigError {
    pub(crate) fn new(line: String) -> Self {
        Self { lines: vec![line], is_usage: false }
    }

    /// Whether flags are wrong, whatever the file and the disk are like.
    pub fn is_usage(&self) -> bool {
        self.is_usage
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// A value is wrong in itself.
    Value,
    /// A key is not known where it stands.
    Unknown,
    /// Values do not go together, or something is missing.
    Check,
    /// Something is not there when the server is to start.
    OnDisk,
    /// It does no harm.
    Warning,
}

struct Found {
    kind: FaultKind,
    at: Place,
    text: String,
}

/// A draft that is being read, and what was found wrong with it so far.
pub(crate) struct Reading<'a> {
    pub(super) draft: &'a Draft,
    pub(super) absent: Absent,
    found: RefCell<Vec<Found>>,
}

impl<'a> Reading<'a> {
    /// Reads `draft`; `absent` is what paths to nothing are.
    pub(crate) fn new(draft: &'a Draft, absent: Absent) -> Self {
        let reading = Self { draft, absent, found: RefCell::default() };
        for (at, text) in &draft.syntax {
            reading.note(FaultKind::Value, at.clone().into(), text.clone());
        }
        for (at, text) in &draft.rejected {
            let Place::Flag(index) = at else { continue };
            reading.note(FaultKind::Value, at.clone(), format!("{}: {text}", draft.flags[*index].0));
        }
        reading
    }

    /// Notes what is wrong at a place.
    pub(crate) fn note(&self, kind: FaultKind, at: Place, text: String) {
        self.found.borrow_mut().push(Found { kind, at, text });
    }

    /// Whether nothing was found so far but warnings.
    pub(crate) fn is_good(&self) -> bool {
        self.found.borrow().iter().all(|found| found.kind == FaultKind::Warning)
    }

    /// Looks for keys that nobody asked for. Returns the warnings if nothing is wrong.
    pub(crate) fn finish(self) -> Result<Vec<String>, ConfigError> {
        self.find_unknown(&self.draft.root, &Place::Whole);
        let mut found = self.found.take();
        if let Some(end) = self.draft.readable_to {
            // What could not be read may be what others miss.
            found.retain(|found| {
                let is_there = matches!(found.at, Place::File(start, _) if start <= end);
                is_there && matches!(found.kind, FaultKind::Value | FaultKind::Unknown)
            });
        }
        let is_warning = |found: &Found| match found.kind {
            FaultKind::Warning => true,
            FaultKind::OnDisk => self.absent == Absent::Warning,
            _ => false,
        };
        found.sort_by(|a, b| a.at.cmp(&b.at));
        let is_typed = |found: &Found| {
            matches!(found.at, Place::Flag(_))
                && !matches!(found.kind, FaultKind::OnDisk | FaultKind::Warning)
        };
        let is_usage = found.iter().any(is_typed);
        if found.iter().all(is_warning) {
            return Ok(found.iter().map(|found| self.line(found)).collect());
        }
        if is_usage {
            let is_value = |found: &Found| is_typed(found) && found.kind == FaultKind::Value;
            let values_alone = found.iter().any(is_value);
            // What flags mean together is told when each is good.
            found.retain(|found| if values_alone { is_value(found) } else { is_typed(found) });
        }
        let lines = found.iter().filter(|found| !is_warning(found)).take(MAX_FAULTS);
        Err(ConfigError { lines: lines.map(|found| self.line(found)).collect(), is_usage })
    }

    fn find_unknown(&self, table: &Table, at: &Place) {
        let seen = table.seen.borrow();
        let header = seen.header.as_deref().or_else(|| (*at == Place::Whole).then_some(""));
        let Some(header) = header else { return };
        let is_known = |entry: &str| seen.is_open || seen.known.iter().any(|(key, _)| *key == entry);
        let mut is_odd = false;
        for entry in &table.entries {
            if !is_known(&entry.name) {
                is_odd = true;
                self.note(FaultKind::Unknown, entry.at.clone(), self.unknown(&entry.name, header, table));
            }
            match &entry.node.value {
                Value::Table(inner) => self.find_unknown(inner, &entry.node.at),
                Value::List(items) => {
                    for item in items {
                        if let Value::Table(inner) = &item.value {
                            self.find_unknown(inner, &item.at);
                        }
                    }
                }
                _ => {}
            }
        }
        if is_odd {
            // What the table misses may be what the unknown key was meant to be.
            self.found.borrow_mut().retain(|found| found.kind != FaultKind::Check || found.at != *at);
        }
    }

    fn unknown(&self, key: &str, header: &str, table: &Table) -> String {
        let top = self.draft.root.seen.borrow();
        let place = if header.is_empty() { "at the top level".to_owned() } else { format!("in {header}") };
        if top.known.iter().any(|(known, shape)| *known == key && !shape.is_table()) && !header.is_empty() {
            return format!("{key} cannot stand {place}; write it at the top, before the first [table]");
        }
        let seen = table.seen.borrow();
        let known = seen.known.iter().map(|(key, _)| *key).filter(|key| Some(*key) != seen.hidden);
        let known: Vec<&str> = known.collect();
        format!("unknown key {:?} {place}; {}", shorten(key), suggestion(key, &known))
    }

    /// The line that tells of `found`; lines and columns from 1, columns in characters.
    fn line(&self, found: &Found) -> String {
        let text = &found.text;
        match (&found.at, &self.draft.file) {
            (Place::File(start, _), Some((name, file))) => {
                let (line, column) = line_and_column(file, *start);
                format!("{name}:{line}:{column}: {text}")
            }
            (Place::Whole, Some((name, _))) => format!("{name}: {text}"),
            _ => text.clone(),
        }
    }
}

/// The line and column of the byte at `offset`, from 1; columns in characters.
fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_from_one() {
        let text = "a = 1\nb = \"äöü\" x";
        for (offset, expected) in [
            (0, (1, 1)),
            (6, (2, 1)),
            (text.len() - 1, (2, 11)),
            // Behind the end, and within a character.
            (text.len() + 5, (2, 12)),
            (12, (2, 6)),
        ] {
            assert_eq!(line_and_column(text, offset), expected, "{offset}");
        }
    }
}
