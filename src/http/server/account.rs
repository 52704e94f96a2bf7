//! The account of an exchange: what the access log and the metrics say of a request and its answer.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use super::connection::Connection;
use super::observer::{Observed, Observer};
use super::transfer::{Transfer, per_second};
use crate::body::Waits;
use crate::budget::{ClientKey, HeldBy};
use crate::clock::Instant;
use crate::limit::{Limit, RateOrOff};
use crate::logging::{AccessLine, Answered, Subject};
use crate::sink::SinkState;
use crate::telemetry::{Ended, Outcome};

/// What the access log shows where nothing held a response.
pub(super) const NOTHING: &str = "nothing";

/// The shortest wait that counts as what held a response.
const MIN_WAIT: Duration = Duration::from_millis(1);

/// One request and its answer.
pub(super) struct Account {
    pub(super) transfer: Arc<Transfer>,
    /// There is no more content.
    pub(super) ended: bool,
    /// What the content waited for.
    pub(super) waits: Waits,
    /// How long it waited for turns in shared budgets, by their names.
    pub(super) turns: Vec<(Arc<str>, Duration)>,
    /// How long, over HTTP/2, the client's window held it.
    pub(super) window_wait: Duration,
    /// Over HTTP/2, the stream was reset because its client took nothing for too long.
    pub(super) given_up: bool,
    /// What the connection had waited for when the exchange began.
    pub(super) before: SinkWaits,
    /// It became a tunnel, which gets its line in the access log.
    pub(super) is_replaced: bool,
    /// It is a tunnel's.
    pub(super) is_tunnel: bool,
}

/// How long a connection has waited for its own rate and for its reader.
#[derive(Clone, Copy, Debug)]
pub(super) struct SinkWaits {
    pub(super) tokens: Duration,
    pub(super) reader: Duration,
}

impl SinkWaits {
    pub(super) fn until(now: Instant, sink: &SinkState) -> Self {
        Self { tokens: sink.token_wait(now), reader: sink.reader_wait(now) }
    }

    pub(super) fn since(self, before: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_sub(before.tokens),
            reader: self.reader.saturating_sub(before.reader),
        }
    }
}

impl Account {
    /// Opens the account of a transfer on a connection that has waited for `before`.
    pub(super) fn new(transfer: Arc<Transfer>, before: SinkWaits) -> Self {
        transfer.began_behind(before);
        Self {
            transfer,
            ended: false,
            waits: Waits::default(),
            turns: Vec::new(),
            window_wait: Duration::ZERO,
            given_up: false,
            before,
            is_replaced: false,
            is_tunnel: false,
        }
    }

    pub(super) fn is_multiplexed(&self) -> bool {
        self.transfer.is_multiplexed()
    }

    /// Whether all of the content was passed on.
    pub(super) fn is_whole(&self) -> bool {
        let length = self.transfer.answer().and_then(|answer| answer.length);
        self.ended || length == Some(self.transfer.bytes())
    }

    /// Closes it at `now`. `cut`: not all that was passed on went to the socket.
    pub(super) fn close(&self, cut: bool, now: Instant) -> Ended {
        let bytes = self.transfer.bytes();
        let status = self.transfer.answer().map(|answer| answer.status);
        let outcome = match status {
            None => Outcome::Abandoned,
            Some(_) if self.is_whole() && !cut && !self.given_up => Outcome::Complete,
            Some(_) => Outcome::Aborted,
        };
        Ended {
            route: self.transfer.route(),
            status,
            bytes,
            counted: self.transfer.end_counting(bytes),
            lasted: now - self.transfer.began,
            outcome,
        }
    }

    /// How long a backend took for the head of its answer, behind the content that it was sent.
    fn backend_wait(&self, ended: &Ended) -> Duration {
        let transfer = &self.transfer;
        if transfer.upstream().is_none() {
            return Duration::ZERO;
        }
        let until = transfer.answer().map_or(transfer.began + ended.lasted, |answer| answer.at);
        let upload = transfer.upload().map_or(Duration::ZERO, |upload| upload.lasted(until));
        (until - transfer.began).saturating_sub(upload)
    }

    /// How long it waited for what it shares with no other exchange. `waits` are the connection's until now.
    fn own_waits(&self, ended: &Ended, waits: SinkWaits) -> [(HeldBy, Duration); 4] {
        let waits = waits.since(self.before);
        let source = match self.is_tunnel {
            true => apart_from(self.turns_up(), self.waits.source),
            false => self.waits.source + self.backend_wait(ended),
        };
        [
            (HeldBy::Pace, self.waits.pace),
            (HeldBy::Source, source),
            (HeldBy::ConnectionRate, waits.tokens),
            (HeldBy::Reader, waits.reader.max(self.window_wait)),
        ]
    }

