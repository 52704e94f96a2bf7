//! What was given for keys, before any of it is read: a tree that a TOML file and flags fill alike.

use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::declared::Shape;
use crate::excerpt::excerpt;
use crate::words::shorten;

/// What was given for the keys of a configuration, by a TOML file, by flags, or by both.
///
/// A flag is another way to write a key: `--client-rate 2m` is `limits.client.rate = "2m"`. Nothing is checked
/// here; [`Loader::finish`](crate::config::Loader::finish) reads the keys and lists what is wrong with them.
///
/// Keys are dotted. Of a list of tables only the first, `[0]`, can be set. Setting a key again replaces its value, also
/// one from the file.
///
/// ```
/// use sluicegate::config::{Draft, Loader};
///
/// let mut draft = Draft::default();
/// draft.text("--dir", "route[0].files", Some("src"));
/// draft.text("--path", "route[0].path", Some("/"));
/// draft.text("--rate", "route[0].rate", Some("60kb"));
/// let error = Loader::new().finish(draft).unwrap_err();
/// assert!(error.is_usage() && error.to_string().starts_with("--rate: \"60kb\" is not a rate"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Draft {
    pub(super) root: Table,
    /// Flags with the keys that they set, also those that were not given, in the order of their faults.
    pub(super) flags: Vec<(String, &'static str)>,
    /// The file's name and text.
    pub(super) file: Option<(String, String)>,
    /// Where the lines of the text end, once a line was asked for.
    pub(super) line_ends: OnceCell<Vec<usize>>,
    /// The path of the file, if it was read from one.
    pub(crate) path: Option<PathBuf>,
    /// Where relative paths start.
    pub(super) base: PathBuf,
    /// Flags that cannot be taken.
    pub(super) rejected: Vec<(Place, String)>,
    /// Where the file is no TOML.
    pub(super) syntax: Vec<(Range<usize>, String)>,
    /// From here on the file could not be read: what seems to be missing may stand there.
    pub(super) readable_to: Option<usize>,
}

/// A step on the way to a value: the key of a table, or the number of a table in a list.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'a> {
    Key(&'a str),
    Item(usize),
}

/// Where a value was given, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given<'a> {
    /// In a line of the file, from 1.
    Line(&'a str, usize),
    /// By a flag.
    Flag(&'a str),
}

/// Where a value was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// The configuration as a whole.
    #[default]
    Whole,
    /// A span of bytes in the file.
    File(usize, usize),
    /// The number of a flag.
    Flag(usize),
}

impl From<Range<usize>> for Place {
    fn from(span: Range<usize>) -> Self {
        Self::File(span.start, span.end)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: Place,
    pub(crate) value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Bool(bool),
    List(Vec<Node>),
    Table(Table),
    /// A number or a date that no key has but those of custom filters.
    Other(toml::Value),
    /// No TOML; its fault is known.
    Bad,
}

/// A table, its keys in the order in which they were given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) entries: Vec<Entry>,
    /// What reading it has found out.
    pub(super) seen: RefCell<Seen>,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// Where the name stands.
    pub(crate) at: Place,
    pub(crate) node: Node,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// The keys that were asked for, which are all that the table can have.
    pub(super) known: Vec<(&'static str, Shape)>,
    /// A known key that messages do not list.
    pub(super) hidden: Option<&'static str>,
    /// Whether it can have any key.
    pub(super) is_open: bool,
    /// Keys whose values could not be read.
    pub(super) failed: Vec<String>,
    /// The table as a header spells it, once it is read: what has none was not asked for.
    pub(super) header: Option<String>,
}

impl Seen {
    pub(super) fn knows(&mut self, key: &'static str, shape: Shape) {
        if !self.known.iter().any(|(known, _)| *known == key) {
            self.known.push((key, shape));
        }
    }
}

/// What stands there, for messages about what should.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "string {:?}", excerpt(text, 100)),
            Self::Integer(number) => write!(f, "integer `{number}`"),
            Self::Bool(on) => write!(f, "boolean `{on}`"),
            Self::List(_) => f.write_str("a list"),
            Self::Table(_) => f.write_str("a table"),
            Self::Other(value) => write!(f, "`{value}`"),
            Self::Bad => f.write_str("nothing"),
        }
    }
}

impl Value {
    /// The value as the `toml` crate has it.
    pub(crate) fn to_toml(&self) -> toml::Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Integer(number) => (*number).into(),
            Self::Bool(on) => (*on).into(),
            Self::List(items) => items.iter().map(|item| item.value.to_toml()).collect::<Vec<_>>().into(),
            Self::Table(table) => toml::Value::Table(
                table.entries.iter().map(|entry| (entry.name.clone(), entry.node.value.to_toml())).collect(),
            ),
            Self::Other(value) => value.clone(),
            Self::Bad => "".into(),
        }
    }
}

