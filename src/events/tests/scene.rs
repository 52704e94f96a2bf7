//! A stream on a time of its own, and connections of subscribers to it.

use std::time::Duration;

use serde_json::Value;

use super::super::counts::EventCounts;
use super::super::delivery_trace::Tracing;
use super::super::event::Draft;
use super::super::hub_error::HubError;
use super::super::shared_rate::SharedRate;
use super::super::stream::{
    After, Polled, RandomIds, Stream, StreamContext, SubscribeRequest, Subscribed, Take,
};
use super::parser::{Parser, Read};
use crate::budget::ClientKey;
use crate::clock::Instant;
use crate::events::EventSettings;

pub(super) struct Scene {
    pub(super) stream: Stream,
    pub(super) settings: EventSettings,
    pub(super) counts: EventCounts,
    pub(super) shared_rate: SharedRate,
    pub(super) tracing: Option<Tracing>,
    pub(super) now: Instant,
    fresh: u64,
}

/// A subscriber's connection as its client has it.
pub(super) struct Connection {
    pub(super) at: (usize, u64),
    pub(super) parser: Parser,
    /// The first event: `sluicegate.open` or `sluicegate.resume`.
    pub(super) opened: Read,
    pub(super) token: String,
}

/// What came on a connection, up to what it waits for.
pub(super) struct Came {
    pub(super) events: Vec<Read>,
    /// What it waits for; none at its end.
    pub(super) then: Option<Take>,
}

impl Came {
    /// The data of ordinary events, and the others by their kind.
    pub(super) fn said(&self) -> Vec<&str> {
        self.events
            .iter()
            .map(|read| if read.kind == "message" { &*read.data } else { &*read.kind })
            .collect()
    }
}

impl Scene {
    pub(super) fn new(settings: EventSettings) -> Self {
        Self::named(settings, None)
    }

    /// One whose subscribers a shared store knows.
    pub(super) fn shared(settings: EventSettings) -> Self {
        Self::named(settings, Some(|token: &str| format!("name of {token}")))
    }

    fn named(settings: EventSettings, name_of: Option<fn(&str) -> String>) -> Self {
        let shared_rate = SharedRate::default();
        shared_rate.set(settings.total_rate, settings.total_burst);
        Self {
            stream: Stream::new("s", "x", name_of),
            settings,
            counts: EventCounts::default(),
            shared_rate,
            tracing: None,
            now: Instant::from_millis(1),
            fresh: 0,
        }
    }

    pub(super) fn with<T>(&mut self, then: impl FnOnce(&mut Stream, &StreamContext<'_>) -> T) -> T {
        let Self { stream, settings, counts, shared_rate, tracing, now, .. } = self;
        let tracing = tracing.as_ref();
        then(stream, &StreamContext { now: *now, settings, counts, shared_rate, tracing, is_stalled: false })
    }

    pub(super) fn pass(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
    }

    pub(super) fn publish(&mut self, data: &[&str]) {
        let batch = data.iter().map(|data| Draft::new(*data, 10_000).unwrap()).collect();
        self.with(|stream, context| stream.publish(batch, context).unwrap());
    }

    pub(super) fn ack(&mut self, token: &str, id: &str) -> Result<usize, HubError> {
        self.with(|stream, context| stream.ack(token, id, context))
    }

    pub(super) fn poll(&mut self, token: &str, after: After, max: usize) -> Result<Polled, HubError> {
        self.with(|stream, context| stream.poll(Some(token), &after, max, context))
    }

    /// Clients of forgotten subscribers.
    pub(super) fn sweep(&mut self) -> Vec<ClientKey> {
        self.with(|stream, context| stream.sweep(context).1)
    }

    pub(super) fn visit(&self) -> SubscribeRequest {
        let client = ClientKey::Local;
        SubscribeRequest { client, token: None, last_id: None, window: None, path: "/events/s".to_owned() }
    }

    /// Subscribes; the `sluicegate.pause` event for who is suspended.
    pub(super) fn subscribe(&mut self, visit: &SubscribeRequest) -> Result<Connection, Read> {
        self.fresh += 1;
        let fresh =
            RandomIds { id: format!("s{}", self.fresh), token: format!("token-{}", self.fresh), random: 600 };
        let subscribed = self.with(|stream, context| stream.subscribe(visit, fresh, context));
        let mut parser = Parser::default();
        match subscribed {
            Subscribed::Suspended(pause) => Err(parser.read(std::str::from_utf8(&pause).unwrap()).remove(0)),
            Subscribed::Stream { key, connection, .. } => {
                let at = (key, connection);
                let Take::Bytes(opening) =
                    self.with(|stream, context| stream.take(at, &visit.path, 600, context))
                else {
                    panic!("no opening")
                };
                let opened = parser.read(std::str::from_utf8(&opening).unwrap()).remove(0);
                let token = json(&opened)["token"].as_str().unwrap().to_owned();
                Ok(Connection { at, parser, opened, token })
            }
        }
    }

    pub(super) fn open(&mut self, visit: &SubscribeRequest) -> Connection {
        self.subscribe(visit).unwrap_or_else(|pause| panic!("suspended: {pause:?}"))
    }

    /// Takes at most `most` pieces, at once on their way.
    pub(super) fn take(&mut self, connection: &mut Connection, most: usize) -> Came {
        let at = connection.at;
        let mut came = Came { events: Vec::new(), then: None };
        for _ in 0..most {
            let take = self.with(|stream, context| {
                let flushes = context.now.as_nanos();
                stream.asked(at, flushes, 1, context);
                stream.take(at, "/events/s", 600, context)
            });
            match take {
                Take::Bytes(ref bytes) | Take::End(ref bytes) => {
                    came.events.extend(connection.parser.read(std::str::from_utf8(bytes).unwrap()));
                }
                wait => {
                    came.then = Some(wait);
                    break;
                }
            }
            if matches!(take, Take::End(_)) {
                break;
            }
        }
        came
    }

    pub(super) fn leave(&mut self, connection: &Connection) {
        let now = self.now;
        self.with(|stream, _| stream.disconnected(connection.at, now));
    }
}

pub(super) fn json(read: &Read) -> Value {
    serde_json::from_str(&read.data).unwrap()
}
