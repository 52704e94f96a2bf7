//! What the program logs: lines of JSON.

use serde_json::{Map, Value};

/// One record, its fields as text.
#[derive(Clone, Debug)]
pub struct Record(Vec<(String, String)>);

impl Record {
    /// The value of a field.
    #[track_caller]
    pub fn value(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(field, _)| field == name);
        &found.unwrap_or_else(|| panic!("{name} in {self:?}")).1
    }

    /// The value of a field that is a number.
    #[track_caller]
    pub fn number(&self, name: &str) -> u64 {
        self.value(name).parse().unwrap()
    }

    /// Checks that it has these fields.
    #[track_caller]
    pub fn assert_says(&self, fields: &[(&str, &str)]) {
        for (name, value) in fields {
            assert_eq!(self.value(name), *value, "{name} in {self:?}");
        }
    }

    /// Whether it has this field with this value.
    pub fn says(&self, (name, value): (&str, &str)) -> bool {
        self.0.iter().any(|(field, of)| field == name && of == value)
    }
}

/// The record in a line; `None` if it has none.
pub fn record(line: &str) -> Option<Record> {
    let fields: Map<String, Value> = serde_json::from_str(line).ok()?;
    let text = |value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    Some(Record(fields.into_iter().map(|(name, value)| (name, text(value))).collect()))
}

/// The message of the record in a line; the line itself if it has none.
pub fn message(line: &str) -> String {
    let line = line.trim_end();
    record(line).map_or_else(|| line.to_owned(), |record| record.value("msg").to_owned())
}

/// The records of a log whose message ends with `message`.
pub fn records(log: &str, message: &str) -> Vec<Record> {
    let all = log.lines().filter_map(record);
    all.filter(|record| record.value("msg").ends_with(message)).collect()
}

/// A text as it is without a terminal.
pub fn without_colours(text: &str) -> String {
    let mut parts = text.split('\x1b');
    let start = parts.next().unwrap_or_default().to_owned();
    parts.fold(start, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
}
