//! A TOML file into a draft. What is no TOML is noted, and the rest is read all the same.

use std::ops::Range;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::draft::{Draft, Entry, Node, Table, Value};
use super::report::MAX_FAULTS;
use crate::excerpt::excerpt;
use crate::words::shorten;

/// The most errors that are looked at: for each the values are looked through.
const MAX_ERRORS: usize = 10 * MAX_FAULTS;

impl Draft {
    /// Takes `text` as the file `name`, whose relative paths start from `base`.
    pub fn from_toml(text: &str, name: &str, base: impl Into<PathBuf>) -> Self {
        let (tree, mut errors) = DeTable::parse_recoverable(text);
        let mut draft = Self {
            root: table(tree.get_ref()),
            file: Some((name.to_owned(), text.to_owned())),
            base: base.into(),
            ..Self::default()
        };
        errors.sort_by_key(|error| error.span().map(|at| at.start));
        let mut told = None;
        for (number, error) in errors.into_iter().enumerate() {
            let at = error.span().unwrap_or(0..0);
            // One error draws others on its line.
            let is_new = told
                .is_none_or(|told| text.get(told..at.start).is_some_and(|between| between.contains('\n')));
            let is_too_much = draft.syntax.len() == MAX_FAULTS || number == MAX_ERRORS;
            if is_new && !is_too_much {
                draft.syntax.push((at.clone(), what(&error, text.get(at.clone()).unwrap_or_default())));
            }
            told = Some(at.start);
            // Not a value alone: what follows was read as something else.
            if is_too_much || !spoil(&mut draft.root, &at) && error.message() != "duplicate key" {
                draft.readable_to = Some(at.start);
                break;
            }
        }
        draft
    }
}

fn what(error: &toml::de::Error, there: &str) -> String {
    match error.message().trim_end() {
        "duplicate key" => format!("the key {:?} stands in this table twice; leave one out", shorten(there)),
        message => format!("this is not TOML: {}", excerpt(message, 200)),
    }
}

fn table(table: &DeTable<'_>) -> Table {
    let entry = |(key, value): (&Spanned<_>, &_)| Entry {
        name: AsRef::<str>::as_ref(key.get_ref()).to_owned(),
        at: key.span().into(),
        node: node(value),
    };
    Table { entries: table.iter().map(entry).collect(), ..Table::default() }
}

fn node(spanned: &Spanned<DeValue<'_>>) -> Node {
    let value = match spanned.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(on) => Value::Bool(*on),
        DeValue::Array(items) => Value::List(items.iter().map(node).collect()),
        DeValue::Table(inner) => Value::Table(table(inner)),
        other => match toml::Value::deserialize(ValueDeserializer::from(Spanned::new(
            spanned.span(),
            other.clone(),
        ))) {
            Ok(toml::Value::Integer(number)) => Value::Integer(number),
            Ok(other) => Value::Other(other),
            // No key has room for a number above 2^63.
            Err(_) => Value::Other(toml::Value::String("a number out of range".to_owned())),
        },
    };
    Node { at: spanned.span().into(), value }
}

/// Marks the value that stands in the tree for one at `at` that is none. Returns whether there is one.
fn spoil(table: &mut Table, at: &Range<usize>) -> bool {
    fn within(node: &mut Node, at: &Range<usize>) -> bool {
        match &mut node.value {
            Value::Table(table) => spoil(table, at),
            Value::List(items) => items.iter_mut().any(|item| within(item, at)),
            value => {
                let super::draft::Place::File(start, end) = node.at else { return false };
                let is_there = start <= at.start && at.start <= end;
                if is_there {
                    *value = Value::Bad;
                }
                is_there
            }
        }
    }
    table.entries.iter_mut().any(|entry| within(&mut entry.node, at))
}
