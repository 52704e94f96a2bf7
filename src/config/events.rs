//! The table `events` of a route, as it is written.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::on_disk::Kind;
use super::raw::{OneOrMany, Timeout};
use super::resolve::Resolver;
use super::route::Source;
use crate::events::{EventRate, EventSettings, Suspend};
use crate::limit::Size;
use crate::words::WordError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { window = 64, ttl = \"30s\" }, or {}")]
pub(super) struct RawEvents {
    names: Option<Spanned<OneOrMany<String>>>,
    streams: Option<Spanned<i64>>,
    subscribers: Option<Spanned<i64>>,
    client_streams: Option<Spanned<i64>>,
    queue: Option<Spanned<i64>>,
    queue_bytes: Option<Spanned<Size>>,
    ttl: Option<Spanned<Timeout>>,
    window: Option<Spanned<i64>>,
    log: Option<Spanned<i64>>,
    log_bytes: Option<Spanned<Size>>,
    log_ttl: Option<Spanned<Timeout>>,
    event_size: Option<Spanned<Size>>,
    batch: Option<Spanned<i64>>,
    rate: Option<Spanned<i64>>,
    burst: Option<Spanned<i64>>,
    total_rate: Option<Spanned<i64>>,
    total_burst: Option<Spanned<i64>>,
    heartbeat: Option<Spanned<Timeout>>,
    retry: Option<Spanned<Timeout>>,
    suspend_retry: Option<Spanned<Timeout>>,
    suspend: Option<Spanned<String>>,
    origins: Option<Spanned<OneOrMany<String>>>,
    server_names: Option<Spanned<OneOrMany<String>>>,
    publish_token_file: Option<Spanned<String>>,
}

/// The largest size of a log or a queue.
const MAX_BYTES: Size = Size::new(64 << 30);

/// The largest event: publishers send it in one piece, and it is held while it is read.
const MAX_EVENT: Size = Size::new(16 << 20);

impl Resolver<'_> {
    /// The event streams of the route `name`; what is wrong is noted.
    pub(super) fn events(&mut self, name: &str, raw: Spanned<RawEvents>) -> Source {
        let whole = raw.span();
        let mut raw = raw.into_inner();
        let default = EventSettings::default();
        let key = |key: &str| format!("{key} of events in {name}");
        let places = Places::of(&raw, whole);

        let rates = [("rate", raw.rate.take()), ("total_rate", raw.total_rate.take())];
        let [rate, total_rate] = rates.map(|(name, value)| {
            value
                .map(|value| self.count(&key(name), Some(value), 1, 1) as u64)
                .and_then(|rate| EventRate::new(rate).ok())
        });
        let suspend = match &raw.suspend {
            None => default.suspend,
            Some(word) => word.get_ref().parse().unwrap_or_else(|error: WordError| {
                self.problem(word.span(), format!("{}: {error}", key("suspend")));
                Suspend::default()
            }),
        };
        let token_file =
            raw.publish_token_file.map(|file| self.path(key("publish_token_file"), file, Kind::File));
        let mut count =
            |name, value: Option<Spanned<i64>>, default| self.count(&key(name), value, default, 1);
        let settings = EventSettings {
            streams: count("streams", raw.streams, default.streams),
            subscribers: count("subscribers", raw.subscribers, default.subscribers),
            client_streams: count("client_streams", raw.client_streams, default.client_streams),
            queue: count("queue", raw.queue, default.queue),
            window: count("window", raw.window, default.window),
            log: count("log", raw.log, default.log),
            batch: count("batch", raw.batch, default.batch),
            burst: count("burst", raw.burst, default.burst as usize) as u64,
            total_burst: count("total_burst", raw.total_burst, default.total_burst as usize) as u64,
            rate,
            total_rate,
            suspend,
            names: raw.names.map_or(default.names, texts),
            origins: raw.origins.map_or(default.origins, texts),
            server_names: raw.server_names.map_or(default.server_names, texts),
            publish_token_file: token_file,
            queue_bytes: self
                .size(&key("queue_bytes"), &raw.queue_bytes, MAX_BYTES)
                .unwrap_or(default.queue_bytes),
            log_bytes: self.size(&key("log_bytes"), &raw.log_bytes, MAX_BYTES).unwrap_or(default.log_bytes),
            event_size: self
                .size(&key("event_size"), &raw.event_size, MAX_EVENT)
                .unwrap_or(default.event_size),
            ttl: self.timeout(&key("ttl"), raw.ttl, default.ttl),
            log_ttl: self.timeout(&key("log_ttl"), raw.log_ttl, default.log_ttl),
            heartbeat: self.timeout(&key("heartbeat"), raw.heartbeat, default.heartbeat),
            retry: self.timeout(&key("retry"), raw.retry, default.retry),
            suspend_retry: self.timeout(&key("suspend_retry"), raw.suspend_retry, default.suspend_retry),
        };
        let unchecked = settings.clone();
        Source::Events(Box::new(settings.checked().unwrap_or_else(|faults| {
            // One that could not be read is not what the others do not go with.
            const RELATED: [&str; 8] =
                ["names", "streams", "queue", "queue_bytes", "log", "log_bytes", "event_size", "batch"];
            let lost = self.faults.has_lost(&RELATED);
            for fault in faults.into_iter().filter(|fault| !lost || fault.key == "origins") {
                self.problem(places.get(fault.key), format!("{}: {}", key(fault.key), fault.text));
            }
            unchecked
        })))
    }
}

fn texts(list: Spanned<OneOrMany<String>>) -> Vec<String> {
    list.into_inner().0.into_iter().map(|(_, text)| text).collect()
}

/// Where the keys stand that the check of all of them may find at fault.
struct Places {
    known: Vec<(&'static str, Range<usize>)>,
    whole: Range<usize>,
}

impl Places {
    fn of(raw: &RawEvents, whole: Range<usize>) -> Self {
        fn place<T>(value: &Option<Spanned<T>>) -> Option<Range<usize>> {
            value.as_ref().map(Spanned::span)
        }
        let keys = [
            ("names", place(&raw.names)),
            ("queue", place(&raw.queue).or(place(&raw.batch))),
            ("queue_bytes", place(&raw.queue_bytes).or(place(&raw.event_size))),
            ("log", place(&raw.log).or(place(&raw.queue))),
            ("log_bytes", place(&raw.log_bytes).or(place(&raw.queue_bytes))),
            ("event_size", place(&raw.event_size)),
            ("origins", place(&raw.origins)),
            ("server_names", place(&raw.server_names)),
        ];
        Self { known: keys.into_iter().filter_map(|(key, place)| Some((key, place?))).collect(), whole }
    }

    fn get(&self, key: &str) -> Range<usize> {
        self.known
            .iter()
            .find(|(known, _)| *known == key)
            .map_or(self.whole.clone(), |(_, place)| place.clone())
    }
}
