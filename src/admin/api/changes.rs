//! What was changed over the API: who, what, when, what was before, and how to take it back. The last ones only.

use std::collections::VecDeque;

use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json as value};

use super::limits;
use crate::http::api::{Problem, json};
use crate::http::content::Content;
use crate::http::peer::PeerAddr;
use crate::http::server::Handle;
use crate::limit::Rate;
use crate::live_limits::{LimitBook, Live, Name, Setting};
use crate::sync::Mutex;

/// Changes that are kept; the oldest are forgotten. The log has all.
const MOST: usize = 200;

/// The changes, the oldest first.
#[derive(Default)]
pub(super) struct Changes(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    changes: VecDeque<Change>,
    /// Changes so far.
    count: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    Set,
    Reset,
    Close,
}

#[derive(Clone, Serialize)]
struct Change {
    id: u64,
    /// RFC 3339, in UTC.
    at: String,
    /// The other end of the connection that asked.
    by: String,
    what: What,
    /// The address of the limit or connection.
    href: String,
    /// The overlay was changed too.
    saved: bool,
    /// The values of the limit before and after.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Value>,
    /// The request that brings back what was before.
    #[serde(skip_serializing_if = "Option::is_none")]
    undo: Option<Undo>,
}

#[derive(Clone, Serialize)]
struct Undo {
    method: &'static str,
    href: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Value>,
}

/// A limit before it is changed.
struct Before {
    name: Name,
    values: Value,
    by_hand: ByHand,
}

/// What of a limit had been set by hand.
#[derive(PartialEq)]
enum ByHand {
    /// Some of its values, or none.
    Values(Value),
    /// Nothing says what it was without that.
    Unknown,
}

impl Before {
    /// The limit of this name as it is; `None` if there is none.
    fn of(server: &Handle, name: &Name) -> Option<Self> {
        let live = Live::find(server, name)?;
        let values = values(&live.setting(), name);
        let set = live.own_values().or_else(|| LimitBook::of(server).map(|book| book.by_hand(name)));
        let by_hand = set.map_or(ByHand::Unknown, |set| ByHand::Values(only(&values, set)));
        Some(Self { name: name.clone(), values, by_hand })
    }

    /// Those of all limits that were set by hand.
    fn of_all(server: &Handle, names: &[Name]) -> Vec<Self> {
        names.iter().filter_map(|name| Self::of(server, name)).collect()
    }
}

/// The request that brings back the limit at `href` as it was: what was set by hand, and no more.
fn undo(href: &str, saved: bool, before: &Before) -> Undo {
    let save = if saved { "save=true" } else { "" };
    let (method, query, content) = match &before.by_hand {
        ByHand::Unknown => ("PUT", vec![save], Some(before.values.clone())),
        ByHand::Values(none) if none == &value!({}) => ("DELETE", vec![save], None),
        ByHand::Values(values) => ("PATCH", vec!["only=true", save], Some(values.clone())),
    };
    let query: Vec<&str> = query.into_iter().filter(|part| !part.is_empty()).collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    Undo { method, href: format!("{href}{query}"), content }
}

/// The values of a limit, as the API reads them.
fn values(setting: &Setting, name: &Name) -> Value {
    let rate = match setting.rates.is_single() {
        true => setting.budget.rate.map_or(value!("off"), |rate| value!(Rate::bytes_per_second(rate))),
        false => value!(setting.rates.texts().join(", ")),
    };
    let mut values = value!({
        "rate": rate,
        "burst": setting.budget.burst,
        "report_only": setting.budget.report_only,
    });
    if name.is_weighted() {
        values["weight"] = value!(setting.budget.weight.get());
    }
    values
}

/// Those of the values of a limit that are `set`: of rate, burst, weight and report_only.
fn only(values: &Value, set: [bool; 4]) -> Value {
    let keys = ["rate", "burst", "weight", "report_only"].into_iter().zip(set).filter(|(_, is_set)| *is_set);
    let values = keys.filter_map(|(key, _)| Some((key.to_owned(), values.get(key)?.clone())));
    Value::Object(values.collect())
}

impl Changes {
    /// Makes a change of the limit `name` and notes it, while nobody else changes any.
    pub(super) fn made(
        &self,
        server: &Handle,
        what: What,
        (name, saved): (&Name, bool),
        by: &PeerAddr,
        make: impl FnOnce() -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        server.changing(|| {
            let before = Before::of(server, name);
            make()?;
            self.note(server, what, before, saved, by);
            Ok(())
        })
    }

    /// Resets all limits that were set by hand by `reset`, and notes each, while nobody else changes any.
    pub(super) fn made_of_all(
        &self,
        server: &Handle,
        saved: bool,
        by: &PeerAddr,
        reset: impl FnOnce() -> Result<Vec<String>, Problem>,
    ) -> Result<Vec<String>, Problem> {
        server.changing(|| {
            let before = Before::of_all(server, &limits::set_by_hand(server));
            let reset = reset()?;
            for before in before {
                self.note(server, What::Reset, Some(before), saved, by);
            }
            Ok(reset)
        })
    }

    /// Notes that a limit was changed or reset. A request that changed nothing is none.
    fn note(&self, server: &Handle, what: What, before: Option<Before>, saved: bool, by: &PeerAddr) {
        let Some(before) = before else { return };
        let Some(after) = Before::of(server, &before.name) else { return };
        if after.values == before.values && after.by_hand == before.by_hand {
            return;
        }
        let href = before.name.to_string();
        let undo = undo(&href, saved, &before);
        self.add(server, by, |change| Change {
            what,
            href,
            saved,
            before: Some(before.values),
            after: Some(after.values),
            undo: Some(undo),
            ..change
        });
    }

    /// Notes that the connection `id` was closed.
    pub(super) fn note_closed(&self, server: &Handle, id: u64, by: &PeerAddr) {
        self.add(server, by, |change| Change { href: format!("/v1/connections/{id}"), ..change });
    }

    fn add(&self, server: &Handle, by: &PeerAddr, fill: impl FnOnce(Change) -> Change) {
        let mut kept = self.0.lock();
        kept.count += 1;
        let change = fill(Change {
            id: kept.count,
            at: humantime::format_rfc3339_millis(server.calendar()).to_string(),
            by: by.to_string(),
            what: What::Close,
            href: String::new(),
            saved: false,
            before: None,
            after: None,
            undo: None,
        });
        if kept.changes.len() == MOST {
            kept.changes.pop_front();
        }
        kept.changes.push_back(change);
    }

    /// The latest change.
    #[cfg(test)]
    pub(super) fn latest(&self) -> Option<Value> {
        self.0.lock().changes.back().map(|change| value!(change))
    }

    /// All that are kept, the latest first; and whether who asks may change nothing.
    pub(super) fn list(&self, read_only: bool) -> Response<Content> {
        #[derive(Serialize)]
        struct List {
            read_only: bool,
            changes: Vec<Change>,
        }
        let changes = self.0.lock().changes.iter().rev().cloned().collect();
        json(StatusCode::OK, &List { read_only, changes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::server::{Server, Settings};

    #[test]
    fn the_last_changes_are_kept() {
        let changes = Changes::default();
        let server = Server::new(Settings::default(), Vec::new(), Vec::new()).handle();
        for id in 1..=MOST as u64 + 5 {
            changes.note_closed(&server, id, &PeerAddr::Unix);
        }
        let kept = changes.0.lock();
        assert_eq!((kept.changes.len(), kept.changes[0].id, kept.count), (MOST, 6, MOST as u64 + 5));
        assert_eq!(kept.changes[0].href, "/v1/connections/6");
    }
}
