//! `limits list`, `limits set` and `limits reset`: the client of the admin API for limits.

mod rows;
mod source;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sluicegate::limit::{Burst, Rate, Rates, Weight};

use super::admin_args::{Limits, LimitsCommand, ListLimits, ResetLimit, SetLimit};
use super::{CliError, value};
use rows::{is_used, table};

/// What the API leaves as it is in a segment of its addresses.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

/// A page of limits; other fields are kept for `--json`.
#[derive(Deserialize, Serialize)]
struct Page {
    limits: Vec<Value>,
    next: Option<String>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

pub(super) fn run(limits: Limits) -> Result<String, CliError> {
    match limits.command {
        LimitsCommand::List(list) => self::list(&list),
        LimitsCommand::Set(set) => self::set(&set),
        LimitsCommand::Reset(reset) => self::reset(&reset),
    }
}

fn list(typed: &ListLimits) -> Result<String, CliError> {
    let client = typed.client()?;
    let mut all: Page = client.get("/v1/limits")?;
    for of in ["/v1/limits/clients", "/v1/limits/uploads/clients"] {
        let mut path = format!("{of}?limit=500");
        loop {
            let page: Page = client.get(&path)?;
            all.limits.extend(page.limits);
            let Some(next) = page.next else { break };
            path = format!("{of}?limit=500&after={}", utf8_percent_encode(&next, SEGMENT));
        }
    }
    if typed.json {
        let Page { limits, mut more, .. } = all;
        more.insert("limits".to_owned(), limits.into());
        return Ok(format!("{:#}\n", Value::Object(more)));
    }
    all.limits.retain(is_used);
    table(all.limits)
}

fn set(typed: &SetLimit) -> Result<String, CliError> {
    let path = path("set", &typed.limit, typed.of.as_deref())?;
    let change = change(typed)?;
    if typed.default {
        if !["client", "upload-client"].contains(&&*typed.limit) || typed.of.is_none() || change != json!({})
        {
            let text = "--default is for one client, and alone: limits set client 192.0.2.1 --default";
            return Err(CliError::Usage(text.to_owned()));
        }
    } else if change == json!({}) {
        let text = "nothing to change: give --rate, --burst, --weight or --report-only";
        return Err(CliError::Usage(text.to_owned()));
    }
    let client = typed.client()?;
    let asked = asked(&path, typed.save);
    let limit: Value = if typed.default {
        client.delete(&asked)?;
        client.get(&path)?
    } else {
        client.patch(&asked, &change)?
    };
    if typed.json { Ok(format!("{limit:#}\n")) } else { table(vec![limit]) }
}

fn reset(typed: &ResetLimit) -> Result<String, CliError> {
    if typed.limit == "all" {
        if let Some(of) = &typed.of {
            return Err(CliError::Usage(format!("limits reset all takes nothing else: leave out {of:?}")));
        }
        let told: Value = typed.client()?.take_back(&asked("/v1/limits", typed.save))?;
        if typed.json {
            return Ok(format!("{told:#}\n"));
        }
        let reset = told["reset"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let lines: String = reset.map(|href| format!("{} is reset\n", words(href))).collect();
        return Ok(if lines.is_empty() { "nothing was set by hand\n".to_owned() } else { lines });
    }
    let path = path("reset", &typed.limit, typed.of.as_deref())?;
    let client = typed.client()?;
    client.delete(&asked(&path, typed.save))?;
    // The limit of a route or class that is not there was in the overlay alone, and cannot be shown.
    let Ok(limit) = client.get::<Value>(&path) else { return Ok(format!("{} is reset\n", words(&path))) };
    if typed.json { Ok(format!("{limit:#}\n")) } else { table(vec![limit]) }
}

/// The path with which a change is asked for.
fn asked(path: &str, is_saved: bool) -> String {
    if is_saved { format!("{path}?save=true") } else { path.to_owned() }
}

/// The change that the flags ask for, as the API expects it: numbers are bytes.
fn change(typed: &SetLimit) -> Result<Value, CliError> {
    let mut change = json!({});
    if typed.rate.as_ref().is_some_and(|rate| rate.contains(',')) {
        let rates = value("--rate", &typed.rate, str::parse::<Rates>)?;
        change["rate"] = rates.map(|rates| rates.to_string()).into();
    } else if let Some(rate) = value("--rate", &typed.rate, Rate::parse_or_off)? {
        change["rate"] = rate.map(Rate::bytes_per_second).into();
    }
    if let Some(burst) = value("--burst", &typed.burst, str::parse::<Burst>)? {
        change["burst"] = burst.bytes().into();
    }
    let weight = |text: &str| {
        let weight = text.parse().ok().and_then(Weight::new);
        weight.ok_or_else(|| format!("{text:?} is not a number from 1 to {}", u16::MAX))
    };
    if let Some(weight) = value("--weight", &typed.weight, weight)? {
        change["weight"] = weight.get().into();
    }
    let flag = |text: &str| text.parse::<bool>().map_err(|_| format!("{text:?} is neither true nor false"));
    if let Some(report_only) = value("--report-only", &typed.report_only, flag)? {
        change["report_only"] = report_only.into();
    }
    Ok(change)
}

/// The API's path of the limit that the arguments of `limits set` or `limits reset` name.
fn path(command: &str, limit: &str, of: Option<&str>) -> Result<String, CliError> {
    let usage = |text: String| Err(CliError::Usage(text));
    let flags = if command == "set" { " --rate 20m" } else { "" };
    let of_route = |part: &str| match of {
        Some(path) => Ok(of_route_at(path, part)),
        None => usage(format!(
            "the path of the route is missing after {limit}: write limits {command} {limit} /logs/{flags}"
        )),
    };
    let of_class = |part: &str| match of {
        Some(name) => Ok(of_class_named(name, part)),
        None => usage(format!(
            "the name of the class is missing after {limit}: write limits {command} {limit} vip{flags}"
        )),
    };
    match (limit, of) {
        ("server" | "connection", None) => Ok(format!("/v1/limits/{limit}")),
        ("upload-server", None) => Ok("/v1/limits/uploads/server".to_owned()),
        ("server" | "connection" | "upload-server", Some(of)) => {
            usage(format!("{limit} is a single limit: leave out {of:?}"))
        }
        ("client", None) => Ok("/v1/limits/client".to_owned()),
        ("client", Some(key)) => Ok(of_one_client(key)),
        ("upload-client", None) => Ok("/v1/limits/uploads/client".to_owned()),
        ("upload-client", Some(key)) => {
            Ok(format!("/v1/limits/uploads/clients/{}", utf8_percent_encode(key, SEGMENT)))
        }
        ("class", _) => of_class("total"),
        ("class-client", _) => of_class("client"),
        ("upload-class", _) => of_class("upload-total"),
        ("upload-class-client", _) => of_class("upload-client"),
        ("upload", _) => of_route("upload"),
        ("upload-route", _) => of_route("upload-total"),
        ("upload-route-client", _) => of_route("upload-client"),
        ("route", _) => of_route("total"),
        ("route-client", _) => of_route("client"),
        ("response", _) => of_route("response"),
        _ => usage(format!(
            "{limit:?} is not a limit; known: server, client, connection, route, route-client, response, class, \
             class-client, upload-server, upload-client, upload-class, upload-class-client, upload, upload-route, \
             upload-route-client"
        )),
    }
}

/// The API's path of the limit of one client.
pub(super) fn of_one_client(key: &str) -> String {
    format!("/v1/limits/clients/{}", utf8_percent_encode(key, SEGMENT))
}

/// The API's path of a limit of a route.
pub(super) fn of_route_at(path: &str, part: &str) -> String {
    format!("/v1/limits/routes/{}/{part}", utf8_percent_encode(path, SEGMENT))
}

/// The API's path of a limit of a class of clients.
pub(super) fn of_class_named(name: &str, part: &str) -> String {
    format!("/v1/limits/classes/{}/{part}", utf8_percent_encode(name, SEGMENT))
}

/// The arguments of `limits set` for the limit at this path.
pub(super) fn words(href: &str) -> String {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let segments: Vec<&str> = href.strip_prefix("/v1/limits/").unwrap_or_default().split('/').collect();
    match segments[..] {
        ["server"] => "server".to_owned(),
        [each @ ("client" | "connection")] => format!("{each} (each)"),
        ["clients", key] => format!("client {}", decoded(key)),
        ["uploads", "server"] => "upload-server".to_owned(),
        ["uploads", "client"] => "upload-client (each)".to_owned(),
        ["uploads", "clients", key] => format!("upload-client {}", decoded(key)),
        ["classes", name, part] => {
            let kind = match part {
                "total" => "class",
                "client" => "class-client",
                "upload-total" => "upload-class",
                "upload-client" => "upload-class-client",
                part => part,
            };
            format!("{kind} {}", decoded(name))
        }
        ["routes", path, part] => {
            let kind = match part {
                "total" => "route",
                "client" => "route-client",
                "upload-total" => "upload-route",
                "upload-client" => "upload-route-client",
                part => part,
            };
            format!("{kind} {}", decoded(path))
        }
        _ => href.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_map_to_api_paths_and_back() {
        for (limit, of, href, shown) in [
            ("server", None, "/v1/limits/server", "server"),
            ("client", None, "/v1/limits/client", "client (each)"),
            ("connection", None, "/v1/limits/connection", "connection (each)"),
            ("client", Some("192.0.2.1"), "/v1/limits/clients/192.0.2.1", "client 192.0.2.1"),
            ("client", Some("2001:db8::/64"), "/v1/limits/clients/2001:db8::%2F64", "client 2001:db8::/64"),
            ("route", Some("/a b/"), "/v1/limits/routes/%2Fa%20b%2F/total", "route /a b/"),
            ("route-client", Some("/"), "/v1/limits/routes/%2F/client", "route-client /"),
            ("response", Some("/"), "/v1/limits/routes/%2F/response", "response /"),
            ("upload-server", None, "/v1/limits/uploads/server", "upload-server"),
            ("upload-client", None, "/v1/limits/uploads/client", "upload-client (each)"),
            ("upload-client", Some("local"), "/v1/limits/uploads/clients/local", "upload-client local"),
            ("class", Some("vip"), "/v1/limits/classes/vip/total", "class vip"),
            ("class-client", Some("vip"), "/v1/limits/classes/vip/client", "class-client vip"),
            ("upload-class", Some("vip"), "/v1/limits/classes/vip/upload-total", "upload-class vip"),
            (
                "upload-class-client",
                Some("a_b"),
                "/v1/limits/classes/a_b/upload-client",
                "upload-class-client a_b",
            ),
            ("upload", Some("/"), "/v1/limits/routes/%2F/upload", "upload /"),
            ("upload-route", Some("/"), "/v1/limits/routes/%2F/upload-total", "upload-route /"),
            (
                "upload-route-client",
                Some("/"),
                "/v1/limits/routes/%2F/upload-client",
                "upload-route-client /",
            ),
        ] {
            assert_eq!(path("set", limit, of), Ok(href.to_owned()));
            assert_eq!(words(href), shown);
        }
        for (command, limit, of, expected) in [
            ("set", "server", Some("/"), "server is a single limit: leave out"),
            (
                "set",
                "route-client",
                None,
                "missing after route-client: write limits set route-client /logs/ --rate 20m",
            ),
            ("reset", "route", None, "missing after route: write limits reset route /logs/"),
            (
                "reset",
                "class",
                None,
                "the name of the class is missing after class: write limits reset class vip",
            ),
            ("set", "pace", None, "\"pace\" is not a limit; known: server"),
        ] {
            assert!(
                matches!(path(command, limit, of), Err(CliError::Usage(text)) if text.contains(expected))
            );
        }
    }

    #[test]
    fn a_change_is_in_bytes_and_has_only_the_flags_given() {
        let typed = SetLimit {
            rate: Some("60".to_owned()),
            burst: Some("1m".to_owned()),
            weight: Some("3".to_owned()),
            report_only: Some("true".to_owned()),
            ..SetLimit::default()
        };
        let expected = json!({"rate": 61_440, "burst": 1_048_576, "weight": 3, "report_only": true});
        assert_eq!(change(&typed), Ok(expected));
        let falling = SetLimit { rate: Some("2m for 10m, 500".to_owned()), ..SetLimit::default() };
        assert_eq!(change(&falling), Ok(json!({"rate": "2m for 10m, 500k"})));
        let off = SetLimit { rate: Some("off".to_owned()), ..SetLimit::default() };
        assert_eq!(change(&off), Ok(json!({"rate": null})));
        assert_eq!(change(&SetLimit::default()), Ok(json!({})));
    }
}
