//! The keys of one table: which there are, where, and what is wrong with them.

use super::declared::Shape;
use super::draft::{Entry, Node, Place, Table, Value};
use super::report::{FaultKind, Reading};
use crate::words::shorten;

/// The keys of one table, to be read. Of a table that is not there, every key is absent.
#[derive(Clone)]
pub(crate) struct Keys<'a> {
    pub(super) reading: &'a Reading<'a>,
    pub(super) table: Option<&'a Table>,
    /// Where the table is.
    at: Place,
    /// The dotted key of the table, by which flags are found.
    path: String,
    /// How messages call the table; empty at the top level.
    name: String,
    /// Why its keys do nothing, if they do not.
    no_effect: Option<String>,
}

impl<'a> Keys<'a> {
    /// The top level of what `reading` reads.
    pub(crate) fn top(reading: &'a Reading<'a>) -> Self {
        let (path, name) = (String::new(), String::new());
        let table = Some(&reading.draft.root);
        Self { reading, table, at: Place::Whole, path, name, no_effect: None }
    }

    /// Has messages about values call the table `name` from now on.
    pub(crate) fn named(mut self, name: String) -> Self {
        self.name = name;
        self
    }

    /// Returns a view in which every key that is given is a fault with the text `why`.
    pub(crate) fn without_effect(&self, why: &str) -> Self {
        Self { no_effect: Some(why.to_owned()), ..self.clone() }
    }

    /// How messages call the table.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where the value of `key` is; where the table is, if it has none.
    pub(crate) fn place(&self, key: &str) -> Place {
        self.table.and_then(|table| table.get(key)).map_or(self.at.clone(), |entry| entry.node.at.clone())
    }

