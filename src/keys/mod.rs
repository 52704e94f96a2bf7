//! Keys of a configuration: what was given for them ([`Draft`]), and how settings read them ([`Keys`]).
//!
//! Settings read their keys in the module that acts on them: `SinkSettings::read(&keys)`. Reading declares: a key
//! that nobody asks for is unknown. What cannot be read is noted and left out, so that one pass finds all
//! faults; a check of several keys says nothing about one that could not be read.

mod draft;
mod on_disk;
mod report;
mod toml_file;

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::address::ListenAddr;
use crate::duration;
use crate::limit::{Budget, Burst, Rate, Size, UnitError};
use crate::words::shorten;

pub use draft::Draft;
use draft::Table;
pub(crate) use draft::{Entry, Node, Place, Value};
pub use on_disk::Absent;
pub(crate) use on_disk::{Kind, check_file};
pub use report::ConfigError;
pub(crate) use report::{FaultKind, Reading};

/// Why a setting is refused beside the others: its key, and what is wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The key of the setting.
    pub key: &'static str,
    /// What is wrong, and what to do.
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.text)
    }
}

/// The largest number of things that can be set: more than any machine has descriptors for.
pub(crate) const MAX_COUNT: usize = 10_000_000;

/// Why a burst does nothing without a rate.
pub(crate) const NOTHING_AHEAD: &str = "there is nothing to be ahead of";

/// Completes "expected a table" where a limit is expected.
pub(crate) const LIKE: &str = " such as { rate = \"1m\", burst = \"64k\" }";

/// The keys of one table, to be read. Of a table that is not there, every key is absent.
#[derive(Clone)]
pub(crate) struct Keys<'a> {
    reading: &'a Reading<'a>,
    table: Option<&'a Table>,
    /// Where the table is.
    at: Place,
    /// The dotted key of the table, by which flags are found.
    path: String,
    /// How messages call the table; empty at the top level.
    name: String,
    /// Why its keys do nothing, if they do not.
    idle: Option<String>,
}

impl<'a> Keys<'a> {
    /// The top level of what `reading` reads.
    pub(crate) fn top(reading: &'a Reading<'a>) -> Self {
        let (path, name) = (String::new(), String::new());
        let table = Some(&reading.draft().root);
        Self { reading, table, at: Place::Whole, path, name, idle: None }
    }

    /// Has messages about values call the table `name` from now on.
    pub(crate) fn named(mut self, name: String) -> Self {
        self.name = name;
        self
    }

    /// The same keys, each of them a fault if it is given: it does `nothing`.
    pub(crate) fn idle(&self, nothing: &str) -> Self {
        Self { idle: Some(nothing.to_owned()), ..self.clone() }
    }

    /// How messages call the table.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where the table is.
    pub(crate) fn at(&self) -> Place {
        self.at.clone()
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
    pub(crate) fn spelt(&self, key: &str, words: &str) -> String {
        match self.flag(key) {
            _ if self.reading.draft().file.is_some() => words.to_owned(),
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
        let place = place.or_else(|| self.untyped(key));
        self.fault_at(place.unwrap_or(self.at.clone()), key, text);
    }

    /// Notes a fault of a part of the value of `key`.
    pub(crate) fn fault_at(&self, at: Place, key: &str, text: impl Into<String>) {
        self.note(FaultKind::Check, at, key, text.into());
    }

    /// Notes a fault of the table as a whole at `key`, or at the table if that was not given.
    pub(crate) fn fault_of_all(&self, key: &str, text: impl Into<String>) {
        let place = self.table.and_then(|table| table.get(key)).map(|entry| entry.node.at.clone());
        self.reading.note(FaultKind::Check, place.unwrap_or(self.at.clone()), text.into());
    }

    /// Notes a fault at a place that is not the value of a key; `text` says of what.
    pub(crate) fn fault_here(&self, at: Place, text: impl Into<String>) {
        self.reading.note(FaultKind::Check, at, text.into());
    }

    /// Notes that `key` is missing, if it is.
    pub(crate) fn require(&self, key: &'static str) {
        if self.table.is_none() || self.has(key) {
            return;
        }
        match self.untyped(key) {
            Some(at) => self.fault_at(at, key, "it is missing; give it too"),
            None => {
                let text = format!("{key:?} is missing in {}; it is needed there", self.name);
                self.reading.note(FaultKind::Check, self.at.clone(), text);
            }
        }
    }

    /// Reads a text by its `FromStr`.
    pub(crate) fn parse<T: FromStr<Err: fmt::Display>>(&self, key: &'static str) -> Option<T> {
        self.parse_with(key, str::parse)
    }

    /// Reads a text by `parse`.
    pub(crate) fn parse_with<T, E: fmt::Display>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.read(key, "a string", |value| match value {
            Value::Text(text) => Some(parse(text).map_err(|error| error.to_string())),
            _ => None,
        })
    }

    /// Reads a text or a number by `parse`, which knows units.
    pub(crate) fn amount<T, E: fmt::Display>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.read(key, "a number, or a string such as \"64k\"", |value| {
            let text = match value {
                Value::Text(text) => text.clone(),
                Value::Integer(number) => number.to_string(),
                Value::Other(toml::Value::Float(number)) => number.to_string(),
                _ => return None,
            };
            Some(parse(&text).map_err(|error| error.to_string()))
        })
    }