impl Table {
    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// The value of `name`, which is `default` if there is none yet.
    fn entry(&mut self, name: &str, at: &Place, default: Value) -> &mut Value {
        let index = self.entries.iter().position(|entry| entry.name == name).unwrap_or_else(|| {
            let node = Node { at: at.clone(), value: default };
            self.entries.push(Entry { name: name.to_owned(), at: at.clone(), node });
            self.entries.len() - 1
        });
        &mut self.entries[index].node.value
    }
}

impl Draft {
    /// Sets `key`, such as `route[0].rate`, to what was typed for `flag`, if it was. A flag without a name is an
    /// argument.
    pub fn text(&mut self, flag: &str, key: &'static str, typed: Option<&str>) {
        let typed = typed.map(|text| Value::Text(text.to_owned()));
        self.set(flag, key, typed);
    }

    /// Sets `key` to the list of what was typed for `flag`, if anything was.
    pub fn texts(&mut self, flag: &str, key: &'static str, typed: &[String]) {
        let at = Place::Flag(self.flags.len());
        let node = |text: &String| Node { at: at.clone(), value: Value::Text(text.clone()) };
        let list = Value::List(typed.iter().map(node).collect());
        self.set(flag, key, (!typed.is_empty()).then_some(list));
    }

    /// Sets `key` to `value` if `flag` was typed.
    pub fn switch(&mut self, flag: &str, key: &'static str, typed: bool, value: bool) {
        self.set(flag, key, typed.then_some(Value::Bool(value)));
    }

    /// Makes the table `key` of what was typed for `flag`, each `NAME=TEXT`. `form` tells how, if one is not.
    pub fn pairs(&mut self, flag: &str, key: &'static str, typed: &[String], form: &str) {
        let at = Place::Flag(self.flags.len());
        let mut table = Table::default();
        for text in typed {
            match text.split_once('=') {
                Some((name, value)) => *table.entry(name, &at, Value::Bad) = Value::Text(value.to_owned()),
                None => self.rejected.push((at.clone(), format!("{:?} {form}", shorten(text)))),
            }
        }
        self.set(flag, key, (!typed.is_empty()).then_some(Value::Table(table)));
    }

    /// Makes the table `key` be there, if with no keys.
    pub fn table(&mut self, flag: &str, key: &'static str) {
        self.set(flag, key, Some(Value::Table(Table::default())));
    }

    /// Has [`finish`](crate::config::Loader::finish) tell that `flag` cannot be taken.
    pub fn reject(&mut self, flag: &str, text: &str) {
        let known = self.flags.iter().position(|(name, _)| *name == flag);
        let index = known.unwrap_or_else(|| {
            self.flags.push((flag.to_owned(), ""));
            self.flags.len() - 1
        });
        self.rejected.push((Place::Flag(index), text.to_owned()));
    }

    /// Says that the file is at `path`.
    pub(crate) fn with_path(mut self, path: &Path) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    /// Where the value at the end of `path` was given, if it was.
    pub(crate) fn given(&self, path: &[Step<'_>]) -> Option<Given<'_>> {
        let (Step::Key(first), rest) = path.split_first()? else { return None };
        let mut node = &self.root.get(first)?.node;
        for step in rest {
            node = match (step, &node.value) {
                (Step::Key(key), Value::Table(table)) => &table.get(key)?.node,
                (Step::Item(nth), Value::List(items)) => items.get(*nth)?,
                _ => return None,
            };
        }
        match &node.at {
            Place::Whole => None,
            Place::File(start, _) => self.line(*start).map(|(name, line)| Given::Line(name, line)),
            Place::Flag(index) => self.flags.get(*index).map(|(flag, _)| Given::Flag(flag)),
        }
    }

    /// The name of the file, and the line there of the byte at `offset`.
    pub(crate) fn line(&self, offset: usize) -> Option<(&str, usize)> {
        let (name, text) = self.file.as_ref()?;
        let ends = self.line_ends.get_or_init(|| text.match_indices('\n').map(|(at, _)| at).collect());
        Some((name, ends.partition_point(|end| *end < offset) + 1))
    }

    fn set(&mut self, flag: &str, key: &'static str, value: Option<Value>) {
        let at = Place::Flag(self.flags.len());
        self.flags.push((flag.to_owned(), key));
        let Some(value) = value else { return };
        let (tables, name) = key.rsplit_once('.').map_or((None, key), |(tables, name)| (Some(tables), name));
        let mut table = &mut self.root;
        for part in tables.into_iter().flat_map(|tables| tables.split('.')) {
            let name = part.strip_suffix("[0]").unwrap_or(part);
            let empty = Value::Table(Table::default());
            let default = match name == part {
                true => empty,
                false => Value::List(vec![Node { at: at.clone(), value: empty }]),
            };
            // What is no table in a file is the file's fault.
            table = match table.entry(name, &at, default) {
                Value::Table(inner) => inner,
                Value::List(items) => match items.first_mut().map(|first| &mut first.value) {
                    Some(Value::Table(inner)) => inner,
                    _ => return,
                },
                _ => return,
            };
        }
        table.entries.retain(|entry| entry.name != name);
        table.entry(name, &at, value);
    }
}
