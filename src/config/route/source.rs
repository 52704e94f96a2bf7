//! Where a route's content comes from.

use crate::events::EventSettings;
use crate::http::files::FilesSource;
use crate::http::proxy::ProxySource;
use crate::http::{RedirectSource, RedirectTarget, RefusalSource};
use crate::keys::{Keys, PathKind};

/// Where a route's content comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A folder.
    Files(FilesSource),
    /// A backend, or several of which each can answer.
    Proxy(ProxySource),
    /// Streams of events.
    Events(Box<EventSettings>),
    /// Another address.
    Redirect(RedirectSource),
    /// Nowhere: every request is refused.
    Refuse(RefusalSource),
}

impl Source {
    /// Reads where a route's content comes from.
    pub(super) fn read(keys: &Keys<'_>) -> Option<Self> {
        let kinds = ["files", "proxy", "events", "redirect", "refuse"];
        let given: Vec<&str> = kinds.into_iter().filter(|key| keys.has(key)).collect();
        match given[..] {
            [] => {
                let text =
                    "has no files, proxy, events, redirect or refuse; say where its content comes from";
                keys.table_fault(None, format!("{} {text}", keys.name()));
            }
            [_] => {}
            [.., last @ ("refuse" | "redirect" | "events")] => {
                let text = format!("{} has {last} and another source; leave one out", keys.name());
                keys.table_fault_at(last, text);
            }
            _ => keys
                .table_fault_at("proxy", format!("{} has both files and proxy; leave one out", keys.name())),
        }
        let root = keys.path("files", PathKind::Folder);
        let upstreams = ProxySource::read_upstreams(keys, "proxy");
        let target: Option<RedirectTarget> = keys.parse("redirect");
        let refusal = RefusalSource::read(keys);
        let events = keys.table("events", ", or {}");
        let events = keys.has("events").then(|| EventSettings::read(&events));
        // The keys of another kind of source do nothing.
        let part = |kind: &str| match given[..] {
            [only] if only != kind => {
                keys.without_effect(&format!("does nothing with {only}, only with {kind}; leave it out"))
            }
            _ => keys.clone(),
        };
        let files = FilesSource::read(&part("files"), root.clone().unwrap_or_default());
        let are_upstreams_read = upstreams.is_some();
        let proxy = ProxySource::read(&part("proxy"), upstreams);
        let is_target_read = target.is_some();
        let redirect =
            RedirectSource::read(&part("redirect"), target.unwrap_or_else(RedirectTarget::unknown));
        match given[..] {
            ["files"] => root.map(|_| Self::Files(files)),
            ["proxy"] => are_upstreams_read.then_some(Self::Proxy(proxy)),
            ["events"] => events.map(|events| Self::Events(Box::new(events))),
            ["refuse"] => refusal.map(Self::Refuse),
            ["redirect"] => is_target_read.then_some(Self::Redirect(redirect)),
            _ => None,
        }
    }
}
