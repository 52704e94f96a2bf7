//! The rules of a route's pace: the tables `[[route.pace]]`, and `[[route.upload_pace]]` for uploads.

use super::Above;
use crate::http::ClassName;
use crate::http::route::{MethodName, PaceRule, When};
use crate::keys::{Keys, NOTHING_AHEAD};
use crate::limit::Burst;
use crate::schedule::{During, Zone};
use crate::words::suggestion;

/// The most rules of a route.
const MAX: usize = 64;

/// What rules are about.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Matter {
    Responses,
    Uploads,
}

impl Matter {
    fn key(self) -> &'static str {
        match self {
            Self::Responses => "pace",
            Self::Uploads => "upload_pace",
        }
    }
}

/// Reads the rules of a route. Times are those of the zone of `above` unless a rule names another.
pub(super) fn read(keys: &Keys<'_>, matter: Matter, above: &Above) -> Vec<PaceRule> {
    let tables = keys.tables(matter.key());
    if tables.len() > MAX {
        keys.fault(matter.key(), format!("there are more than {MAX} rules; leave some out"));
    }
    let mut rules: Vec<PaceRule> = Vec::new();
    for table in tables {
        let table = table.named(format!("[[route.{}]]", matter.key()));
        let rule = one(&table, matter, above);
        let is_taken = |name: &String| rules.iter().any(|rule| rule.name.as_ref() == Some(name));
        if rule.as_ref().and_then(|rule| rule.name.as_ref()).is_some_and(is_taken) {
            table.fault("name", "a rule of this route above has that name; rename one");
        }
        rules.extend(rule);
    }
    rules
}

fn one(keys: &Keys<'_>, matter: Matter, above: &Above) -> Option<PaceRule> {
    let name: Option<ClassName> = keys.parse("name");
    keys.require("when");
    keys.require("rate");
    let rates = keys.rates("rate");
    let burst = keys.amount("burst", str::parse::<Burst>);
    keys.needs_rate("burst", rates.as_ref().is_some_and(|rates| rates.last().is_some()), NOTHING_AHEAD);
    let table = keys.table("when", " such as { extension = \"iso\" }");
    let when = when(&table, matter, above);
    if keys.has("when") && when.is_empty() && !table.failed(&ALL) && !keys.failed(&["when"]) {
        keys.fault("when", "it asks nothing; set the rate of the route itself, or write a condition");
    }
    let name = name.map(|name| name.to_string());
    Some(PaceRule { name, when, rates: rates?, burst: burst.unwrap_or_default().bytes() })
}

/// The keys of conditions.
const ALL: [&str; 9] =
    ["class", "path", "extension", "method", "query", "status", "content_type", "size", "during"];

fn when(keys: &Keys<'_>, matter: Matter, above: &Above) -> When {
    let of_response = match matter {
        Matter::Responses => keys.clone(),
        Matter::Uploads => keys.without_effect("is not known while a request is read; leave it out"),
    };
    let when = When {
        class: classes(keys, above),
        path: keys.values("path").unwrap_or_default(),
        extension: keys.values("extension").unwrap_or_default(),
        method: keys
            .values::<MethodName>("method")
            .unwrap_or_default()
            .into_iter()
            .map(|method| method.0)
            .collect(),
        query: keys.values("query").unwrap_or_default(),
        status: of_response.amounts("status").unwrap_or_default(),
        content_type: keys.values("content_type").unwrap_or_default(),
        size: keys.parse("size"),
        during: during(keys, &above.zone),
    };
    let lists = [
        ("class", when.class.is_empty()),
        ("path", when.path.is_empty()),
        ("extension", when.extension.is_empty()),
        ("method", when.method.is_empty()),
        ("query", when.query.is_empty()),
        ("status", when.status.is_empty()),
        ("content_type", when.content_type.is_empty()),
    ];
    for (key, is_empty) in lists {
        if is_empty && keys.has(key) && !keys.failed(&[key]) {
            keys.fault(key, "it is empty; write what is meant, or leave it out");
        }
    }
    when
}

/// Reads the names of classes, each of which must be there.
fn classes(keys: &Keys<'_>, above: &Above) -> Vec<ClassName> {
    let named: Vec<(_, ClassName)> = keys.list("class").unwrap_or_default();
    let known: Vec<&str> = above.classes.iter().map(ClassName::as_str).collect();
    for (at, name) in
        named.iter().filter(|(_, name)| !above.are_classes_bad && !known.contains(&name.as_str()))
    {
        let name = name.as_str();
        let what = if known.is_empty() { "write one".to_owned() } else { suggestion(name, &known) };
        keys.fault_at(at.clone(), "class", format!("there is no [[class]] {name:?}; {what}"));
    }
    named.into_iter().map(|(_, name)| name).collect()
}

/// Reads `during` and its `time_zone`.
pub(in crate::config) fn during(keys: &Keys<'_>, zone: &Zone) -> Option<During> {
    let texts: Option<Vec<String>> = keys.values("during");
    let own: Option<Zone> = keys.parse("time_zone");
    if own.is_some() && texts.is_none() {
        keys.fault("time_zone", "there is no time that it is of; write during too, or leave it out");
    }
    let texts = texts.filter(|_| !keys.failed(&["during"]))?;
    let zone = own.unwrap_or_else(|| zone.clone());
    During::parse(texts.iter().map(String::as_str), zone)
        .map_err(|error| keys.fault("during", error.to_string()))
        .ok()
}