    /// Reads a rate; `off` is `Some(None)`.
    pub(crate) fn rate(&self, key: &'static str) -> Option<Option<Rate>> {
        self.amount(key, Rate::parse_or_off)
    }

    /// Reads a size within `bounds`.
    pub(crate) fn size(&self, key: &'static str, bounds: RangeInclusive<Size>) -> Option<usize> {
        self.amount(key, |text| {
            let size: Size = text.parse().map_err(|error: UnitError| error.to_string())?;
            let bytes = usize::try_from(size.bytes()).ok().filter(|_| bounds.contains(&size));
            bytes.ok_or_else(|| format!("{size} is not a size from {} to {}", bounds.start(), bounds.end()))
        })
    }

    /// Reads a number within `bounds`.
    pub(crate) fn number(&self, key: &'static str, bounds: RangeInclusive<usize>) -> Option<usize> {
        let node = self.take(key)?;
        let (number, given) = match &node.value {
            Value::Integer(number) => (usize::try_from(*number).ok(), number.to_string()),
            Value::Text(text) => {
                let is_typed = matches!(node.at, Place::Flag(_));
                let is_plain = is_typed && text.chars().all(|c| c.is_ascii_digit());
                (text.parse().ok().filter(|_| is_plain), format!("{:?}", shorten(text)))
            }
            other => (None, other.to_string()),
        };
        let number = number.filter(|number| bounds.contains(number));
        if number.is_none() {
            let text = format!("{given} is not a number from {} to {}", bounds.start(), bounds.end());
            self.wrong(key, node, Some(text), "");
        }
        number
    }

    /// Reads a duration, which may be zero.
    pub(crate) fn duration(&self, key: &'static str) -> Option<Duration> {
        self.amount(key, duration::parse)
    }

    /// Reads a duration above zero.
    pub(crate) fn timeout(&self, key: &'static str) -> Option<Duration> {
        self.amount(key, |text| duration::parse(text).and_then(duration::positive))
    }

    /// Reads `true` or `false`.
    pub(crate) fn switch(&self, key: &'static str) -> Option<bool> {
        self.read(key, "true or false", |value| match value {
            Value::Bool(on) => Some(Ok(*on)),
            _ => None,
        })
    }

    /// Reads a text, or a list of them, each with its place. Those that cannot be read are left out.
    pub(crate) fn list<T: FromStr<Err: fmt::Display>>(&self, key: &'static str) -> Option<Vec<(Place, T)>> {
        let node = self.take(key)?;
        let items = match &node.value {
            Value::List(items) => &items[..],
            Value::Text(_) => std::slice::from_ref(node),
            _ => {
                self.wrong(key, node, None, "a string or a list of strings");
                return None;
            }
        };
        let read = |item: &Node| match &item.value {
            Value::Text(text) => match text.parse() {
                Ok(value) => Some((item.at.clone(), value)),
                Err(error) => {
                    self.wrong(key, item, Some(format!("{error}")), "");
                    None
                }
            },
            Value::Bad => {
                self.fail(key);
                None
            }
            _ => {
                self.wrong(key, item, None, "a string");
                None
            }
        };
        Some(items.iter().filter_map(read).collect())
    }

    /// Reads a list whose places do not matter.
    pub(crate) fn values<T: FromStr<Err: fmt::Display>>(&self, key: &'static str) -> Option<Vec<T>> {
        Some(self.list(key)?.into_iter().map(|(_, value)| value).collect())
    }

    /// Reads the path of something that must be there when the server starts.
    pub(crate) fn path(&self, key: &'static str, kind: Kind) -> Option<PathBuf> {
        let named: PathBuf = self.parse(key)?;
        let path = self.reading.draft().base.join(named);
        let at = self.table?.get(key)?.node.at.clone();
        self.must_be_there(at, key, &path, kind);
        Some(path)
    }

    /// Takes `addr`, given at `at`, relative to the file; the folder of its socket must be there.
    pub(crate) fn address(&self, at: Place, key: &'static str, addr: ListenAddr) -> ListenAddr {
        let addr = addr.relative_to(&self.reading.draft().base);
        if let ListenAddr::Unix { path, .. } = &addr {
            self.must_be_there(at, key, path, Kind::Socket);
        }
        addr
    }

    fn must_be_there(&self, at: Place, key: &'static str, path: &std::path::Path, kind: Kind) {
        // A file or socket that a flag names is opened next, with a message as good.
        let is_opened_at_once = matches!(at, Place::Flag(_)) && kind != Kind::Folder;
        if self.reading.absent() != Absent::Unseen && !is_opened_at_once {
            kind.check(path).unwrap_or_else(|text| self.note(FaultKind::OnDisk, at, key, text));
        }
    }

    /// Reads a rate and a burst ahead of it, which does nothing alone: `why`.
    pub(crate) fn paced(&self, why: &str) -> (Option<Rate>, Option<Burst>) {
        let rate = self.rate("rate").flatten();
        let burst = self.amount("burst", str::parse::<Burst>);
        self.needs_rate("burst", rate.is_some(), why);
        (rate, burst)
    }

