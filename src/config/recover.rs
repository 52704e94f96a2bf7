//! Reading on behind a mistake, so that all mistakes of a file are told.
//!
//! serde ends at the first thing it cannot read. That is told, and put right or taken out of the tree; then it
//! reads again, until it gets through. So a key needs nothing for this but its field. What is checked
//! afterwards must not blame others for the gap: a value that they depend on gets a stand-in, and what is
//! found at a place that was told of already is passed over.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::error::Problem;

/// The most mistakes of a file that are told.
pub(super) const MAX_PROBLEMS: usize = 50;

/// Good values of keys that others depend on. For a missing key they are put in, for a bad one in its place;
/// where they are no better, the key is taken out.
const STAND_INS: [(&str, &str); 18] = [
    ("path", "/a-path-that-could-not-be-read/"),
    ("files", "."),
    ("proxy", "http://127.0.0.1:1"),
    ("rate", "1"),
    ("buffer", "64m"),
    ("listen", "127.0.0.1:0"),
    ("file", "."),
    ("to", "127.0.0.1:1"),
    ("admin", "127.0.0.1:0"),
    ("admin_token_file", "."),
    ("server", "http://127.0.0.1:1"),
    ("client_id", "a-name"),
    ("tls_ca", "."),
    ("tls_cert", "."),
    ("tls_key", "."),
    ("kind", "count"),
    ("from", "a"),
    ("otlp", "http://127.0.0.1:1"),
];

/// What was found so far, and where.
#[derive(Debug, Default)]
pub(super) struct Faults {
    problems: Vec<Problem>,
    /// Places that were told of; what is found there besides is a consequence.
    told: BTreeSet<(usize, usize)>,
    /// Tables that had unknown keys.
    odd: BTreeSet<(usize, usize)>,
    /// Names of keys that were taken out.
    lost: BTreeSet<String>,
    /// From here on the file could not be read: what seems to be missing may stand there.
    pub(super) readable_to: Option<usize>,
}

impl Faults {
    /// Notes a problem, unless its place was told of already.
    pub(super) fn push(&mut self, problem: Problem) {
        let known = problem.at.as_ref().is_some_and(|at| self.is_told(at));
        let beyond = problem.at.as_ref().zip(self.readable_to).is_some_and(|(at, end)| at.start >= end);
        if !known && !beyond {
            self.problems.push(problem);
        }
    }

    /// Notes a problem of which nothing else at its place is independent.
    pub(super) fn push_alone(&mut self, problem: Problem) {
        let at = problem.at.clone();
        self.push(problem);
        if let Some(at) = at {
            self.told.insert((at.start, at.end));
        }
    }

    /// Whether a problem at exactly this place was found while the file was read.
    pub(super) fn is_told(&self, at: &Range<usize>) -> bool {
        self.told.contains(&(at.start, at.end))
    }

    /// Whether one of these keys could not be read at some place of the file.
    pub(super) fn has_lost(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.lost.contains(*key))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.problems.len()
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }
}

/// Parses `text` as far as it is TOML, and notes where it is not.
pub(super) fn parse<'a>(text: &'a str, faults: &mut Faults) -> Spanned<DeTable<'a>> {
    let (tree, mut errors) = DeTable::parse_recoverable(text);
    errors.sort_by_key(|error| error.span().map(|at| at.start));
    let mut line_told = None;
    for error in errors {
        let at = error.span().unwrap_or(0..0);
        let line = text.get(..at.start).map(|before| before.matches('\n').count());
        // One error draws others on its line.
        if line_told.is_none() || line_told != line {
            faults.push_alone(Problem::from_toml(&error, text, None));
        }
        line_told = line;
        match bad_value(tree.get_ref(), &at) {
            Some(value) => _ = faults.told.insert((value.start, value.end)),
            None if error.message() == "duplicate key" => {}
            // Not a value alone: what follows was read as something else.
            None => {
                faults.readable_to = Some(at.start);
                break;
            }
        }
    }
    tree
}

/// The value that stands in the tree for one that is none.
fn bad_value(table: &DeTable<'_>, at: &Range<usize>) -> Option<Range<usize>> {
    fn within(value: &Spanned<DeValue<'_>>, at: &Range<usize>) -> Option<Range<usize>> {
        match value.get_ref() {
            DeValue::Table(table) => bad_value(table, at),
            DeValue::Array(items) => items.iter().find_map(|item| within(item, at)),
            _ => Some(value.span()).filter(|span| span.start <= at.start && at.start <= span.end),
        }
    }
    table.values().find_map(|value| within(value, at))
}

