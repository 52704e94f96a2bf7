//! Settings of event streams: how much is held, for how long, for whom, and who may publish.

use std::path::PathBuf;
use std::time::Duration;

use super::event_store::EventStore;
use crate::keys::{Fault, Keys, MAX_COUNT, PathKind};
use crate::limit::{PerSecond, Size};
use crate::words::shorten;

/// Response to a suspended subscriber.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Suspend {
    /// A stream of one `pause` event, with status 200: a browser gives up for good on any other.
    #[default]
    Stream,
    /// 429 with `Retry-After`, for clients that read status.
    TooManyRequests,
}

spelt!(
    Suspend,
    "what a suspended subscriber can get",
    [("stream", Suspend::Stream), ("429", Suspend::TooManyRequests)]
);

/// The unit of [`EventRate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventUnit {}

/// Events per second.
pub type EventRate = PerSecond<EventUnit>;

/// Event streams below a route's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSettings {
    /// Streams that exist from the start; others are created by their first event.
    pub names: Vec<String>,
    /// Maximum number of streams. Default 1000.
    pub streams: usize,
    /// Maximum number of subscribers of all streams, remembered ones included. Default 10 000.
    pub subscribers: usize,
    /// Maximum number of subscribers of one client, remembered ones included. Default 100.
    pub client_streams: usize,
    /// Maximum number of events that wait for one subscriber. Default 1000.
    pub queue: usize,
    /// Maximum bytes that wait for one subscriber. Default 1 MiB.
    pub queue_bytes: usize,
    /// How long an event waits for a subscriber, and how long a disconnected or suspended subscriber is remembered.
    /// Default 30 s.
    pub ttl: Duration,
    /// Largest window that a subscriber may request. Default 1000.
    pub window: usize,
    /// Maximum number of events of each stream kept for subscribers that resume or poll. Default 10 000.
    pub log: usize,
    /// Maximum bytes of each stream's log. Default 16 MiB.
    pub log_bytes: usize,
    /// How long events stay in the log. Default 5 min.
    pub log_ttl: Duration,
    /// Maximum bytes of an event's data. Default 64 KiB.
    pub event_size: usize,
    /// Maximum number of events in one publication. Default 500.
    pub batch: usize,
    /// Events per second to one subscriber; `None`, the default, is unlimited.
    pub rate: Option<EventRate>,
    /// Events that may be sent to one subscriber at once. Default 100.
    pub burst: u64,
    /// Events per second to all subscribers together; `None`, the default, is unlimited.
    pub total_rate: Option<EventRate>,
    /// Events that may be sent to all subscribers at once. Default 1000.
    pub total_burst: u64,
    /// Longest silence on a stream. Default 15 s: gateways time out after 30 to 60 s.
    pub heartbeat: Duration,
    /// When a disconnected client should reconnect, plus or minus a fifth. Default 3 s.
    pub retry: Duration,
    /// When a suspended client should reconnect. Default 30 s.
    pub suspend_retry: Duration,
    /// Response to a suspended subscriber.
    pub suspend: Suspend,
    /// Origins whose pages may read the streams, besides the server's own; `*` is any, without credentials. Default
    /// none.
    pub origins: Vec<String>,
    /// Host names, without ports, by which the streams may be requested; others are refused. Over a loopback address
    /// `localhost` and loopback addresses are accepted too, and nothing else if this is empty: a page in a browser on
    /// this machine could have its own name resolve there (DNS rebinding). Default empty.
    pub server_names: Vec<String>,
    /// File with the token that publishers must send. Without one only this machine may publish.
    pub publish_token_file: Option<PathBuf>,
    /// Where the streams are kept. Default in memory.
    pub store: EventStore,
    /// How long an event that was answered may be in memory alone, from 0 to 60 s: what a crash loses of a store in a file. 0, the
    /// default, answers once it is on the disk.
    pub store_sync: Duration,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            streams: 1000,
            subscribers: 10_000,
            client_streams: 100,
            queue: 1000,
            queue_bytes: 1 << 20,
            ttl: Duration::from_secs(30),
            window: 1000,
            log: 10_000,
            log_bytes: 16 << 20,
            log_ttl: Duration::from_secs(300),
            event_size: 64 * 1024,
            batch: 500,
            rate: None,
            burst: 100,
            total_rate: None,
            total_burst: 1000,
            heartbeat: Duration::from_secs(15),
            retry: Duration::from_secs(3),
            suspend_retry: Duration::from_secs(30),
            suspend: Suspend::Stream,
            origins: Vec::new(),
            server_names: Vec::new(),
            publish_token_file: None,
            store: EventStore::Memory,
            store_sync: Duration::ZERO,
        }
    }
}

/// The largest size of a log or a queue.
const MAX_BYTES: Size = Size::new(64 << 30);

/// The largest event: publishers send it in one piece, and it is held while it is read.
const MAX_EVENT: Size = Size::new(16 << 20);

/// The longest time that events may be in memory alone.
const MAX_SYNC: Duration = Duration::from_secs(60);

