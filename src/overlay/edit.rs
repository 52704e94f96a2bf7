//! Changes the text of an overlay, and leaves its comments and its order.

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, TomlError, Value};

use super::read;
use crate::budget::ClientKey;
use crate::limit::{Burst, Rates};
use crate::live_limits::{LimitChange, Name};

/// `text` with `change` of the limit `name`. `configuration` names the file that a new overlay goes over.
///
/// # Errors
/// It is no TOML.
pub(crate) fn with_change(
    text: &str,
    configuration: &str,
    name: &Name,
    change: &LimitChange,
) -> Result<String, TomlError> {
    let mut document: DocumentMut = text.parse()?;
    let mut head = String::new();
    if document.is_empty() {
        // Comments alone are what follows the last table; here they are to stand before the first.
        head = if text.trim().is_empty() { begin(configuration) } else { text.to_owned() };
        head.truncate(head.trim_end().len());
        head += "\n\n";
        document.set_trailing("");
    }
    let keys = keys(name, &document);
    if let Some(table) = enter(document.as_item_mut(), &keys) {
        for (key, value) in values(change) {
            set(table, key, value);
        }
    }
    Ok(format!("{head}{document}"))
}

/// `text` in which the limit `name` has only those of its values that are `set`: of rate, burst, weight and report_only.
///
/// # Errors
/// It is no TOML.
pub(crate) fn with_only(text: &str, name: &Name, set: [bool; 4]) -> Result<String, TomlError> {
    let mut document: DocumentMut = text.parse()?;
    let keys = keys(name, &document);
    let table = enter(document.as_item_mut(), &keys).and_then(Item::as_table_like_mut);
    if let Some(table) = table {
        for (key, _) in ["rate", "burst", "weight", "report_only"].iter().zip(set).filter(|(_, set)| !set) {
            table.remove(key);
        }
    }
    Ok(document.to_string())
}

/// `text` without the limit `name`.
///
/// # Errors
/// It is no TOML.
pub(crate) fn without(text: &str, name: &Name) -> Result<String, TomlError> {
    let mut document: DocumentMut = text.parse()?;
    let keys = keys(name, &document);
    remove(document.as_table_mut(), &keys);
    let (head, rest) = (head(text), document.to_string());
    // toml_edit keeps the first comment with the first table: if that was removed, the comment is put back.
    Ok(if rest.starts_with(head) { rest } else { format!("{head}{}", rest.trim_start_matches('\n')) })
}

/// `text` without any limit. The comment that it begins with stays, and what stands behind the last.
///
/// # Errors
/// It is no TOML.
pub(crate) fn without_all(text: &str) -> Result<String, TomlError> {
    let document: DocumentMut = text.parse()?;
    if document.is_empty() {
        return Ok(text.to_owned());
    }
    Ok(format!("{}{}", head(text), document.trailing().as_str().unwrap_or_default()))
}

/// The comments that `text` begins with, up to the last blank line before anything else: what follows that is of the first table.
fn head(text: &str) -> &str {
    let (mut end, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        let shown = line.trim();
        if !shown.is_empty() && !shown.starts_with('#') {
            break;
        }
        at += line.len();
        if shown.is_empty() {
            end = at;
        }
    }
    &text[..end]
}

/// How a new overlay begins.
fn begin(configuration: &str) -> String {
    format!(
        "# Limits that were set by hand and saved: `sluicegate limits set ... --save`. They go over those of\n\
         # {configuration}, in its units; `sluicegate limits reset ... --save` takes them out.\n"
    )
}

/// The keys of the table of a limit: the segments of its address. A client that stands in `document` in other words is called as there.
fn keys(name: &Name, document: &DocumentMut) -> Vec<String> {
    let own = |clients: Option<&Item>, key: &ClientKey| {
        let clients = clients.and_then(Item::as_table_like);
        let mut written = clients.into_iter().flat_map(TableLike::iter).map(|(written, _)| written);
        if let Some(written) = written.find(|written| read::client(written).as_ref() == Ok(key)) {
            return written.to_owned();
        }
        key.full_name()
    };
    let of_uploads = document.get("uploads").and_then(|uploads| uploads.get("clients"));
    let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    match name {
        Name::Server => keys(&["server"]),
        Name::Client => keys(&["client"]),
        Name::Connection => keys(&["connection"]),
        Name::Own(key) => keys(&["clients", &own(document.get("clients"), key)]),
        Name::Route(path, part) => keys(&["routes", path, part.word()]),
        Name::Class(class, part) => keys(&["classes", class, part.word()]),
        Name::UploadServer => keys(&["uploads", "server"]),
        Name::UploadClient => keys(&["uploads", "client"]),
        Name::UploadOwn(key) => keys(&["uploads", "clients", &own(of_uploads, key)]),
    }
}

/// The values of a change as they are written.
fn values(change: &LimitChange) -> Vec<(&'static str, Value)> {
    let mut values = Vec::new();
    if let Some(rates) = &change.rate {
        values.push(("rate", rate(rates)));
    }
    if let Some(burst) = change.burst {
        values.push(("burst", Burst::new(burst).to_string().into()));
    }
    if let Some(weight) = change.weight {
        values.push(("weight", i64::from(weight.get()).into()));
    }
    if let Some(report_only) = change.report_only {
        values.push(("report_only", report_only.into()));
    }
    values
}

fn rate(rates: &Rates) -> Value {
    match rates.is_single() {
        true => rates.to_string().into(),
        false => rates.texts().into_iter().collect::<Array>().into(),
    }
}

/// Sets a value of a table, with what stands around the old one.
fn set(table: &mut Item, key: &str, mut value: Value) {
    if let Some(old) = table.get(key).and_then(Item::as_value) {
        value.decor_mut().clone_from(old.decor());
    }
    put(table, key, Item::Value(value));
}

/// Puts `item` into a table.
fn put(table: &mut Item, key: &str, item: Item) {
    let Some(like) = table.as_table_like_mut() else { return };
    if let Some(old) = like.get_mut(key) {
        *old = item;
        return;
    }
    like.insert(key, item);
    if let Some(inline) = table.as_inline_table_mut() {
        // The last value had the space before the brace.
        inline.fmt();
    }
}

/// The table at the end of `keys` below `item`. It is made if it is not there, inside a table on one line on that line too. `None`
/// if something else stands there.
fn enter<'a>(item: &'a mut Item, keys: &[String]) -> Option<&'a mut Item> {
    item.as_table_like_mut()?;
    let Some((first, rest)) = keys.split_first() else { return Some(item) };
    if item.get(first).is_none() {
        let mut new = Table::new();
        new.set_implicit(!rest.is_empty());
        let new = match item.is_inline_table() {
            true => Item::Value(Value::InlineTable(InlineTable::new())),
            false => Item::Table(new),
        };
        put(item, first, new);
    }
    enter(item.get_mut(first)?, rest)
}

/// Takes out the table at the end of `keys`, and those above it that are empty then.
fn remove(table: &mut dyn TableLike, keys: &[String]) {
    let Some((first, rest)) = keys.split_first() else { return };
    if !rest.is_empty() {
        let Some(inner) = table.get_mut(first).and_then(Item::as_table_like_mut) else { return };
        remove(inner, rest);
        if !inner.is_empty() {
            return;
        }
    }
    table.remove(first);
}

#[cfg(test)]
mod tests;
