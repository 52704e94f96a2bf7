//! The rules of a route's pace: the tables `[[route.pace]]`.

use http::Method;

use crate::http::route::{PaceRule, When};
use crate::keys::{Keys, NOTHING_AHEAD};
use crate::limit::Burst;
use crate::schedule::{During, Zone};
use crate::words::shorten;

/// The most rules of a route.
const MAX: usize = 64;

/// Reads the rules of a route. Times are those of `zone` unless a rule names another.
pub(super) fn read(keys: &Keys<'_>, zone: &Zone) -> Vec<PaceRule> {
    let tables = keys.tables("pace");
    if tables.len() > MAX {
        keys.fault("pace", format!("there are more than {MAX} rules; leave some out"));
    }
    tables.into_iter().filter_map(|rule| one(&rule.named("[[route.pace]]".to_owned()), zone)).collect()
}

fn one(keys: &Keys<'_>, zone: &Zone) -> Option<PaceRule> {
    keys.require("when");
    keys.require("rate");
    let rates = keys.rates("rate");
    let burst = keys.amount("burst", str::parse::<Burst>);
    keys.needs_rate("burst", rates.as_ref().is_some_and(|rates| rates.last().is_some()), NOTHING_AHEAD);
    let table = keys.table("when", " such as { extension = \"iso\" }");
    let when = when(&table, zone);
    if keys.has("when") && when.is_empty() && !table.failed(&ALL) && !keys.failed(&["when"]) {
        keys.fault("when", "it asks nothing; set the rate of the route itself, or write a condition");
    }
    Some(PaceRule { when, rates: rates?, burst: burst.unwrap_or_default().bytes() })
}

/// The keys of conditions.
const ALL: [&str; 8] = ["path", "extension", "method", "query", "status", "content_type", "size", "during"];

fn when(keys: &Keys<'_>, zone: &Zone) -> When {
    let when = When {
        path: keys.values("path").unwrap_or_default(),
        extension: keys.values("extension").unwrap_or_default(),
        method: keys
            .values::<Upper>("method")
            .unwrap_or_default()
            .into_iter()
            .map(|method| method.0)
            .collect(),
        query: keys.values("query").unwrap_or_default(),
        status: keys.amounts("status").unwrap_or_default(),
        content_type: keys.values("content_type").unwrap_or_default(),
        size: keys.parse("size"),
        during: during(keys, zone),
    };
    let lists = [
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

fn during(keys: &Keys<'_>, zone: &Zone) -> Option<During> {
    let texts: Option<Vec<String>> = keys.values("during");
    let own: Option<Zone> = keys.parse("time_zone");
    if own.is_some() && texts.is_none() {
        keys.fault("time_zone", "there is no time that it is of; write during too, or leave it out");
    }
    let texts = texts.filter(|_| !keys.failed(&["during"]))?;
    let zone = own.unwrap_or_else(|| zone.clone());
    During::parse(texts.iter().map(String::as_str), zone).map_err(|text| keys.fault("during", text)).ok()
}

/// A method as it is sent: names are case-sensitive (RFC 9110 section 9.1), and those that are known are capitals.
struct Upper(Method);

impl std::str::FromStr for Upper {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{:?} is not a method; write such as GET", shorten(text));
        if text.contains(|c: char| c.is_ascii_lowercase()) {
            return Err(wrong());
        }
        text.parse().map(Self).map_err(|_| wrong())
    }
}
