//! What the values of keys can be.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use super::declared::Shape;
use super::draft::{Node, Place, Value};
use super::on_disk::{Absent, PathKind};
use super::report::FaultKind;
use super::table::Keys;
use crate::address::ListenAddr;
use crate::duration;
use crate::limit::{Budget, Burst, Rate, Rates, RatesError, Size, UnitError};
use crate::words::shorten;

/// The largest number of things that can be set: more than any machine has descriptors for.
pub(crate) const MAX_COUNT: usize = 10_000_000;

/// Why a burst does nothing without a rate.
pub(crate) const NOTHING_AHEAD: &str = "there is nothing to be ahead of";

/// Completes "expected a table" where a limit is expected.
pub(crate) const LIMIT_EXAMPLE: &str = " such as { rate = \"1m\", burst = \"64k\" }";

/// Completes "expected a table" where the limits of uploads are expected.
pub(crate) const UPLOAD_EXAMPLE: &str = " such as { client = { rate = \"1m\" } }";

/// What an amount is written as.
const AMOUNT: &str = "a number, or a string such as \"64k\"";

/// The text of an amount, as it was written.
fn amount_text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Other(toml::Value::Float(number)) => Some(number.to_string()),
        _ => None,
    }
}

/// An item that is written as a text, or as a table with further keys.
pub(crate) enum Item<'a, T> {
    /// The text, read.
    Text(T),
    /// The table.
    Table(Keys<'a>),
}

