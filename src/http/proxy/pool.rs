//! Chooses a connection for a request or opens one, and retries once if an idle one turns out to be closed.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;
use http::{request, response};

use super::ProxySource;
use super::connection::Connection;
use super::failure::Failure;
use super::idle_pool::IdlePool;
use super::request_body::TrackedBody;
use super::round_trip::{HeadOptions, round_trip};
use super::upload::{Pump, Upload};
use crate::clock::{Clock, Sleep};
use crate::limit::Buffers;
use crate::rt::{self, Connect};

/// How long a connection to a named upstream is reused: the name may since resolve to another address.
const MAX_AGE: Duration = Duration::from_secs(60);

/// The connections of one route to its upstream.
pub(super) struct Pool {
    to: Connect,
    timeout: Duration,
    /// Whether the host is a name, which is resolved for each connection.
    is_named: bool,
    clock: Arc<dyn Clock>,
    /// Where connections return to after their exchange.
    pub(super) idle: Arc<IdlePool>,
}

/// A response whose head was read.
pub(super) struct Answer {
    pub(super) head: response::Parts,
    pub(super) connection: Connection,
    /// The rest of the request's body, if it is still being sent.
    pub(super) upload: Option<Pump>,
}

impl Pool {
    /// A pool of connections with `buffers`. Its timeouts run on `clock`.
    pub(super) fn new(source: &ProxySource, buffers: Buffers, clock: Arc<dyn Clock>) -> Self {
        let idle = IdlePool::new(source.idle_connections, source.idle_connection_timeout, Arc::clone(&clock));
        let to = Connect {
            host: source.upstream.host().to_owned(),
            port: source.upstream.port(),
            receive_buffer: buffers.receive,
        };
        let is_named = to.host.parse::<IpAddr>().is_err();
        Self { to, timeout: source.connect_timeout, is_named, clock, idle }
    }

    /// Opens a connection; resolves the name, if it is one. Cancel safe.
    ///
    /// # Errors
    /// The system's, or [`io::ErrorKind::TimedOut`].
    async fn connect(&self) -> io::Result<Connection> {
        let connecting = async {
            let connection = Connection::new(rt::connect(&self.to).await?);
            Ok(if self.is_named { connection.reusable_until(self.clock.now() + MAX_AGE) } else { connection })
        };
        let late = async {
            Sleep::lasting(Arc::clone(&self.clock), self.timeout).await;
            Err(io::Error::new(io::ErrorKind::TimedOut, "connecting took longer than connect_timeout"))
        };
        future::or(connecting, late).await
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
        options: &HeadOptions<'_>,
    ) -> Result<Answer, Failure> {
        let mut upload = Upload::new(head, body);
        while let Some(connection) = self.idle.take() {
            let error = match round_trip(connection, &mut upload, options).await {
                Ok(answered) => return Ok(Answer::new(answered, upload)),
                Err(error) => error,
            };
            match error {
                Failure::Unsent(_) => {}
                Failure::Unanswered(_) if head.method.is_idempotent() && upload.try_restart() => {
                    log::debug!(error:% = error; "upstream closed an idle connection; retrying on a new one");
                    break;
                }
                _ => return Err(error),
            }
        }
        let connection = self.connect().await.map_err(Failure::Connect)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use http::Method;
    use std::net::TcpListener;

    // A request may be sent again only if its method allows that.
    #[test]
    fn post_is_never_repeated() {
        for (method, expected) in
            [(Method::GET, true), (Method::DELETE, true), (Method::POST, false), (Method::PATCH, false)]
        {
            assert_eq!(method.is_idempotent(), expected, "{method}");
        }
    }

    #[test]
    fn a_connection_to_a_name_is_reused_for_a_minute_and_one_to_an_address_without_limit() {
        let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = upstream.local_addr().unwrap().port();
        for (host, is_named) in [("127.0.0.1", false), ("localhost", true)] {
            let source = ProxySource::new(format!("http://{host}:{port}").parse().unwrap());
            let clock = Arc::new(ManualClock::new());
            let pool = Pool::new(&source, Buffers::from(None), Arc::clone(&clock) as _);
            let connection = rt::block_on(pool.connect()).unwrap();
            let _other = upstream.accept().unwrap();
            assert!(connection.is_reusable(clock.now() + (MAX_AGE - Duration::from_nanos(1))), "{host}");
            assert_eq!(connection.is_reusable(clock.now() + MAX_AGE), !is_named, "{host}");
        }
    }
}
