//! Reads the file of clients.

use std::str::FromStr;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method};

use super::{Arrival, Group, MAX_GROUPS, MAX_WORKERS, Pause, SizeOf, Spec, Target};
use crate::address::Network;
use crate::duration;
use crate::http::route::MethodName;
use crate::keys::{Absent, ConfigError, Draft, Item, Keys, Reading, Value};
use crate::limit::{Rate, Size};
use crate::words::shorten;

/// 1 Gbit/s.
const DEFAULT_SPEED: u64 = 125_000_000;
const DEFAULT_BUFFER: u64 = 256 * 1024;
const DEFAULT_LATENCY: Duration = Duration::from_millis(10);

/// Fields that the simulation sets itself.
const OWN_FIELDS: [&str; 5] = ["content-length", "transfer-encoding", "connection", "expect", "upgrade"];

const LIKE_ARRIVAL: &str = "\"at_once\", { ramp = \"1m\" } or { per_second = 2 }";

impl Spec {
    /// Reads clients from `draft`.
    ///
    /// # Errors
    /// Something in it is wrong. The error lists up to 50 faults, each with its place.
    pub fn read(draft: &Draft) -> Result<Self, ConfigError> {
        let reading = Reading::new(draft, Absent::Fault);
        let keys = Keys::top(&reading);
        let mut groups: Vec<Group> = Vec::new();
        for table in keys.tables("clients") {
            let group = Group::read(&table, groups.len());
            if groups.iter().any(|other| other.name == group.name) {
                let text = format!("{:?} is the name of another group; choose another", shorten(&group.name));
                table.fault("name", text);
            }
            groups.push(group);
        }
        if groups.is_empty() && !keys.failed(&["clients"]) {
            let text = "there are no clients: write [[clients]] with a path and a size";
            keys.table_fault(None, text);
        }
        if groups.len() > MAX_GROUPS {
            keys.fault("clients", format!("there are more than {MAX_GROUPS} groups; leave some out"));
        }
        if groups.iter().map(Group::workers).fold(0, usize::saturating_add) > MAX_WORKERS {
            let text = format!("they have more than {MAX_WORKERS} connections together; have fewer clients");
            keys.fault("clients", text);
        }
        reading.finish()?;
        Ok(Self { groups })
    }
}

impl Group {
    fn read(keys: &Keys<'_>, nth: usize) -> Self {
        keys.require("path");
        let name = keys.parse_with("name", name).unwrap_or_else(|| format!("clients {}", nth + 1));
        let uploads = sizes(keys, "upload").unwrap_or_default();
        if uploads.contains(&SizeOf::Endless) {
            keys.fault("upload", "a request has a length; write a size");
        }
        let paths = targets(keys);
        // What only sends may be answered without content.
        let has_sizes = !paths.is_empty() && paths.iter().all(|target| !target.sizes.is_empty());
        if uploads.is_empty() && !has_sizes {
            keys.require("size");
        }
        let usual = if uploads.is_empty() { Method::GET } else { Method::PUT };
        let method = keys.parse("method").map_or(usual, |MethodName(method)| method);
        if !uploads.is_empty() && (method == Method::GET || method == Method::HEAD) {
            keys.fault("upload", format!("a request with {method} has no content; write method = \"PUT\""));
        }
        let arrive = arrival(keys);
        let stays = !matches!(arrive, Arrival::PerSecond(_));
        let usual: Network = format!("10.{}.0.0/16", nth % 255 + 1).parse().unwrap_or_else(|_| {
            // It is a network.
            Network::of(std::net::Ipv4Addr::LOCALHOST.into())
        });
        let group = Self {
            name,
            count: keys.number("count", 1..=MAX_WORKERS).unwrap_or(1),
            connections: keys.number("connections", 1..=1_000).unwrap_or(1),
            requests: keys.number("requests", 1..=1_000_000).or((!stays).then_some(1)),
            addresses: keys.parse("addresses").unwrap_or(usual),
            method,
            paths,
            fields: fields(keys),
            certificate: keys.parse_with("certificate", not_empty),
            sizes: sizes(keys, "size").unwrap_or_else(|| vec![SizeOf::Fixed(0)]),
            source_rate: speed(keys, "source_rate"),
            uploads,
            arrive,
            think: pause(keys),
            read_rate: speed(keys, "read_rate").unwrap_or_else(usual_speed),
            send_rate: speed(keys, "send_rate").unwrap_or_else(usual_speed),
            buffer: keys
                .size("buffer", Size::new(4096)..=Size::new(64 << 20))
                .map_or(DEFAULT_BUFFER, |bytes| bytes as u64),
            latency: keys.amount("latency", latency).unwrap_or(DEFAULT_LATENCY),
            patience: keys.timeout("patience"),
            from: keys.duration("from").unwrap_or_default(),
            until: keys.duration("until"),
        };
        if group.until.is_some_and(|until| until <= group.from) {
            keys.fault("until", "it is not after from; write a later time");
        }
        if group.addresses.size() < group.count as u128 {
            let (has, count) = (group.addresses.size(), group.count);
            keys.fault(
                "addresses",
                format!("it has {has} addresses for {count} clients; write a larger network"),
            );
        }
        group
    }
}

