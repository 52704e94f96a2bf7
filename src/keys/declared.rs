//! The keys that settings asked for as they read a draft, and how the value of each is written.

use std::collections::BTreeMap;

use super::draft::{Draft, Node, Table, Value};

/// How the value of a key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A string.
    Text,
    /// A string, or a list of them.
    Texts,
    /// A number, or a string with a unit.
    Amount,
    /// Amounts: one, or a list of them.
    Amounts,
    /// A string: a whole number with a unit of time.
    Duration,
    /// A string: a number with a unit of bytes.
    Size,
    /// A whole number within these bounds.
    Number(usize, usize),
    /// `true` or `false`.
    Switch,
    /// A string or a table, or a list of them.
    Items,
    /// A table.
    Table,
    /// A list of tables.
    Tables,
}

impl Shape {
    /// Whether `[key]` or `[[key]]` can give it.
    pub(super) fn is_table(self) -> bool {
        matches!(self, Self::Table | Self::Tables)
    }
}

/// The keys of a table, and those of the tables in it. A table that was not given has none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Declared {
    /// The keys, in the order in which they were asked for.
    pub(crate) keys: Vec<(&'static str, Shape)>,
    /// The tables by their keys; those of a list are one here. Of a table that takes any key it is `*` for all.
    pub(crate) tables: BTreeMap<String, Declared>,
    /// Whether it takes any key.
    pub(crate) is_open: bool,
    /// Whether one of those keys was given something other than a table.
    pub(crate) has_plain: bool,
}

impl Declared {
    /// What was asked for as `draft` was read.
    pub(crate) fn of(draft: &Draft) -> Self {
        let mut declared = Self::default();
        declared.add(&draft.root);
        declared
    }

    /// Adds the keys and tables of `other`.
    pub(crate) fn merge(&mut self, other: Self) {
        self.is_open |= other.is_open;
        self.has_plain |= other.has_plain;
        for (key, shape) in other.keys {
            if !self.keys.iter().any(|(known, _)| *known == key) {
                self.keys.push((key, shape));
            }
        }
        for (name, table) in other.tables {
            self.tables.entry(name).or_default().merge(table);
        }
    }

    /// Adds each table in this one to that of its key in `named`, whatever they are in.
    pub(crate) fn add_by_name(&self, named: &mut BTreeMap<String, Self>) {
        for (name, table) in &self.tables {
            named.entry(name.clone()).or_default().merge(table.clone());
            table.add_by_name(named);
        }
    }

    fn add(&mut self, table: &Table) {
        let seen = table.seen.borrow();
        self.is_open |= seen.is_open;
        for (key, shape) in &seen.known {
            if !self.keys.iter().any(|(known, _)| known == key) {
                self.keys.push((key, *shape));
            }
        }
        for entry in &table.entries {
            let is_key = seen.known.iter().any(|(key, _)| *key == entry.name);
            let name = if is_key { &entry.name } else { "*" };
            if is_key || seen.is_open {
                self.add_node(name, &entry.node);
            }
            self.has_plain |= !is_key && !matches!(entry.node.value, Value::Table(_));
        }
    }

    fn add_node(&mut self, name: &str, node: &Node) {
        match &node.value {
            Value::Table(table) => self.tables.entry(name.to_owned()).or_default().add(table),
            Value::List(items) => items.iter().for_each(|item| self.add_node(name, item)),
            _ => {}
        }
    }
}
