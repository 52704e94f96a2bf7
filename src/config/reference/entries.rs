//! The example's keys and tables, each with its comment.

use super::EXAMPLE;

/// A key or a table of the example.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The dotted key; that of a table by name is `*`: `tls.*.cert`.
    pub(super) path: String,
    /// The number of its line, from 0.
    #[cfg_attr(not(test), allow(dead_code, reason = "by it tests change the example"))]
    pub(super) line: usize,
    /// The comment above it, in one line. Empty if there is none.
    pub(super) about: String,
    /// `None` for a table.
    pub(super) value: Option<toml::Value>,
}

impl Entry {
    /// Whether `value` is the default.
    pub(super) fn is_default(&self) -> bool {
        !self.about.contains("Not set by default") && !self.is_required()
    }

    /// Whether its table must have it.
    pub(super) fn is_required(&self) -> bool {
        self.about.contains("Required.")
    }

    /// The words that the value is one of. Empty if it can be anything.
    pub(super) fn words(&self) -> Vec<&str> {
        let list = self.about.split_once("One of: ").and_then(|(_, list)| list.split_once('.'));
        list.map_or_else(Vec::new, |(list, _)| list.split(", ").collect())
    }
}

/// The text of a line that leaves out a key or a table.
pub(super) fn left_out(line: &str) -> Option<&str> {
    line.strip_prefix('#').filter(|text| !text.starts_with([' ', '\n', '#']))
}

/// All keys and tables of the example, in their order.
pub(super) fn entries() -> Vec<Entry> {
    let mut entries = Vec::new();
    let (mut about, mut table) = (Vec::new(), String::new());
    for (line, whole) in EXAMPLE.lines().enumerate() {
        if let Some(text) = whole.strip_prefix("# ") {
            about.push(text);
            continue;
        }
        let text = left_out(whole).unwrap_or(whole);
        let comment = std::mem::take(&mut about).join(" ");
        if let Some(header) = text.strip_prefix('[') {
            table = by_name(header.trim_matches(['[', ']']));
            let path = table.clone();
            entries.push(Entry { path, line, about: comment, value: None });
        } else if let Some((key, value)) =
            text.parse::<toml::Table>().ok().and_then(|line| line.into_iter().next())
        {
            let path = if table.is_empty() { key } else { format!("{table}.{key}") };
            entries.push(Entry { path, line, about: comment, value: Some(value) });
        }
    }
    entries
}

/// A table's key, with `*` for the name of one that has names.
fn by_name(header: &str) -> String {
    match header.split_once('.') {
        Some((kind @ ("tls" | "filter"), _)) => format!("{kind}.*"),
        _ => header.to_owned(),
    }
}