fn usual_speed() -> Rate {
    Rate::new(DEFAULT_SPEED).expect("it is not zero")
}

fn name(text: &str) -> Result<String, String> {
    match text.chars().count() {
        0 => Err("it is empty; write a name".to_owned()),
        1..=40 if !text.contains(char::is_control) => Ok(text.to_owned()),
        _ => Err("it has more than 40 characters, or one that is not shown; write a shorter name".to_owned()),
    }
}

fn not_empty(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("it is empty; write a name, or a SHA-256 in hex".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// Reads a latency. Zero is refused: a server that answers at once would be asked again at the same instant, forever.
fn latency(text: &str) -> Result<Duration, String> {
    let latency = duration::parse(text).map_err(|error| error.to_string())?;
    let is_good = (Duration::from_millis(1)..=Duration::from_secs(60)).contains(&latency);
    is_good.then_some(latency).ok_or_else(|| "it is not a time from 1ms to 1m".to_owned())
}

fn speed(keys: &Keys<'_>, key: &'static str) -> Option<Rate> {
    keys.amount(key, str::parse::<Rate>)
}

/// A path as text.
struct PathText(String);

impl FromStr for PathText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_good = text.starts_with('/') && text.parse::<PathAndQuery>().is_ok();
        is_good
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| format!("{:?} is not a path; write such as \"/a/b?c\"", shorten(text)))
    }
}

fn targets(keys: &Keys<'_>) -> Vec<Target> {
    let items = keys.items::<PathText>("path", " such as { path = \"/a\", weight = 3 }").unwrap_or_default();
    let target = |item| match item {
        Item::Text(PathText(path)) => Some(Target { path, weight: 1, sizes: Vec::new() }),
        Item::Table(table) => {
            table.require("path");
            let (weight, sizes) = (table.number("weight", 1..=65_535), sizes(&table, "size"));
            let PathText(path) = table.parse("path")?;
            Some(Target { path, weight: weight.unwrap_or(1), sizes: sizes.unwrap_or_default() })
        }
    };
    let targets: Vec<Target> = items.into_iter().filter_map(|(_, item)| target(item)).collect();
    if targets.is_empty() && keys.has("path") && !keys.failed(&["path"]) {
        keys.fault("path", "it is empty; write a path");
    }
    targets
}

/// A size as text.
struct SizeText(SizeOf);

impl FromStr for SizeText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "endless" {
            return Ok(Self(SizeOf::Endless));
        }
        let size: Size = text.parse().map_err(|error| format!("{error}; or write \"endless\""))?;
        bounded(size.bytes()).map(SizeOf::Fixed).map(Self)
    }
}

fn bounded(bytes: u64) -> Result<u64, String> {
    if bytes > SizeOf::MAX { Err(format!("it is above {}", Size::new(SizeOf::MAX))) } else { Ok(bytes) }
}

fn size(keys: &Keys<'_>, key: &'static str) -> Option<u64> {
    keys.require(key);
    keys.amount(key, |text| bounded(text.parse::<Size>().map_err(|error| error.to_string())?.bytes()))
}