/// Reads `table`, whose place in the file `text` is `span`; what cannot be read is noted in `faults` and left out.
///
/// `whole` is the whole file. Nothing is given if that does not help.
pub(super) fn read<T: DeserializeOwned>(
    table: &DeTable<'_>,
    span: Range<usize>,
    (text, whole): (&str, &DeTable<'_>),
    faults: &mut Faults,
) -> Option<T> {
    let mut table = table.clone();
    while faults.len() < MAX_PROBLEMS {
        let value = Spanned::new(span.clone(), DeValue::Table(table.clone()));
        let error = match T::deserialize(ValueDeserializer::from(value)) {
            Ok(read) => return Some(read),
            Err(error) => error,
        };
        let missing =
            error.message().strip_prefix("missing field ").map(|name| name.trim_matches('`').to_owned());
        let at = error.span().unwrap_or_else(|| span.clone());
        match &missing {
            // It is told why it is not there, or it may be what an unknown key was meant to be, or stand where
            // the file could not be read.
            Some(name)
                if faults.lost.contains(name)
                    || faults.odd.contains(&(at.start, at.end))
                    || faults.readable_to.is_some() => {}
            Some(_) => {
                faults.push(Problem::from_toml(&error, text, Some(whole)));
                faults.told.insert((at.start, at.end));
            }
            None => faults.push_alone(Problem::from_toml(&error, text, Some(whole))),
        }
        let mend = Mend { at: &at, missing: missing.as_deref(), faults };
        if !mend.table(&mut table, &span) {
            break;
        }
    }
    None
}

/// Puts one place right.
struct Mend<'a> {
    at: &'a Range<usize>,
    /// The key that the table there does not have.
    missing: Option<&'a str>,
    faults: &'a mut Faults,
}

impl Mend<'_> {
    fn holds(&self, span: &Range<usize>) -> bool {
        span.start <= self.at.start && self.at.end <= span.end
    }

    /// Whether the place was in `table`, which stands at `span`, and something could be done about it.
    fn table(mut self, table: &mut DeTable<'_>, span: &Range<usize>) -> bool {
        self.descend(table, span) || self.fill(table, span)
    }

    /// The same for what is a table itself.
    fn within(&mut self, value: &mut Spanned<DeValue<'_>>) -> bool {
        let span = value.span();
        match value.get_mut() {
            DeValue::Table(table) => {
                self.descend(table, &span) || (*self.at == span && self.fill(table, &span))
            }
            _ => false,
        }
    }

    fn descend(&mut self, table: &mut DeTable<'_>, span: &Range<usize>) -> bool {
        let mut out = None;
        for (key, value) in table.iter_mut() {
            if self.missing.is_none() && self.holds(&key.span()) {
                out = Some((key.get_ref().to_string(), false));
                break;
            }
            let place = value.span();
            if self.within(value) {
                return true;
            }
            if let DeValue::Array(items) = value.get_mut() {
                if items.iter_mut().any(|item| self.within(item)) {
                    return true;
                }
                if let Some(bad) = items.iter().position(|item| self.holds(&item.span())) {
                    let good = items.clone().into_iter().enumerate();
                    *items = good.filter(|(index, _)| *index != bad).map(|(_, item)| item).collect();
                    // It may be empty now.
                    self.faults.told.insert((place.start, place.end));
                    return true;
                }
            }
            let may_miss = matches!(value.get_ref(), DeValue::Table(_) | DeValue::Array(_));
            if self.holds(&place) && (self.missing.is_none() || may_miss) {
                out = Some((key.get_ref().to_string(), true));
                break;
            }
        }
        let Some((key, is_value)) = out else { return false };
        if is_value && self.stand_in(table, &key) {
            return true;
        }
        table.remove(key.as_str());
        // What others miss now may be no mistake of theirs.
        self.faults.told.insert((span.start, span.end));
        if is_value {
            self.faults.lost.insert(key);
        } else {
            self.faults.odd.insert((span.start, span.end));
        }
        true
    }

    /// Puts a good value in the place of a bad one; says whether that is another than was there.
    fn stand_in(&self, table: &mut DeTable<'_>, key: &str) -> bool {
        let Some(good) = stand_in(key) else { return false };
        let Some(value) = table.get_mut(key) else { return false };
        let tried = value.get_ref().as_str() == Some(good);
        *value = Spanned::new(value.span(), DeValue::String(good.into()));
        !tried
    }

    /// Puts a missing key into its table.
    fn fill(&mut self, table: &mut DeTable<'_>, span: &Range<usize>) -> bool {
        let Some((key, good)) = self.missing.and_then(|key| Some((key, stand_in(key)?))) else {
            return false;
        };
        if table.contains_key(key) {
            return false;
        }
        let value = Spanned::new(span.clone(), DeValue::String(good.into()));
        table.insert(Spanned::new(span.clone(), key.to_owned().into()), value);
        true
    }
}

fn stand_in(key: &str) -> Option<&'static str> {
    STAND_INS.iter().find(|(name, _)| *name == key).map(|(_, good)| *good)
}
