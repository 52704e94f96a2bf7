//! Chooses a connection for a request, and retries once if an idle one turns out to be closed.

use std::sync::Arc;

use http::{request, response};

use super::ProxySource;
use super::connection::Connection;
use super::connector::Connector;
use super::failure::Failure;
use super::idle_pool::IdlePool;
use super::request::is_idempotent;
use super::request_body::TrackedBody;
use super::round_trip::{HeadOptions, round_trip};
use super::upload::{Pump, Upload};
use crate::clock::Clock;
use crate::limit::Buffers;

/// The connections of one route to its upstream.
pub(super) struct Pool {
    connector: Connector,
    idle: Arc<IdlePool>,
}

/// A response whose head was read.
pub(super) struct Answer {
    pub(super) head: response::Parts,
    /// The connection that the content comes on.
    pub(super) connection: Connection,
    /// The rest of the request's body, if it is still being sent.
    pub(super) upload: Option<Pump>,
}

impl Pool {
    /// An empty pool. Its timeouts run on `clock`.
    pub(super) fn new(source: &ProxySource, buffers: Buffers, clock: Arc<dyn Clock>) -> Self {
        let idle = IdlePool::new(source.idle_connections, source.idle_connection_timeout, Arc::clone(&clock));
        Self { connector: Connector::new(source, buffers, clock), idle }
    }

    /// The pool that a connection returns to after its exchange.
    pub(super) fn idle_pool(&self) -> Arc<IdlePool> {
        Arc::clone(&self.idle)
    }

    /// Sends a request and waits for the response's head.
    ///
    /// A request of which no byte was written moves on to another connection. A request on an idle connection that got
    /// no byte of a response is sent once more, on a new connection, if it has no body and its method is idempotent
    /// (RFC 9110 §9.2.2).
    ///
    /// Cancel safe: dropping the future closes the connection.
    pub(super) async fn send(
        &self,
        head: &request::Parts,
        body: TrackedBody,
        options: &HeadOptions,
    ) -> Result<Answer, Failure> {
        let mut upload = Upload::new(head, body);
        while let Some(connection) = self.idle.take() {
            let error = match round_trip(connection, &mut upload, options).await {
                Ok(answered) => return Ok(Answer::new(answered, upload)),
                Err(error) => error,
            };
            match error {
                Failure::Unsent(_) => {}
                Failure::Unanswered(_) if is_idempotent(&head.method) && upload.try_restart() => {
                    log::debug!(error:% = error; "upstream closed an idle connection; retrying on a new one");
                    break;
                }
                _ => return Err(error),
            }
        }
        let connection = self.connector.connect().await.map_err(Failure::Connect)?;
        let answered = round_trip(connection, &mut upload, options).await?;
        Ok(Answer::new(answered, upload))
    }
}

impl Answer {
    fn new((head, mut connection): (response::Parts, Connection), upload: Upload) -> Self {
        let upload = (!upload.is_over()).then(|| Pump::start(upload, connection.socket().twin()));
        Self { head, connection, upload }
    }
}