    /// Whether something was given for `key`, good or bad.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.get(key).is_some())
    }

    /// Whether one of `keys` was given and could not be read.
    pub(crate) fn failed(&self, keys: &[&str]) -> bool {
        let failed =
            |table: &Table| table.seen.borrow().failed.iter().any(|key| keys.contains(&key.as_str()));
        self.table.is_some_and(failed)
    }

    /// The flag of `key` where flags were typed, else `words`.
    pub(crate) fn flag_or(&self, key: &str, words: &str) -> String {
        match self.flag(key) {
            _ if self.reading.draft.file.is_some() => words.to_owned(),
            Some((_, flag)) => flag.to_owned(),
            None => format!("{} of a file", self.key_in(key)),
        }
    }

    /// Notes a fault of `key`.
    pub(crate) fn fault(&self, key: &str, text: impl Into<String>) {
        self.fault_near(key, &[], text);
    }

    /// Notes a fault of `key`, whose place is that of the first of `others` if `key` was not given.
    pub(crate) fn fault_near(&self, key: &str, others: &[&str], text: impl Into<String>) {
        let given = [&[key], others].concat().into_iter().find_map(|key| self.table?.get(key));
        let place = given.map(|entry| entry.node.at.clone());
        let place = place.or_else(|| self.flag_place(key));
        self.fault_at(place.unwrap_or(self.at.clone()), key, text);
    }

    /// Notes a fault of a part of the value of `key`.
    pub(crate) fn fault_at(&self, at: Place, key: &str, text: impl Into<String>) {
        self.note(FaultKind::Check, at, key, text.into());
    }

    /// Notes a fault of the table as a whole at `key`, or at the table if that was not given.
    pub(crate) fn table_fault_at(&self, key: &str, text: impl Into<String>) {
        self.reading.note(FaultKind::Check, self.place(key), text.into());
    }

    /// Notes a fault of the table, or at a place that is not the value of a key; `text` says of what.
    pub(crate) fn table_fault(&self, at: impl Into<Option<Place>>, text: impl Into<String>) {
        self.reading.note(FaultKind::Check, at.into().unwrap_or(self.at.clone()), text.into());
    }

    /// Notes that `key` is missing, if it is.
    pub(crate) fn require(&self, key: &'static str) {
        if self.table.is_none() || self.has(key) {
            return;
        }
        match self.flag_place(key) {
            Some(at) => self.fault_at(at, key, "it is missing; give it too"),
            None => {
                let text = format!("{key:?} is missing in {}; it is needed there", self.name);
                self.reading.note(FaultKind::Check, self.at.clone(), text);
            }
        }
    }

    /// The table `key`; `like` completes "expected a table" in messages, such as " such as { rate = 60 }".
    pub(crate) fn table(&self, key: &'static str, like: &str) -> Self {
        self.table_or(key, |_| None, like)
    }

    /// The table `key`. What stands in its place may be a secret, and no message shows it.
    pub(crate) fn secret_table(&self, key: &'static str, like: &str) -> Self {
        self.table_or(key, |like| Some(format!("this is no table; write one{like}")), like)
    }

    fn table_or(&self, key: &'static str, text: impl Fn(&str) -> Option<String>, like: &str) -> Self {
        let path = self.dotted(key);
        let name = match self.name.split_once(" of ") {
            Some((inner, outer)) => format!("{inner}.{key} of {outer}"),
            None if self.name.is_empty() => format!("[{key}]"),
            None if self.name.starts_with("[[") => format!("{key} of {}", self.name),
            None => format!("{}.{key}]", self.name.trim_end_matches(']')),
        };
        let (table, at) = match self.take(key, Shape::Table) {
            None => (None, self.at.clone()),
            Some(Node { at, value: Value::Table(table) }) => (Some(table), at.clone()),
            Some(node) => {
                self.wrong(key, node, text(like), &format!("a table{like}"));
                (None, node.at.clone())
            }
        };
        Self { table, at, path, name, ..self.clone() }.checked_for_unknown()
    }

    /// The tables `[[key]]`.
    pub(crate) fn tables(&self, key: &'static str) -> Vec<Self> {
        let items = match self.take(key, Shape::Tables) {
            None => &[],
            Some(Node { value: Value::List(items), .. }) => &items[..],
            Some(node) => {
                self.wrong(key, node, None, &format!("tables [[{key}]]"));
                &[]
            }
        };
        let table = |item: &'a Node| match &item.value {
            Value::Table(table) => {
                let (path, name) = (format!("{key}[0]"), format!("[[{key}]]"));
                Some(
                    Self { table: Some(table), at: item.at.clone(), path, name, ..self.clone() }
                        .checked_for_unknown(),
                )
            }
            _ => {
                self.wrong(key, item, None, "a table");
                None
            }
        };
        items.iter().filter_map(table).collect()
    }

    /// The table that is an item of the list `key`.
    pub(super) fn item(&self, key: &str, item: &'a Node) -> Option<Self> {
        let Value::Table(table) = &item.value else { return None };
        let (path, name) = (format!("{key}[0]"), key.to_owned());
        Some(
            Self { table: Some(table), at: item.at.clone(), path, name, ..self.clone() }
                .checked_for_unknown(),
        )
    }

    /// Has the keys of the table looked through for unknown ones.
    fn checked_for_unknown(self) -> Self {
        if let Some(table) = self.table {
            let header = match self.path.strip_suffix("[0]") {
                Some(path) => format!("[[{path}]]"),
                None => format!("[{}]", self.path.replace("[0]", "")),
            };
            table.seen.borrow_mut().header = Some(header);
        }
        self
    }

    /// All that the table has, none of it unknown.
    pub(crate) fn all(&self) -> &'a [Entry] {
        let Some(table) = self.table else { return &[] };
        table.seen.borrow_mut().is_open = true;
        &table.entries
    }

    /// The table that is the value of `entry`, one of [`all`](Self::all).
    pub(crate) fn inner(&self, entry: &'a Entry) -> Option<Self> {
        let Value::Table(table) = &entry.node.value else { return None };
        let path = format!("{}.{}", self.path, shorten(&entry.name));
        let (at, name) = (entry.node.at.clone(), format!("[{path}]"));
        Some(Self { table: Some(table), at, path, name, ..self.clone() }.checked_for_unknown())
    }

    /// Leaves `key` out of those that messages list as known.
    pub(crate) fn hide(&self, key: &'static str) {
        if let Some(table) = self.table {
            table.seen.borrow_mut().hidden = Some(key);
        }
    }

    /// Returns the value of `key` if it is there, is TOML, and has an effect here.
    pub(super) fn take(&self, key: &'static str, shape: Shape) -> Option<&'a Node> {
        let table = self.table?;
        table.seen.borrow_mut().knows(key, shape);
        let node = &table.get(key)?.node;
        if matches!(node.value, Value::Bad) {
            self.fail(key);
        } else if let Some(why) = &self.no_effect {
            self.note(FaultKind::Check, node.at.clone(), key, why.clone());
        } else if !self.failed(&[key]) {
            return Some(node);
        }
        None
    }

    pub(super) fn wrong(&self, key: &str, node: &Node, text: Option<String>, expected: &str) {
        let text = text.unwrap_or_else(|| format!("invalid type: {}, expected {expected}", node.value));
        self.note(FaultKind::Value, node.at.clone(), key, text);
        self.fail(key);
    }

    /// Notes that `key` could not be read.
    pub(crate) fn fail(&self, key: &str) {
        if let Some(table) = self.table {
            table.seen.borrow_mut().failed.push(key.to_owned());
        }
    }

    pub(super) fn note(&self, kind: FaultKind, at: Place, key: &str, text: String) {
        let text = match (&at, self.flag(key)) {
            // An argument has no name.
            (Place::Flag(_), Some((_, flag))) if !flag.starts_with("--") => text,
            (Place::Flag(_), Some((_, flag))) => format!("{flag}: {text}"),
            _ => format!("{}: {text}", self.key_in(key)),
        };
        self.reading.note(kind, at, text);
    }

    fn key_in(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{key} in {}", self.name) }
    }

    /// The place of the flag that sets `key`, where there is no file.
    fn flag_place(&self, key: &str) -> Option<Place> {
        let flags_alone = self.reading.draft.file.is_none();
        self.flag(key).filter(|_| flags_alone).map(|(index, _)| Place::Flag(index))
    }

    /// The number and the name of the flag that sets `key`.
    fn flag(&self, key: &str) -> Option<(usize, &'a str)> {
        let path = self.dotted(key);
        let mut flags = self.reading.draft.flags.iter().enumerate();
        flags.find(|(_, (_, set))| *set == path).map(|(index, (flag, _))| (index, flag.as_str()))
    }

    /// The dotted key of `key` of this table.
    fn dotted(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}