    /// Notes a fault of `key` if it is given and there is no rate; without one, `why`.
    pub(crate) fn needs_rate(&self, key: &'static str, is_there: bool, why: &str) {
        if self.has(key) && !is_there && !self.failed(&["rate", key]) {
            self.fault(key, format!("without a rate {why}; set {} too", self.spelt("rate", "a rate")));
        }
    }

    /// Reads a limit that responses share.
    pub(crate) fn budget(&self) -> Budget {
        let (rate, burst) = self.paced(NOTHING_AHEAD);
        let report_only = self.switch("report_only").unwrap_or_default();
        let budget = Budget::of(rate).with_burst(burst.unwrap_or_default().bytes());
        Budget { report_only, ..budget }
    }

    /// The table `key`; `like` completes "expected a table" in messages, such as " such as { rate = 60 }".
    pub(crate) fn table(&self, key: &'static str, like: &str) -> Self {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        let name = match self.name.split_once(" of ") {
            Some((inner, outer)) => format!("{inner}.{key} of {outer}"),
            None if self.name.is_empty() => format!("[{key}]"),
            None if self.name.starts_with("[[") => format!("{key} of {}", self.name),
            None => format!("{}.{key}]", self.name.trim_end_matches(']')),
        };
        let (table, at) = match self.take_table(key) {
            None => (None, self.at.clone()),
            Some(Node { at, value: Value::Table(table) }) => (Some(table), at.clone()),
            Some(node) => {
                self.wrong(key, node, None, &format!("a table{like}"));
                (None, node.at.clone())
            }
        };
        Self { table, at, path, name, ..self.clone() }.opened()
    }

    /// The tables `[[key]]`.
    pub(crate) fn tables(&self, key: &'static str) -> Vec<Self> {
        let items = match self.take_table(key) {
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
                Some(Self { table: Some(table), at: item.at.clone(), path, name, ..self.clone() }.opened())
            }
            _ => {
                self.wrong(key, item, None, "a table");
                None
            }
        };
        items.iter().filter_map(table).collect()
    }

    /// Has the keys of the table looked through for unknown ones.
    fn opened(self) -> Self {
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
        Some(Self { table: Some(table), at, path, name, ..self.clone() }.opened())
    }

    /// Leaves `key` out of those that messages list as known.
    pub(crate) fn hide(&self, key: &'static str) {
        if let Some(table) = self.table {
            table.seen.borrow_mut().hidden = Some(key);
        }
    }

    fn read<T>(
        &self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<Result<T, String>>,
    ) -> Option<T> {
        let node = self.take(key)?;
        match read(&node.value) {
            Some(Ok(value)) => Some(value),
            wrong => {
                let text = wrong.and_then(Result::err);
                self.wrong(key, node, text, expected);
                None
            }
        }
    }

    /// The value of `key`, unless it is none, or does nothing here.
    fn take(&self, key: &'static str) -> Option<&'a Node> {
        let table = self.table?;
        table.seen.borrow_mut().knows(key, false);
        self.given(table, key)
    }

    fn take_table(&self, key: &'static str) -> Option<&'a Node> {
        let table = self.table?;
        table.seen.borrow_mut().knows(key, true);
        self.given(table, key)
    }

    fn given(&self, table: &'a Table, key: &'static str) -> Option<&'a Node> {
        let node = &table.get(key)?.node;
        if matches!(node.value, Value::Bad) {
            self.fail(key);
        } else if let Some(nothing) = &self.idle {
            self.note(FaultKind::Check, node.at.clone(), key, nothing.clone());
        } else if !self.failed(&[key]) {
            return Some(node);
        }
        None
    }

    fn wrong(&self, key: &str, node: &Node, text: Option<String>, expected: &str) {
        let text = text.unwrap_or_else(|| format!("invalid type: {}, expected {expected}", node.value));
        self.note(FaultKind::Value, node.at.clone(), key, text);
        self.fail(key);
    }

    fn fail(&self, key: &str) {
        if let Some(table) = self.table {
            table.seen.borrow_mut().failed.push(key.to_owned());
        }
    }

    fn note(&self, kind: FaultKind, at: Place, key: &str, text: String) {
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
    fn untyped(&self, key: &str) -> Option<Place> {
        let flags_alone = self.reading.draft().file.is_none();
        self.flag(key).filter(|_| flags_alone).map(|(index, _)| Place::Flag(index))
    }

    /// The number and the name of the flag that sets `key`.
    fn flag(&self, key: &str) -> Option<(usize, &'static str)> {
        let of_key = |set: &str| match set.strip_prefix(self.path.as_str()) {
            Some(rest) if self.path.is_empty() => rest == key,
            Some(rest) => rest.strip_prefix('.') == Some(key),
            None => false,
        };
        let flags = self.reading.draft().flags.iter().enumerate();
        flags
            .map(|(index, (flag, set))| (index, *flag, *set))
            .find(|(.., set)| of_key(set))
            .map(|(index, flag, _)| (index, flag))
    }
}
