//! The account of an exchange: what the log and the metrics tell of a request and its answer.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use http::{Method, StatusCode};

use super::clients::Asker;
use super::connection::Connection;
use super::connection_fields;
use super::h2::{MAX_CODERS, is_crowded};
use super::transfer::Transfer;
use super::tunnel::Tracked;
use crate::body::Waits;
use crate::brigade::MAX_PIECE;
use crate::budget::{ClientKey, HeldBy};
use crate::clock::Instant;
use crate::filter::Filter;
use crate::http::body::RequestBody;
use crate::http::content::Content;
use crate::http::peer::ClientAddr;
use crate::limit::{Limit, Rate, RateOrOff};
use crate::telemetry::{Ended, Outcome};

/// What the access log shows where nothing held a response.
pub(super) const NOTHING: &str = "nothing";

/// Says that there is no answer to conclude: there are never so many flushes.
pub(super) const NOTHING_UNSENT: u64 = u64::MAX;

/// One request and its answer, from the request's head to the last byte handed on, or the abort.
///
/// Dropping it hands its account to the connection, which tells it when these bytes went to the socket.
pub(super) struct Exchange {
    connection: Arc<Connection>,
    pub(super) account: Account,
    /// Filters of the answer whose state is large.
    coders: usize,
}

/// What is known of an exchange.
pub(super) struct Account {
    /// The part that others may look at while it lasts.
    transfer: Arc<Transfer>,
    /// There is no more content.
    pub(super) ended: bool,
    /// Bytes that were handed on did not go to the socket.
    cut: bool,
    /// What the body waited for.
    pub(super) waits: Waits,
    /// What it waited for turns in shared budgets, by their names.
    pub(super) turns: Vec<(Arc<str>, Duration)>,
    /// How long, over HTTP/2, the client's window held it.
    pub(super) window_wait: Duration,
    /// Over HTTP/2, its client took nothing for too long.
    pub(super) given_up: bool,
    /// What the connection had waited for, for tokens and for its reader, when the exchange began.
    waited_before: (Duration, Duration),
    /// It became a tunnel, which has the line in the log in its place.
    is_tunnel: bool,
    /// Of a tunnel: bytes that came from the client.
    up: Option<u64>,
}

impl Exchange {
    /// `logged`: the access log tells of it.
    pub(super) fn begin(
        connection: Arc<Connection>,
        request: &http::Request<RequestBody>,
        asker: Asker,
        logged: bool,
    ) -> Self {
        let began = connection.now();
        let transfer = Arc::new(Transfer::new(request, asker, logged, began));
        connection.exchange_began(&transfer);
        let account = Account {
            transfer,
            ended: false,
            cut: false,
            waits: Waits::default(),
            turns: Vec::new(),
            window_wait: Duration::ZERO,
            given_up: false,
            waited_before: waited(&connection, began),
            is_tunnel: false,
            up: None,
        };
        Self { connection, account, coders: 0 }
    }

    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Whether the connection has as many answers under way whose filters' state is large as it may have.
    pub(super) fn may_not_code(&self) -> bool {
        self.is_multiplexed() && self.connection.coders.load(Ordering::Relaxed) >= MAX_CODERS
    }

    /// Whether `content` is a long answer made whole, and the connection's streams hold as much as they may
    /// already. What comes piece by piece waits instead.
    pub(super) fn may_not_hold(&self, content: &Content) -> bool {
        let is_long = matches!(content, Content::Buckets(whole) if whole.bytes_in_memory() > MAX_PIECE);
        is_long && self.is_multiplexed() && is_crowded(&self.connection.sink)
    }

    /// Over HTTP/2, where an answer may wait for long before it is asked for: charges the connection for one that
    /// is made whole.
    pub(super) fn hold(&self, content: &Content) {
        if let Content::Buckets(whole) = content
            && self.is_multiplexed()
        {
            self.account.transfer.charge_whole(whole.bytes_in_memory(), &self.connection);
        }
    }

