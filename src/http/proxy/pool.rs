//! Kept connections to one upstream, and the one retry a stale one is worth.

use std::sync::Arc;

use http::{Extensions, Request, Response, request};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Builder, Client, Error};

use super::connector::{Connector, Traffic};
use super::request::is_idempotent;
use super::sending::Sending;
use crate::clock::{Clock, SystemClock};
use crate::config::ProxySource;
use crate::http::MAX_HEAD;
use crate::limit::Rate;
use crate::rt::{Executor, HyperTimer};

/// The connections of one route to its upstream.
pub(super) struct Pool {
    kept: Client<Connector, Sending>,
    /// Makes a connection for each request: a second try must not meet a second stale connection.
    fresh: Client<Connector, Sending>,
}

impl Pool {
    /// An empty pool. Unused connections are closed on `clock`.
    pub(super) fn new(source: &ProxySource, pace: Option<Rate>, clock: Arc<SystemClock>) -> Self {
        let connector = Connector::new(source, pace, Arc::clone(&clock) as Arc<dyn Clock>);
        let timer = HyperTimer::new(clock);
        let builder = |idle_connections| {
            let mut builder: Builder = Client::builder(Executor);
            builder
                .timer(timer.clone())
                .pool_timer(timer.clone())
                .pool_idle_timeout(source.idle_connection_timeout)
                .pool_max_idle_per_host(idle_connections)
                .http1_max_buf_size(MAX_HEAD)
                .set_host(false);
            builder
        };
        Self {
            kept: builder(source.idle_connections).build(connector.clone()),
            fresh: builder(0).build(connector),
        }
    }

    /// Sends a request and waits for the response's head.
    ///
    /// A request of which no byte was written moves on to another connection as often as it must
    /// (hyper's pool does that; nothing was said to anybody). One that met a connection the upstream
    /// had closed, and got no byte in answer, is sent once more on a new connection if it has no body
    /// and its method is idempotent (RFC 9110 §9.2.2); never twice.
    ///
    /// Cancel safe: dropping the future closes the connection.
    pub(super) async fn send(
        &self,
        head: request::Parts,
        body: Sending,
    ) -> Result<Response<Incoming>, Error> {
        let again = body
            .again()
            .filter(|_| is_idempotent(&head.method))
            .map(|body| Request::from_parts(head.clone(), body));
        let error = match self.kept.request(Request::from_parts(head, body)).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        match again {
            Some(request) if met_stale_connection(&error) => {
                log::debug!(error:% = error; "a kept connection was closed by the upstream; trying anew");
                self.fresh.request(request).await
            }
            _ => Err(error),
        }
    }
}

fn met_stale_connection(error: &Error) -> bool {
    let mut extras = Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut extras);
    }
    extras.get::<Traffic>().is_some_and(Traffic::is_stale)
}