/// Bytes of the longest name of a stream.
pub(super) const MAX_STREAM_NAME: usize = 64;

/// The bounds that depend on one another.
const BOUNDS: [&str; 8] =
    ["names", "streams", "queue", "queue_bytes", "log", "log_bytes", "event_size", "batch"];

/// Maximum bytes on the wire for each byte of an event's data: a line end takes seven, and the data may be held apart.
const SWELL: usize = 9;

impl EventSettings {
    /// Reads the table `events` of a route.
    pub(crate) fn read(keys: &Keys<'_>) -> Self {
        let default = Self::default();
        let count = |key| keys.number(key, 1..=MAX_COUNT);
        let rate = |key| count(key).and_then(|rate| EventRate::new(rate as u64).ok());
        let size = |key, most| keys.size(key, Size::new(1)..=most);
        let settings = Self {
            names: keys.values("names").unwrap_or_default(),
            streams: count("streams").unwrap_or(default.streams),
            subscribers: count("subscribers").unwrap_or(default.subscribers),
            client_streams: count("client_streams").unwrap_or(default.client_streams),
            queue: count("queue").unwrap_or(default.queue),
            queue_bytes: size("queue_bytes", MAX_BYTES).unwrap_or(default.queue_bytes),
            ttl: keys.timeout("ttl").unwrap_or(default.ttl),
            window: count("window").unwrap_or(default.window),
            log: count("log").unwrap_or(default.log),
            log_bytes: size("log_bytes", MAX_BYTES).unwrap_or(default.log_bytes),
            log_ttl: keys.timeout("log_ttl").unwrap_or(default.log_ttl),
            event_size: size("event_size", MAX_EVENT).unwrap_or(default.event_size),
            batch: count("batch").unwrap_or(default.batch),
            rate: rate("rate"),
            burst: count("burst").map_or(default.burst, |burst| burst as u64),
            total_rate: rate("total_rate"),
            total_burst: count("total_burst").map_or(default.total_burst, |burst| burst as u64),
            heartbeat: keys.timeout("heartbeat").unwrap_or(default.heartbeat),
            retry: keys.timeout("retry").unwrap_or(default.retry),
            suspend_retry: keys.timeout("suspend_retry").unwrap_or(default.suspend_retry),
            suspend: keys.parse("suspend").unwrap_or_default(),
            origins: keys.values("origins").unwrap_or_default(),
            server_names: keys.values("server_names").unwrap_or_default(),
            publish_token_file: keys.path("publish_token_file", PathKind::File),
            store: Self::read_store(keys),
            store_sync: keys.duration("store_sync").unwrap_or_default(),
        };
        if !matches!(settings.store, EventStore::File(_))
            && !settings.store_sync.is_zero()
            && !keys.failed(&["store"])
        {
            keys.fault(
                "store_sync",
                "it is of a store in a file; set store = \"file:PATH\" too, or leave it out",
            );
        }
        // Bounds that go with one that could not be read are not known.
        let are_bounds_read = !keys.failed(&BOUNDS);
        for Fault { key, text } in settings.clone().checked().err().into_iter().flatten() {
            if are_bounds_read || matches!(key, "origins" | "server_names" | "store_sync") {
                let others: &[&str] = match key {
                    "queue" => &["batch"],
                    "queue_bytes" => &["event_size"],
                    "log" => &["queue"],
                    "log_bytes" => &["queue_bytes"],
                    _ => &[],
                };
                keys.fault_near(key, others, text);
            }
        }
        settings
    }

    fn read_store(keys: &Keys<'_>) -> EventStore {
        let store: EventStore = keys.parse("store").unwrap_or_default();
        let password_file = keys.path("store_password_file", PathKind::File);
        let authorities = keys.path("store_ca", PathKind::File);
        let prefix: Option<String> = keys.parse("store_prefix");
        #[cfg(feature = "redis")]
        if let EventStore::Redis(source) = store {
            let prefix = prefix.unwrap_or_else(|| source.prefix.clone());
            let mut source = source;
            (source.password_file, source.authorities, source.prefix) = (password_file, authorities, prefix);
            return EventStore::Redis(source);
        }
        let of_shared = [
            ("store_password_file", password_file.is_some()),
            ("store_ca", authorities.is_some()),
            ("store_prefix", prefix.is_some()),
        ];
        for (key, _) in of_shared.iter().filter(|(_, given)| *given && !keys.failed(&["store"])) {
            keys.fault(
                key,
                "it is of a shared store; set store = \"redis://HOST:PORT\" too, or leave it out",
            );
        }
        match store {
            EventStore::File(path) => EventStore::File(keys.made_file("store", &path)),
            other => other,
        }
    }