    /// What the request's content waited for.
    fn turns_up(&self) -> &[(Arc<str>, Duration)] {
        self.transfer.upload().map_or(&[][..], |upload| upload.turns())
    }

    /// Passes it to an observer. `waits` are the connection's until now.
    pub(super) fn observe(
        &self,
        ended: &Ended,
        connection: &Connection,
        waits: SinkWaits,
        observer: &dyn Observer,
    ) {
        let transfer = &self.transfer;
        let turns = self.turns.iter().chain(self.turns_up());
        let turns = turns.map(|(node, waited)| (HeldBy::Budget(Arc::clone(node)), *waited));
        observer.ended(Observed {
            peer: connection.ends.peer,
            status: ended.status.map(|status| status.as_u16()),
            bytes: ended.bytes,
            bytes_up: transfer.upload().map_or(0, |upload| upload.bytes()),
            outcome: ended.outcome,
            waits: self.own_waits(ended, waits).into_iter().chain(turns).collect(),
        });
    }

    /// Writes its line in the access log, if it gets one. `waits` are the connection's until now.
    pub(super) fn log(&self, ended: &Ended, connection: &Connection, waits: SinkWaits) {
        let transfer = &self.transfer;
        let Some(fields) = transfer.logged.as_deref().filter(|_| !self.is_replaced) else { return };
        let upload = transfer.upload();
        let held_by = longest_held(self.own_waits(ended, waits), self.turns.iter().chain(self.turns_up()));
        let answer = transfer.answer();
        let requester = &transfer.requester;
        connection.log_access(&AccessLine {
            client: &requester.addr,
            ip: requester.addr.ip(),
            key: shown(&requester.charged.key),
            class: requester.charged.class.as_ref().map(|class| class.name()),
            subject: Subject::Response(Answered {
                method: &transfer.method,
                target: &transfer.target(),
                version: transfer.version,
                status: ended.status.map_or(0, |status| status.as_u16()),
                host: &fields.host,
                user_agent: &fields.user_agent,
                referer: &fields.referer,
                upstream: transfer.upstream().unwrap_or_default(),
            }),
            bytes: ended.bytes,
            bytes_up: upload.map(|upload| upload.bytes()),
            up_pace: upload.map(|upload| {
                let lasted = upload.lasted(transfer.began + ended.lasted);
                (RateOrOff(upload.limit.rate_at(upload.bytes())), per_second(upload.bytes(), lasted))
            }),
            lasted: ended.lasted,
            first_byte: answer.map(|answer| answer.at - transfer.began),
            rule: answer.and_then(|answer| answer.rule.as_deref()),
            rule_up: upload.and_then(|upload| upload.rule.as_deref()),
            rate: RateOrOff(answer.and_then(|answer| answer.limit.as_ref()).and_then(Limit::rate)),
            bytes_per_second: per_second(ended.bytes, ended.lasted),
            held_by: held_by.as_ref().map_or(NOTHING, HeldBy::as_str),
            outcome: ended.outcome.as_str(),
            ..connection.access_line()
        });
    }
}

/// What the access log shows of a client's key: not an address, which stands there already.
pub(super) fn shown(key: &ClientKey) -> Option<&dyn Display> {
    match key {
        ClientKey::Header(_) | ClientKey::Certificate(_) => Some(key),
        ClientKey::V4(_) | ClientKey::V6(_) | ClientKey::Local => None,
    }
}

/// The part of a wait for the other end of a tunnel or a relay that is not due to limits of uploads, which were waited for in
/// `turns_up`: that end cannot answer what it has not been sent.
pub(super) fn apart_from(turns_up: &[(Arc<str>, Duration)], source: Duration) -> Duration {
    source.saturating_sub(turns_up.iter().map(|(_, waited)| *waited).sum())
}

/// Returns what held a response longest; `None` if nothing did for a millisecond. `turns` were waited for in shared
/// budgets, by the names of their nodes.
pub(super) fn longest_held<'a>(
    own: [(HeldBy, Duration); 4],
    turns: impl IntoIterator<Item = &'a (Arc<str>, Duration)>,
) -> Option<HeldBy> {
    let turns = turns.into_iter().map(|(node, waited)| (HeldBy::Budget(Arc::clone(node)), *waited));
    let (by, waited) = own.into_iter().chain(turns).max_by_key(|(_, waited)| *waited)?;
    (waited >= MIN_WAIT).then_some(by)
}
