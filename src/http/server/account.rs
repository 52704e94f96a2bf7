//! The account of an exchange: what the log and the metrics tell of a request and its answer.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode, Uri, Version};

use super::connection::Connection;
use crate::body::Waits;
use crate::budget::ClientKey;
use crate::clock::Instant;
use crate::excerpt::excerpt;
use crate::limit::{Limit, Rate, RateOrOff};
use crate::telemetry::{Ended, Outcome};

/// One request and its answer, from the request's head to the last byte handed on, or the abort.
///
/// Dropping it hands its account to the connection, which tells it when these bytes went to the socket.
pub(super) struct Exchange {
    connection: Arc<Connection>,
    /// Who is charged for it.
    client: ClientKey,
    pub(super) account: Account,
}

/// What is known of an exchange.
#[derive(Default)]
pub(super) struct Account {
    began: Instant,
    request: RequestLine,
    route: Option<usize>,
    status: Option<StatusCode>,
    /// What the head promises.
    length: Option<u64>,
    limit: Option<Limit>,
    /// Bytes of content handed on.
    pub(super) bytes: u64,
    /// There is no more content.
    pub(super) ended: bool,
    /// Bytes that were handed on did not go to the socket.
    cut: bool,
    /// What the body waited for.
    pub(super) waits: Waits,
    /// What it waited for turns in shared budgets, by their names.
    pub(super) turns: Vec<(Arc<str>, Duration)>,
    /// What the connection had waited for, for tokens and for its reader, when the exchange began.
    waited_before: (Duration, Duration),
}

/// What the access log says of a request.
#[derive(Default)]
struct RequestLine {
    method: Method,
    target: String,
    version: Version,
}

impl Exchange {
    pub(super) fn begin(
        connection: Arc<Connection>,
        request: &http::Request<hyper::body::Incoming>,
        client: ClientKey,
    ) -> Self {
        connection.exchange_began();
        let logged = connection.server.settings.access_log;
        let request = RequestLine {
            method: request.method().clone(),
            target: if logged { target(request.uri()) } else { String::new() },
            version: request.version(),
        };
        let account = Account {
            began: connection.server.clock.now(),
            request,
            waited_before: waited(&connection),
            ..Account::default()
        };
        Self { connection, client, account }
    }

    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Who is charged for it.
    pub(super) fn client(&self) -> &ClientKey {
        &self.client
    }

    /// Notes the number of the route that answers.
    pub(super) fn routed(&mut self, route: usize) {
        self.account.route = Some(route);
    }

    /// Notes the head of the answer, and the limit its body is under.
    pub(super) fn answered(&mut self, head: &http::response::Parts, limit: Option<Limit>) {
        self.account.status = Some(head.status);
        self.account.length = head
            .headers
            .get(http::header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        self.account.limit = limit;
    }

    /// Whether the answer has no content, whatever its head and its source say (RFC 9110 section 6.4.1).
    pub(super) fn is_without_content(&self) -> bool {
        let status = self.account.status.unwrap_or_default();
        self.account.request.method == Method::HEAD
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    }

    /// Whether the answer shares its connection with others.
    pub(super) fn is_multiplexed(&self) -> bool {
        self.account.is_multiplexed()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.connection.charge(&self.client);
        self.connection.exchange_ended(std::mem::take(&mut self.account));
    }
}

impl Account {
    pub(super) fn is_multiplexed(&self) -> bool {
        self.request.version >= Version::HTTP_2
    }

    /// Whether all of the content was handed on.
    pub(super) fn is_whole(&self) -> bool {
        self.ended || self.length == Some(self.bytes)
    }

    fn outcome(&self) -> Outcome {
        match self.status {
            None => Outcome::Abandoned,
            Some(_) if self.is_whole() && !self.cut => Outcome::Complete,
            Some(_) => Outcome::Aborted,
        }
    }

    /// Tells of it. `cut`: not all of what was handed on went to the socket.
    pub(super) fn tell(mut self, connection: &Connection, cut: bool) {
        self.cut = cut;
        let server = &connection.server;
        let ended = Ended {
            route: self.route,
            status: self.status,
            bytes: self.bytes,
            lasted: server.clock.now() - self.began,
            outcome: self.outcome(),
        };
        server.telemetry.response_ended(&ended);
        if server.settings.access_log {
            self.log(&ended, connection);
        }
    }

    fn log(&self, ended: &Ended, connection: &Connection) {
        let lasted = ended.lasted;
        let pace = Rate::new((u128::from(self.bytes) * 1_000_000_000 / lasted.as_nanos().max(1)) as u64);
        let (tokens_before, reader_before) = self.waited_before;
        let (tokens, reader) = waited(connection);
        let own = [
            ("pace", self.waits.pace),
            ("source", self.waits.source),
            ("connection_rate", tokens.saturating_sub(tokens_before)),
            ("reader", reader.saturating_sub(reader_before)),
        ];
        let held_by = held_by(own.into_iter().chain(self.turns.iter().map(|(by, waited)| (&**by, *waited))));
        let set = self.limit.as_ref().and_then(Limit::rate);
        log::info!(
            target: "access",
            client:% = connection.ends.peer,
            connection = connection.id,
            method:% = self.request.method,
            target = self.request.target.as_str(),
            version:? = self.request.version,
            status = self.status.map_or(0, |status| status.as_u16()),
            bytes = self.bytes,
            duration_ms = lasted.as_millis() as u64,
            rate_set:% = RateOrOff(set),
            bytes_per_second = pace.map_or(0, Rate::bytes_per_second),
            held_by,
            outcome = ended.outcome.as_str();
            "response"
        );
    }
}

/// How long the connection has waited for tokens and for its reader.
fn waited(connection: &Connection) -> (Duration, Duration) {
    let counts = connection.sink.counts();
    (counts.token_wait(), counts.reader_wait())
}

/// What held a response longest; `nothing` if none did for a millisecond.
fn held_by<'a>(waits: impl Iterator<Item = (&'a str, Duration)>) -> &'a str {
    let longest = waits.max_by_key(|(_, waited)| *waited);
    longest.filter(|(_, waited)| *waited >= Duration::from_millis(1)).map_or("nothing", |(what, _)| what)
}

/// What was asked for, as the access log shows it: the same over HTTP/2, whose requests name scheme and
/// authority too. A long one is cut, so that a client cannot fill the log.
fn target(uri: &Uri) -> String {
    const MOST: usize = 2048;
    match uri.path_and_query() {
        Some(target) => excerpt(target.as_str(), MOST),
        // CONNECT has an authority alone.
        None => excerpt(&uri.to_string(), MOST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_shows_the_target_alone_and_not_without_end() {
        let long = |len: usize| format!("/{}", "x".repeat(len - 1));
        for (uri, expected) in [
            ("/a?b=c".to_owned(), "/a?b=c".to_owned()),
            ("http://host:1/a?b=c".to_owned(), "/a?b=c".to_owned()),
            ("http://host".to_owned(), "/".to_owned()),
            ("*".to_owned(), "*".to_owned()),
            ("host:443".to_owned(), "host:443".to_owned()),
            (long(2048), long(2048)),
            (long(2049), format!("{}…", long(2048))),
        ] {
            assert_eq!(target(&uri.parse().unwrap()), expected);
        }
    }
}
