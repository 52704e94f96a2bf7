//! One request and its answer, from the request's head to the last byte passed on.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::account::Account;
use super::clients::Requester;
use super::connection::Connection;
use super::connection_fields;
use super::h2::held::{MAX_CODERS, is_crowded};
use super::pacing::Chosen;
use super::report::PaceBy;
use super::transfer::{AnswerHead, Transfer};
use super::tunnel::Tracked;
use crate::brigade::MAX_PIECE;
use crate::budget::{ClientKey, Clients};
use crate::filter::Filter;
use crate::http::body::RequestBody;
use crate::http::classes::Class;
use crate::http::content::Content;
use crate::http::peer::ClientAddr;

/// One request and its answer. Dropped, it hands its account to the connection, which closes it when the last bytes
/// went to the socket.
pub(super) struct Exchange {
    connection: Arc<Connection>,
    pub(super) account: Account,
    /// Filters of the answer whose state is large.
    coders: usize,
    /// A place for one more is reserved.
    reserved: bool,
    is_concluded: bool,
}

impl Exchange {
    /// Begins an exchange. `logged`: the access log gets a line for it. What that needs is also recorded for
    /// an observer, if there is one.
    pub(super) fn begin(
        connection: Arc<Connection>,
        request: &http::Request<RequestBody>,
        requester: Requester,
        logged: bool,
    ) -> Self {
        let logged = logged || connection.server.observer.is_some();
        let began = connection.now();
        let transfer = Arc::new(Transfer::new(request, requester, logged, began));
        connection.begin(&transfer);
        let account = Account::new(transfer, connection.waits(began));
        Self { connection, account, coders: 0, reserved: false, is_concluded: false }
    }

    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    pub(super) fn transfer(&self) -> &Transfer {
        &self.account.transfer
    }

    /// Reserves a place for a filter of large state, until one is [attached](Self::attached) or
    /// [all are](Self::attached_all). False if the connection has as many under way as it may have.
    pub(super) fn reserve_coder(&mut self) -> bool {
        if !self.is_multiplexed() {
            return true;
        }
        self.reserved = self.connection.charges.try_add_coder(MAX_CODERS);
        self.reserved
    }

    /// Whether `content` is large and in memory whole, and the connection's streams hold as much as they may already.
    /// Content that comes piece by piece waits instead.
    pub(super) fn may_not_hold(&self, content: &Content) -> bool {
        let is_large = matches!(content, Content::Buckets(whole) if whole.bytes_in_memory() > MAX_PIECE);
        is_large && self.is_multiplexed() && is_crowded(&self.connection.sink)
    }

    /// Counts a filter of the answer.
    pub(super) fn attached(&mut self, filter: &dyn Filter) {
        // Only HTTP/2 has a bound.
        if filter.max_held() > 0 && self.is_multiplexed() {
            if !std::mem::take(&mut self.reserved) {
                self.connection.charges.add_coder();
            }
            self.coders += 1;
        }
    }

    /// No further filter is attached.
    pub(super) fn attached_all(&mut self) {
        self.connection.charges.remove_coders(usize::from(std::mem::take(&mut self.reserved)));
    }

    /// The client that is charged.
    pub(super) fn client(&self) -> &ClientKey {
        &self.transfer().requester.charged.key
    }

    /// Its class.
    pub(super) fn class(&self) -> Option<&Class> {
        self.transfer().requester.charged.class.as_deref()
    }

    /// The nodes of clients of its class, for responses and for uploads.
    pub(super) fn budgets(&self) -> [&Clients; 2] {
        let budgets = &self.connection.server.budgets;
        [budgets.clients_of(self.class()), budgets.uploads_of(self.class())]
    }

    /// The client as the log has it.
    pub(super) fn addr(&self) -> ClientAddr {
        self.transfer().requester.addr
    }

    /// Notes the number of the route that answers.
    pub(super) fn routed(&self, route: usize) {
        self.transfer().routed(route);
        self.connection.exchanges.set_last_route(route);
    }

    /// Makes the answer's head conform to its version, and publishes it with the limit of its content,
    /// if it has one. `is_alone`: no other filter waits.
    pub(super) fn answered(&self, head: &mut http::response::Parts, chosen: Option<Chosen>, is_alone: bool) {
        connection_fields::conform(head, self.version());
        let length = head.headers.get(http::header::CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
        self.publish(head.status, length, chosen, is_alone);
    }

    /// Publishes an answer whose head conforms; as [`answered`](Self::answered).
    pub(super) fn publish(
        &self,
        status: StatusCode,
        length: Option<u64>,
        chosen: Option<Chosen>,
        is_alone: bool,
    ) {
        let transfer = self.transfer();
        // Only the access log asks when that was.
        let at = if transfer.logged.is_some() { self.connection.now() } else { transfer.began };
        let by = chosen.as_ref().map(|chosen| chosen.by);
        let is_under_route = is_alone && by == Some(PaceBy::Route);
        let (limit, rule) = chosen.map(|chosen| (chosen.limit, chosen.rule)).unzip();
        let rule = rule.flatten();
        transfer.answered(AnswerHead { status, length, limit, by, is_under_route, rule, at });
    }

    /// Ends it: all of it went to the socket.
    pub(super) fn conclude(mut self) {
        self.is_concluded = true;
        self.connection.sink.await_bytes();
        self.connection.conclude(&self.account, false);
    }

    /// Turns the exchange into a tunnel, which is reported in its place.
    pub(super) fn tunnel(&mut self) -> Tracked {
        self.account.is_replaced = true;
        Tracked::new(Arc::clone(&self.connection), &self.account)
    }

    /// The version of HTTP that the request came by.
    pub(super) fn version(&self) -> http::Version {
        self.transfer().version
    }

    /// Whether the answer has no content, whatever its head and its source say (RFC 9110 section 6.4.1).
    pub(super) fn is_without_content(&self) -> bool {
        let status = self.transfer().answer().map(|answer| answer.status);
        self.transfer().method == Method::HEAD
            || matches!(status, Some(StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED))
    }

    /// Whether the answer shares its connection with others.
    pub(super) fn is_multiplexed(&self) -> bool {
        self.transfer().is_multiplexed()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.is_concluded {
            return;
        }
        self.connection.charges.remove_coders(self.coders + usize::from(self.reserved));
        let account = Account {
            transfer: Arc::clone(&self.account.transfer),
            turns: std::mem::take(&mut self.account.turns),
            ..self.account
        };
        self.connection.end(account);
    }
}
