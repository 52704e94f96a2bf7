//! The JSON Schema of a configuration, for editors.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::entries::{Entry, entries};
use super::{OTHER_FORMS, declared, whole};
use crate::keys::{ConfigError, Declared, Shape};

/// The JSON Schema (draft 7) of a configuration file: its tables and keys, with their types, bounds, words and defaults. What keys
/// mean together is left to [`Loader`](crate::config::Loader), as are the spellings of most texts.
///
/// # Errors
/// None unless the example that comes with the crate is wrong, which its tests exclude.
pub fn schema() -> Result<Value, ConfigError> {
    let mut all = declared(&whole())?;
    all.merge(declared(OTHER_FORMS)?);
    let mut by_name = BTreeMap::new();
    all.add_by_name(&mut by_name);
    let about = About { entries: entries(), by_name };
    let mut schema = about.table(&all, "");
    if let Value::Object(schema) = &mut schema {
        schema.insert("$schema".to_owned(), json!("http://json-schema.org/draft-07/schema#"));
        schema.insert("title".to_owned(), json!("Configuration of Sluicegate"));
    }
    Ok(schema)
}

/// What the example says of keys.
struct About {
    entries: Vec<Entry>,
    /// Tables by their last key, for places where the example has none.
    by_name: BTreeMap<String, Declared>,
}

impl About {
    /// The entry of the key at `path`, else one of its name elsewhere.
    fn entry(&self, path: &str) -> Option<&Entry> {
        let of = |is: &dyn Fn(&str) -> bool| {
            self.entries.iter().find(|entry| !entry.about.is_empty() && is(&entry.path))
        };
        let name = path.rsplit('.').next().unwrap_or(path);
        of(&|known| known == path).or_else(|| of(&|known| known.rsplit('.').next() == Some(name)))
    }

    /// A table and its keys.
    fn table(&self, table: &Declared, path: &str) -> Value {
        let mut keys = Map::new();
        let mut required = Vec::new();
        for (key, shape) in &table.keys {
            let path = if path.is_empty() { (*key).to_owned() } else { format!("{path}.{key}") };
            let inner = table.tables.get(*key).or_else(|| self.by_name.get(*key));
            let entry = self.entry(&path);
            keys.insert((*key).to_owned(), self.key(*shape, inner, &path, entry));
            if entry.is_some_and(|entry| entry.path == path && entry.is_required()) {
                required.push(*key);
            }
        }
        let others = match table.tables.get("*") {
            Some(inner) if table.is_open && !table.has_plain => self.table(inner, &format!("{path}.*")),
            _ => Value::Bool(table.is_open),
        };
        let mut schema = json!({ "type": "object", "properties": keys, "additionalProperties": others });
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        schema
    }

    /// The value of a key, and what `entry` says of it.
    fn key(&self, shape: Shape, inner: Option<&Declared>, path: &str, entry: Option<&Entry>) -> Value {
        let mut schema = self.value(shape, inner, path);
        let Some(entry) = entry else { return schema };
        schema["description"] = json!(entry.about);
        let words = entry.words();
        if entry.path == path && !words.is_empty() {
            schema["enum"] = json!(words);
        }
        if let Some(value) = entry.value.as_ref().filter(|_| entry.path == path) {
            let name = if entry.is_default() { "default" } else { "examples" };
            schema[name] = if entry.is_default() { json!(value) } else { json!([value]) };
        }
        schema
    }

    fn value(&self, shape: Shape, inner: Option<&Declared>, path: &str) -> Value {
        let one_or_list = |one: Value| json!({ "anyOf": [one.clone(), { "type": "array", "items": one }] });
        let table = |inner: Option<&Declared>| match inner {
            Some(inner) => self.table(inner, path),
            None => json!({ "type": "object" }),
        };
        match shape {
            Shape::Text => json!({ "type": "string" }),
            Shape::Texts => one_or_list(json!({ "type": "string" })),
            Shape::Amount => json!({ "type": ["string", "number"] }),
            Shape::Amounts => one_or_list(json!({ "type": ["string", "number"] })),
            Shape::Duration => json!({ "type": "string", "pattern": DURATION }),
            Shape::Size => json!({ "type": "string", "pattern": SIZE }),
            Shape::Number(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
            Shape::Switch => json!({ "type": "boolean" }),
            Shape::Items => one_or_list(json!({ "anyOf": [{ "type": "string" }, table(inner)] })),
            Shape::Table => table(inner),
            Shape::Tables => json!({ "type": "array", "items": table(inner) }),
        }
    }
}

/// What [`duration::parse`](crate::duration::parse) takes.
pub(super) const DURATION: &str = "^[0-9]+([mM]?[sS]|[mM]|[hH])$";

/// What `Size` takes.
pub(super) const SIZE: &str = "^[0-9]+([.][0-9]+)?[bBkKmMgG]$";