    /// Checks the settings against one another.
    ///
    /// # Errors
    /// A queue too small for a batch or an event, a log too small for a queue, an invalid name or origin, a bound of
    /// zero.
    pub fn checked(self) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut fault = |key, text: String| faults.push(Fault { key, text });
        for (key, number) in [
            ("streams", self.streams),
            ("subscribers", self.subscribers),
            ("client_streams", self.client_streams),
            ("queue", self.queue),
            ("window", self.window),
            ("log", self.log),
            ("event_size", self.event_size),
            ("batch", self.batch),
        ] {
            if number == 0 {
                fault(key, "with none nothing could be done; give at least 1".to_owned());
            }
        }
        if self.batch > self.queue {
            let text = format!("a batch of {} would overflow it; raise it, or lower batch", self.batch);
            fault("queue", text);
        }
        if self.queue > self.log {
            fault("log", format!("it must hold a queue of {}; raise it, or lower queue", self.queue));
        }
        let largest = self.event_size.saturating_mul(SWELL).saturating_add(1024);
        if self.queue_bytes < largest {
            let text = format!(
                "one event of {} bytes may take {largest}; raise it, or lower event_size",
                self.event_size
            );
            fault("queue_bytes", text);
        }
        if self.log_bytes < self.queue_bytes {
            let text =
                format!("it must hold a queue of {} bytes; raise it, or lower queue_bytes", self.queue_bytes);
            fault("log_bytes", text);
        }
        if self.store_sync > MAX_SYNC {
            let text = "longer than a minute nothing should be in memory alone; give 0s to 60s";
            fault("store_sync", text.to_owned());
        }
        if self.names.len() > self.streams {
            fault("names", format!("there are more than streams allows, {}", self.streams));
        }
        let mut check = |key, given: &[String], is_good: fn(&str) -> bool, what: &str| {
            for text in given.iter().filter(|text| !is_good(text)) {
                fault(key, format!("{:?} is not {what}", shorten(text)));
            }
        };
        let what = "a stream name; take 1 to 64 letters, digits and -._~";
        check("names", &self.names, is_stream_name, what);
        let what = "an origin; write https://app.example, without a path, or *";
        check("origins", &self.origins, is_origin, what);
        let what = "a server name; write app.example, without scheme, port and path";
        check("server_names", &self.server_names, is_server_name, what);
        if faults.is_empty() { Ok(self) } else { Err(faults) }
    }
}

/// Whether `text` can name a stream: 1 to 64 letters, digits and `-._~`; not `.`, `..`.
pub(super) fn is_stream_name(text: &str) -> bool {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    is_plain && (1..=MAX_STREAM_NAME).contains(&text.len()) && !matches!(text, "." | "..")
}

/// Whether `text` is a host name or address, an IPv6 address in brackets.
fn is_server_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => (1..=253).contains(&text.len()) && text.chars().all(is_plain),
    }
}

/// Whether `text` is an origin as browsers send it, or `*` for any.
fn is_origin(text: &str) -> bool {
    if text == "*" {
        return true;
    }
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.:[]".contains(c);
    matches!(scheme, "http" | "https") && !authority.is_empty() && authority.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(settings: EventSettings) -> Vec<&'static str> {
        settings.checked().err().into_iter().flatten().map(|fault| fault.key).collect()
    }

    #[test]
    fn the_defaults_go_together_and_what_does_not_is_named() {
        let default = EventSettings::default;
        for (settings, expected) in [
            (default(), &[][..]),
            (EventSettings { window: 0, ..default() }, &["window"]),
            (EventSettings { batch: 1001, ..default() }, &["queue"]),
            (EventSettings { batch: 1000, ..default() }, &[]),
            (EventSettings { log: 999, ..default() }, &["log"]),
            (EventSettings { log: 1000, ..default() }, &[]),
            (EventSettings { event_size: 116_394, ..default() }, &[]),
            (EventSettings { event_size: 116_395, ..default() }, &["queue_bytes"]),
            (EventSettings { log_bytes: (1 << 20) - 1, ..default() }, &["log_bytes"]),
            (
                EventSettings { names: vec!["a/b".into(), String::new(), "..".into()], ..default() },
                &["names"; 3],
            ),
            (EventSettings { names: vec!["a".into(), "b".into()], streams: 1, ..default() }, &["names"]),
        ] {
            assert_eq!(faults(settings.clone()), expected, "{settings:?}");
        }
    }

    #[test]
    fn origins_are_as_browsers_send_them() {
        for (text, good) in [
            ("https://app.example", true),
            ("http://[::1]:8080", true),
            ("https://app.example/", false),
            ("https://App.example", false),
            ("app.example", false),
            ("*", true),
            ("**", false),
            ("https://*", false),
            ("null", false),
            ("https://", false),
        ] {
            assert_eq!(is_origin(text), good, "{text}");
        }
    }

    #[test]
    fn server_names_are_names_or_addresses_alone() {
        let longest = "n".repeat(253);
        for (text, good) in [
            ("app.example", true),
            ("App.example.", true),
            ("localhost", true),
            ("192.0.2.1", true),
            ("[2001:db8::1]", true),
            (longest.as_str(), true),
            ("", false),
            ("app.example:8080", false),
            ("https://app.example", false),
            ("app.example/", false),
            ("*.example", false),
            ("2001:db8::1", false),
            ("[app.example]", false),
            (&format!("{longest}n"), false),
        ] {
            assert_eq!(is_server_name(text), good, "{text}");
        }
    }
}