impl<'a> Keys<'a> {
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
        self.read(key, Shape::Text, "a string", |value| match value {
            Value::Text(text) => Some(parse(text).map_err(|error| error.to_string())),
            _ => None,
        })
    }

    /// Reads a text by `parse`; `expected` says what another value should have been.
    pub(crate) fn parse_like<T>(
        &self,
        key: &'static str,
        expected: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.read(key, Shape::Text, expected, |value| match value {
            Value::Text(text) => Some(parse(text)),
            _ => None,
        })
    }

    /// Reads a text or a number by `parse`, which knows units.
    pub(crate) fn amount<T, E: fmt::Display>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.amount_of(key, Shape::Amount, parse)
    }

    fn amount_of<T, E: fmt::Display>(
        &self,
        key: &'static str,
        shape: Shape,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.read(key, shape, AMOUNT, |value| {
            Some(parse(&amount_text(value)?).map_err(|error| error.to_string()))
        })
    }

    /// Reads a rate, or a list of rates that follow one another; `off` is unlimited.
    pub(crate) fn rates(&self, key: &'static str) -> Option<Rates> {
        self.rates_by(key, |text| text.parse().map_err(|error: RatesError| error.to_string()))
    }

    /// Reads rates of which one alone is not `off`.
    pub(crate) fn rates_on(&self, key: &'static str) -> Option<Rates> {
        self.rates_by(key, |text| match text.contains(',') {
            true => text.parse().map_err(|error: RatesError| error.to_string()),
            false => text.parse().map(|rate: Rate| rate.into()).map_err(|error| error.to_string()),
        })
    }

    fn rates_by(&self, key: &'static str, one: impl FnOnce(&str) -> Result<Rates, String>) -> Option<Rates> {
        self.read(key, Shape::Amounts, AMOUNT, |value| {
            let texts: Vec<_> = match value {
                Value::List(items) => {
                    items.iter().map(|item| amount_text(&item.value)).collect::<Option<_>>()?
                }
                value => return Some(one(&amount_text(value)?)),
            };
            if let [text] = &texts[..] {
                return Some(one(text));
            }
            Some(Rates::from_texts(texts.iter().map(String::as_str)).map_err(|error| error.to_string()))
        })
    }

    /// Reads a rate; `off` is `Some(None)`.
    pub(crate) fn rate(&self, key: &'static str) -> Option<Option<Rate>> {
        self.amount(key, Rate::parse_or_off)
    }

    /// Reads a size within `bounds`.
    pub(crate) fn size(&self, key: &'static str, bounds: RangeInclusive<Size>) -> Option<usize> {
        self.amount_of(key, Shape::Size, |text| {
            let size: Size = text.parse().map_err(|error: UnitError| error.to_string())?;
            let bytes = usize::try_from(size.bytes()).ok().filter(|_| bounds.contains(&size));
            bytes.ok_or_else(|| format!("{size} is not a size from {} to {}", bounds.start(), bounds.end()))
        })
    }

    /// Reads a number within `bounds`.
    pub(crate) fn number(&self, key: &'static str, bounds: RangeInclusive<usize>) -> Option<usize> {
        let node = self.take(key, Shape::Number(*bounds.start(), *bounds.end()))?;
        let range = format!("a number from {} to {}", bounds.start(), bounds.end());
        let (number, given) = match &node.value {
            Value::Integer(number) => (usize::try_from(*number).ok(), number.to_string()),
            // A flag has no other way to write one.
            Value::Text(text) if matches!(node.at, Place::Flag(_)) => {
                let is_plain = text.chars().all(|c| c.is_ascii_digit());
                (text.parse().ok().filter(|_| is_plain), format!("{:?}", shorten(text)))
            }
            _ => {
                self.wrong(key, node, None, &range);
                return None;
            }
        };
        let number = number.filter(|number| bounds.contains(number));
        if number.is_none() {
            self.wrong(key, node, Some(format!("{given} is not {range}")), "");
        }
        number
    }

    /// Reads a duration, which may be zero.
    pub(crate) fn duration(&self, key: &'static str) -> Option<Duration> {
        self.amount_of(key, Shape::Duration, duration::parse)
    }

    /// Reads a duration above zero.
    pub(crate) fn timeout(&self, key: &'static str) -> Option<Duration> {
        self.amount_of(key, Shape::Duration, |text| duration::parse(text).and_then(duration::positive))
    }

    /// Reads `true` or `false`.
    pub(crate) fn switch(&self, key: &'static str) -> Option<bool> {
        self.read(key, Shape::Switch, "true or false", |value| match value {
            Value::Bool(on) => Some(Ok(*on)),
            _ => None,
        })
    }

    /// Reads a text, or a list of them, each with its place. Those that cannot be read are left out.
    pub(crate) fn list<T: FromStr<Err: fmt::Display>>(&self, key: &'static str) -> Option<Vec<(Place, T)>> {
        let node = self.take(key, Shape::Texts)?;
        let items = match &node.value {
            Value::List(items) => &items[..],
            Value::Text(_) => std::slice::from_ref(node),
            _ => {
                self.wrong(key, node, None, "a string or a list of strings");
                return None;
            }
        };
        Some(self.each(
            key,
            items,
            |value| value,
            |item| {
                self.wrong(key, item, None, "a string");
                None
            },
        ))
    }

    /// Reads a text or a table, or a list of them, each with its place. Those that cannot be read are left out. `like`
    /// completes "expected a string or a table".
    pub(crate) fn items<T: FromStr<Err: fmt::Display>>(
        &self,
        key: &'static str,
        like: &str,
    ) -> Option<Vec<(Place, Item<'a, T>)>> {
        let node = self.take(key, Shape::Items)?;
        let items = match &node.value {
            Value::List(items) => &items[..],
            _ => std::slice::from_ref(node),
        };
        Some(self.each(key, items, Item::Text, |item| {
            let table = self.item(key, item);
            if table.is_none() {
                self.wrong(key, item, None, &format!("a string or a table{like}"));
            }
            table.map(Item::Table)
        }))
    }

    /// Reads texts, and what is none as `other` does, each with its place. Those that cannot be read are left out.
    fn each<T: FromStr<Err: fmt::Display>, R>(
        &self,
        key: &'static str,
        items: &'a [Node],
        text: impl Fn(T) -> R,
        other: impl Fn(&'a Node) -> Option<R>,
    ) -> Vec<(Place, R)> {
        let read = |item: &'a Node| {
            let value = match &item.value {
                Value::Text(given) => match given.parse() {
                    Ok(value) => Some(text(value)),
                    Err(error) => {
                        self.wrong(key, item, Some(format!("{error}")), "");
                        None
                    }
                },
                Value::Bad => {
                    self.fail(key);
                    None
                }
                _ => other(item),
            };
            value.map(|value| (item.at.clone(), value))
        };
        items.iter().filter_map(read).collect()
    }

    /// Reads a text or a number, or a list of them.
    pub(crate) fn amounts<T: FromStr<Err: fmt::Display>>(&self, key: &'static str) -> Option<Vec<T>> {
        self.read(key, Shape::Amounts, "a string or a number, or a list of them", |value| {
            let texts: Vec<_> = match value {
                Value::List(items) => {
                    items.iter().map(|item| amount_text(&item.value)).collect::<Option<_>>()?
                }
                value => vec![amount_text(value)?],
            };
            Some(texts.iter().map(|text| text.parse().map_err(|error: T::Err| error.to_string())).collect())
        })
    }

    /// Reads a list whose places do not matter.
    pub(crate) fn values<T: FromStr<Err: fmt::Display>>(&self, key: &'static str) -> Option<Vec<T>> {
        Some(self.list(key)?.into_iter().map(|(_, value)| value).collect())
    }

    /// Reads the path of something that must be there when the server starts.
    pub(crate) fn path(&self, key: &'static str, kind: PathKind) -> Option<PathBuf> {
        let named: PathBuf = self.parse(key)?;
        let path = self.reading.draft.base.join(named);
        self.must_be_there(self.place(key), key, &path, kind);
        Some(path)
    }

    /// Reads a path, or a list of them, of what must be there when the server starts.
    pub(crate) fn paths(&self, key: &'static str, kind: PathKind) -> Option<Vec<PathBuf>> {
        let named: Vec<(Place, PathBuf)> = self.list(key)?;
        let path = |(at, path)| {
            let path = self.reading.draft.base.join::<PathBuf>(path);
            self.must_be_there(at, key, &path, kind);
            path
        };
        Some(named.into_iter().map(path).collect())
    }

    /// Takes the path of a file that is made if it is not there. Its folder must be there when the server starts.
    pub(crate) fn made_file(&self, key: &'static str, named: &Path) -> PathBuf {
        let path = self.reading.draft.base.join(named);
        self.must_be_there(self.place(key), key, &path, PathKind::MadeFile);
        path
    }

    /// Takes `path`, given at `at`; a file's is relative to it. It must be there when the server starts.
    pub(crate) fn path_at(&self, at: Place, key: &'static str, path: &str, kind: PathKind) -> PathBuf {
        let path = self.reading.draft.base.join(path);
        self.must_be_there(at, key, &path, kind);
        path
    }

    /// Takes `addr`, given at `at`; a file's is relative to it. The folder of its socket must be there.
    pub(crate) fn address(&self, at: Place, key: &'static str, addr: ListenAddr) -> ListenAddr {
        let addr = match at {
            Place::Flag(_) => addr,
            _ => addr.relative_to(&self.reading.draft.base),
        };
        if let ListenAddr::Unix { path, .. } = &addr {
            self.must_be_there(at, key, path, PathKind::Socket);
        }
        addr
    }

    /// The folder that relative paths given at `at` are in; `None` for those of flags, which are the shell's.
    pub(crate) fn folder_of(&self, at: &Place) -> Option<&'a Path> {
        (!matches!(at, Place::Flag(_))).then_some(&*self.reading.draft.base)
    }

    fn must_be_there(&self, at: Place, key: &'static str, path: &Path, kind: PathKind) {
        // Also what a flag names, though it is opened next: only here the message has the flag.
        if self.reading.absent != Absent::Unchecked {
            kind.check(path).unwrap_or_else(|text| self.note(FaultKind::OnDisk, at, key, text));
        }
    }

    /// Reads `rate` and `burst`. A burst without a rate is a fault that says `why`.
    pub(crate) fn paced(&self, why: &str) -> (Option<Rate>, Option<Burst>) {
        let rate = self.rate("rate").flatten();
        let burst = self.amount("burst", str::parse::<Burst>);
        self.needs_rate("burst", rate.is_some(), why);
        (rate, burst)
    }

    /// Notes a fault of `key` if it is given and there is no rate; without one, `why`.
    pub(crate) fn needs_rate(&self, key: &'static str, is_there: bool, why: &str) {
        if self.has(key) && !is_there && !self.failed(&["rate", key]) {
            self.fault(key, format!("without a rate {why}; set {} too", self.flag_or("rate", "a rate")));
        }
    }

    /// Reads a limit that responses share.
    pub(crate) fn budget(&self) -> Budget {
        let (rate, burst) = self.paced(NOTHING_AHEAD);
        self.reported(rate, burst)
    }

    /// Reads a limit of each stream, with rates that may follow one another; that of the budget is the last.
    pub(crate) fn budget_of_each(&self) -> (Budget, Rates) {
        let rates = self.rates("rate").unwrap_or_default();
        let burst = self.amount("burst", str::parse::<Burst>);
        self.needs_rate("burst", rates.last().is_some(), NOTHING_AHEAD);
        (self.reported(rates.last(), burst), rates)
    }

    fn reported(&self, rate: Option<Rate>, burst: Option<Burst>) -> Budget {
        let report_only = self.switch("report_only").unwrap_or_default();
        let budget = Budget::of(rate).with_burst(burst.unwrap_or_default().bytes());
        Budget { report_only, ..budget }
    }

    fn read<T>(
        &self,
        key: &'static str,
        shape: Shape,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<Result<T, String>>,
    ) -> Option<T> {
        let node = self.take(key, shape)?;
        match read(&node.value) {
            Some(Ok(value)) => Some(value),
            wrong => {
                let text = wrong.and_then(Result::err);
                self.wrong(key, node, text, expected);
                None
            }
        }
    }
}