fn sizes(keys: &Keys<'_>, key: &'static str) -> Option<Vec<SizeOf>> {
    let like = " such as { from = \"1m\", to = \"20m\" } or { median = \"1m\", spread = 2 }";
    let items = keys.items::<SizeText>(key, like)?;
    let size_of = |item| match item {
        Item::Text(SizeText(size)) => Some(size),
        Item::Table(table) if table.has("median") => {
            let median = size(&table, "median");
            table.require("spread");
            let spread = table.amount("spread", |text| number(text, 1.0, 1_000.0));
            Some(SizeOf::LogNormal { median: median?.max(1), spread: spread? })
        }
        Item::Table(table) => {
            let (from, to) = (size(&table, "from")?, size(&table, "to")?);
            if to < from {
                table.fault("to", "it is below from; write a larger size");
            }
            Some(SizeOf::Between(from, to.max(from)))
        }
    };
    let sizes: Vec<SizeOf> = items.into_iter().filter_map(|(_, item)| size_of(item)).collect();
    if sizes.is_empty() && !keys.failed(&[key]) {
        keys.fault(key, "it is empty; write a size");
    }
    Some(sizes)
}

/// A number above `least`, up to `most`.
fn number(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| *number > least && *number <= most);
    number.ok_or_else(|| format!("{:?} is not a number above {least} up to {most}", shorten(text)))
}

struct AtOnce;

impl FromStr for AtOnce {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        (text == "at_once")
            .then_some(Self)
            .ok_or_else(|| format!("{:?} is not an arrival; write {LIKE_ARRIVAL}", shorten(text)))
    }
}

fn arrival(keys: &Keys<'_>) -> Arrival {
    let items = keys.items::<AtOnce>("arrive", &format!(": {LIKE_ARRIVAL}"));
    let Some((_, Item::Table(table))) = items.and_then(|items| items.into_iter().next()) else {
        return Arrival::AtOnce;
    };
    let ramp = table.timeout("ramp");
    let per_second = table.amount("per_second", |text| number(text, 0.000_001, 100_000.0));
    if table.has("ramp") && table.has("per_second") {
        table.fault("per_second", "clients come on a ramp or by chance, not both; leave one out");
    } else if !table.has("ramp") && !table.has("per_second") {
        table.table_fault(None, format!("arrive: it says neither ramp nor per_second; write {LIKE_ARRIVAL}"));
    }
    ramp.map(Arrival::Ramp).or(per_second.map(Arrival::PerSecond)).unwrap_or(Arrival::AtOnce)
}

struct Fixed(Duration);

impl FromStr for Fixed {
    type Err = duration::DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        duration::parse(text).map(Self)
    }
}

fn pause(keys: &Keys<'_>) -> Pause {
    let items = keys.items::<Fixed>("think", " such as { mean = \"2s\" }");
    match items.and_then(|items| items.into_iter().next()) {
        None => Pause::Fixed(Duration::ZERO),
        Some((_, Item::Text(Fixed(pause)))) => Pause::Fixed(pause),
        Some((_, Item::Table(table))) => {
            table.require("mean");
            Pause::Exponential(table.timeout("mean").unwrap_or_default())
        }
    }
}

fn fields(keys: &Keys<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let table = keys.table("headers", " such as { x-api-key = \"…\" }");
    let mut fields = Vec::new();
    for entry in table.all() {
        let (name, at) = (entry.name.as_str(), &entry.node.at);
        let Ok(field) = name.parse::<HeaderName>() else {
            table.table_fault(entry.at.clone(), format!("{:?} is not the name of a field", shorten(name)));
            continue;
        };
        let value = match &entry.node.value {
            Value::Text(text) => text.parse::<HeaderValue>().ok(),
            _ => None,
        };
        if OWN_FIELDS.contains(&field.as_str()) {
            table.table_fault(entry.at.clone(), format!("the simulation sets {field} itself; leave it out"));
        } else if let Some(value) = value {
            fields.push((field, value));
        } else {
            // It may be a secret, and is not shown.
            table.table_fault(
                at.clone(),
                format!("the value of {field} is not valid; write a string of visible characters"),
            );
        }
    }
    fields
}
