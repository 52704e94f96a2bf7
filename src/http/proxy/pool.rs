//! A request's way to a connection, and the one retry that a stale one is worth.

use std::sync::Arc;

use http::{request, response};

use super::ProxySource;
use super::asking::{AskError, Listening, ask};
use super::connector::Connector;
use super::kept::Kept;
use super::link::Link;
use super::request::is_idempotent;
use super::sending::Sending;
use super::upload::{Pump, Upload};
use crate::clock::Clock;
use crate::limit::Rate;

/// The connections of one route to its upstream.
pub(super) struct Pool {
    connector: Connector,
    kept: Arc<Kept>,
}

/// An answer whose head has come.
pub(super) struct Answer {
    pub(super) head: response::Parts,
    /// Where the content comes.
    pub(super) link: Link,
    /// The request's body, if it is still on its way.
    pub(super) upload: Option<Pump>,
}

impl Pool {
    /// An empty pool. Its timeouts run on `clock`.
    pub(super) fn new(source: &ProxySource, pace: Option<Rate>, clock: Arc<dyn Clock>) -> Self {
        let kept = Kept::new(source.idle_connections, source.idle_connection_timeout, Arc::clone(&clock));
        Self { connector: Connector::new(source, pace, clock), kept }
    }

    /// Where a connection goes when its exchange is over.
    pub(super) fn kept(&self) -> Arc<Kept> {
        Arc::clone(&self.kept)
    }

    /// Sends a request and waits for the response's head.
    ///
    /// A request of which no byte could be written moves on to another connection: nothing was said to
    /// anybody. One that met a connection the upstream had closed, and got no byte in answer, is sent once
    /// more on a new connection if it has no body and its method is idempotent (RFC 9110 §9.2.2); never
    /// twice.
    ///
    /// Cancel safe: dropping the future closes the connection.
    pub(super) async fn send(
        &self,
        head: &request::Parts,
        body: Sending,
        listening: &Listening,
    ) -> Result<Answer, AskError> {
        let mut upload = Upload::new(head, body);
        while let Some(link) = self.kept.take() {
            let error = match ask(link, &mut upload, listening).await {
                Ok(answered) => return Ok(Answer::new(answered, upload)),
                Err(error) => error,
            };
            match error {
                AskError::Unsent(_) => {}
                AskError::Unanswered(_) if is_idempotent(&head.method) && upload.begin_again() => {
                    log::debug!(error:% = error; "a kept connection was closed by the upstream; trying anew");
                    break;
                }
                _ => return Err(error),
            }
        }
        let link = self.connector.connect().await.map_err(AskError::Connect)?;
        let answered = ask(link, &mut upload, listening).await?;
        Ok(Answer::new(answered, upload))
    }
}

impl Answer {
    fn new((head, mut link): (response::Parts, Link), upload: Upload) -> Self {
        let upload = (!upload.is_over()).then(|| Pump::start(upload, link.socket().twin()));
        Self { head, link, upload }
    }
}