    /// Counts a filter of the answer.
    pub(super) fn attached(&mut self, filter: &dyn Filter) {
        if filter.max_held() > 0 {
            self.coders += 1;
            self.connection.coders.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Who is charged for it.
    pub(super) fn client(&self) -> &ClientKey {
        &self.account.transfer.asker.key
    }

    /// Whose it is, as the log has it.
    pub(super) fn addr(&self) -> ClientAddr {
        self.account.transfer.asker.addr
    }

    /// Notes the number of the route that answers.
    pub(super) fn routed(&mut self, route: usize) {
        self.account.transfer.flow().route = Some(route);
    }

    /// Makes the head of the answer fit for the client, and notes it, with the limit its body is under; whether
    /// that is the route's, and no other filter of the answer waits.
    pub(super) fn answered(
        &mut self,
        head: &mut http::response::Parts,
        limit: Option<Limit>,
        under_route: bool,
    ) {
        connection_fields::conform(head, self.account.transfer.version);
        let mut flow = self.account.transfer.flow();
        flow.status = Some(head.status);
        flow.length = head
            .headers
            .get(http::header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        flow.limit = limit;
        flow.under_route = under_route;
    }

    /// What others may look at meanwhile.
    pub(super) fn transfer(&self) -> &Transfer {
        &self.account.transfer
    }

    /// The tunnel that the exchange becomes, and that is told of in its place.
    pub(super) fn tunnel(&mut self) -> Tracked {
        self.account.is_tunnel = true;
        let waited_before = self.account.waited_before;
        Tracked::new(Arc::clone(&self.connection), &self.account.transfer, waited_before)
    }

    /// The version of HTTP that the request came by.
    pub(super) fn version(&self) -> http::Version {
        self.account.transfer.version
    }

    /// Whether the answer has no content, whatever its head and its source say (RFC 9110 section 6.4.1).
    pub(super) fn is_without_content(&self) -> bool {
        let status = self.transfer().flow().status.unwrap_or_default();
        self.transfer().method == Method::HEAD
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    }

    /// Whether the answer shares its connection with others.
    pub(super) fn is_multiplexed(&self) -> bool {
        self.account.is_multiplexed()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.connection.coders.fetch_sub(self.coders, Ordering::Relaxed);
        let account = Account {
            transfer: Arc::clone(&self.account.transfer),
            turns: std::mem::take(&mut self.account.turns),
            ..self.account
        };
        self.connection.exchange_ended(account);
    }
}

impl Account {
    /// That of a tunnel which is over.
    pub(super) fn of_tunnel(
        transfer: Arc<Transfer>,
        waits: Waits,
        turns: Vec<(Arc<str>, Duration)>,
        waited_before: (Duration, Duration),
        up: u64,
    ) -> Self {
        Self {
            transfer,
            ended: true,
            cut: false,
            waits,
            turns,
            window_wait: Duration::ZERO,
            given_up: false,
            waited_before,
            is_tunnel: false,
            up: Some(up),
        }
    }

    pub(super) fn is_multiplexed(&self) -> bool {
        self.transfer.is_multiplexed()
    }

    /// Whether all of the content was handed on.
    pub(super) fn is_whole(&self) -> bool {
        let flow = self.transfer.flow();
        self.ended || flow.length == Some(flow.bytes)
    }

    fn outcome(&self, status: Option<StatusCode>) -> Outcome {
        match status {
            None => Outcome::Abandoned,
            Some(_) if self.is_whole() && !self.cut && !self.given_up => Outcome::Complete,
            Some(_) => Outcome::Aborted,
        }
    }

    /// Tells of it, which is over `now`. `cut`: not all of what was handed on went to the socket.
    pub(super) fn tell(mut self, connection: &Connection, cut: bool, now: Instant) {
        self.cut = cut;
        let (route, status, bytes, counted) = {
            let mut flow = self.transfer.flow();
            let bytes = flow.bytes;
            (flow.route, flow.status, bytes, std::mem::replace(&mut flow.counted, bytes))
        };
        let lasted = now - self.transfer.began;
        let ended = Ended { route, status, bytes, counted, lasted, outcome: self.outcome(status) };
        // A tunnel is counted as the answer that it began with, and has one line, at its end.
        if self.up.is_none() {
            connection.server.telemetry.response_ended(&ended);
        }
        if self.transfer.logged && !self.is_tunnel {
            self.log(&ended, connection);
        }
    }

    fn log(&self, ended: &Ended, connection: &Connection) {
        let lasted = ended.lasted;
        let pace = Rate::new((u128::from(ended.bytes) * 1_000_000_000 / lasted.as_nanos().max(1)) as u64);
        let (tokens_before, reader_before) = self.waited_before;
        let (tokens, reader) = waited(connection, self.transfer.began + lasted);
        let own = [
            (HeldBy::Pace, self.waits.pace),
            (HeldBy::Source, self.waits.source),
            (HeldBy::ConnectionRate, tokens.saturating_sub(tokens_before)),
            (HeldBy::Reader, reader.saturating_sub(reader_before).max(self.window_wait)),
        ];
        let held_by = longest_held(own, &self.turns);
        let transfer = &self.transfer;
        let set = transfer.flow().limit.as_ref().and_then(Limit::rate);
        macro_rules! line {
            ($($up:tt)*) => { log::info!(
            target: "access",
            client:% = self.transfer.asker.addr,
            peer:% = connection.ends.peer,
            connection = connection.id,
            method:% = transfer.method,
            target = transfer.target.as_str(),
            version:? = transfer.version,
            status = ended.status.map_or(0, |status| status.as_u16()),
            bytes = ended.bytes,
            $($up)*
            duration_ms = lasted.as_millis() as u64,
            rate_set:% = RateOrOff(set),
            bytes_per_second = pace.map_or(0, Rate::bytes_per_second),
            held_by = held_by.as_ref().map_or(NOTHING, HeldBy::as_str),
            outcome = ended.outcome.as_str();
            "response"
            ) };
        }
        match self.up {
            None => line!(),
            Some(up) => line!(bytes_up = up,),
        }
    }
}

/// How a connection keeps the accounts of its exchanges.
impl Connection {
    /// Counts an exchange in.
    pub(super) fn exchange_began(&self, transfer: &Arc<Transfer>) {
        // Requests that were sent together: the last one's bytes and this one's may go as one.
        self.conclude_unsent(false);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.note_client(transfer.asker.addr, transfer.is_multiplexed());
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        self.track(number, transfer);
    }

    /// The last of an answer was handed on, or it broke off. Over HTTP/1 it ends when that went to the
    /// socket: with the next flush. Over HTTP/2 it cannot be told from others there.
    pub(super) fn exchange_ended(&self, account: Account) {
        self.sink.await_bytes();
        if account.is_multiplexed() {
            return self.conclude(account, false);
        }
        *self.unsent.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(account));
        self.unsent_since.store(self.sink.flushes(), Ordering::Relaxed);
    }

    /// Whether what was handed on of the last answer went to the socket.
    pub(super) fn is_sent(&self) -> bool {
        self.sink.flushes() > self.unsent_since.load(Ordering::Relaxed)
    }

    /// Concludes the answer that was handed on and not told of yet, if there is one. `cut`: the rest of it
    /// never goes to the socket.
    pub(super) fn conclude_unsent(&self, cut: bool) {
        if self.unsent_since.swap(NOTHING_UNSENT, Ordering::Relaxed) != NOTHING_UNSENT {
            let account = self.unsent.lock().unwrap_or_else(PoisonError::into_inner).take();
            account.into_iter().for_each(|account| self.conclude(*account, cut));
        }
    }

    fn conclude(&self, account: Account, cut: bool) {
        self.forget(&account.transfer);
        // Over HTTP/1 it is written by now, and the next answer's head is not: that may be another client's.
        self.charge(&account.transfer.asker.key);
        let now = self.now();
        account.tell(self, cut, now);
        // Before the count: who sees no exchange in flight must see the time it ended.
        self.idle_since.store(now.as_nanos(), Ordering::Relaxed);
        self.in_flight.fetch_sub(1, Ordering::Release);
    }
}

/// How long, until `now`, the connection has waited for tokens and for its reader.
pub(super) fn waited(connection: &Connection, now: Instant) -> (Duration, Duration) {
    (connection.sink.token_wait(now), connection.sink.reader_wait(now))
}

/// What held a response longest; `None` if nothing did for a millisecond. `turns` were waited for in shared budgets,
/// by the names of their nodes.
pub(super) fn longest_held(own: [(HeldBy, Duration); 4], turns: &[(Arc<str>, Duration)]) -> Option<HeldBy> {
    let turns = turns.iter().map(|(node, waited)| (HeldBy::Budget(Arc::clone(node)), *waited));
    let (by, waited) = own.into_iter().chain(turns).max_by_key(|(_, waited)| *waited)?;
    (waited >= Duration::from_millis(1)).then_some(by)
}
