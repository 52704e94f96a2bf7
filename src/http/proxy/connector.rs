//! Connects to the upstream.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;

use super::ProxySource;
use super::connection::Connection;
use crate::clock::{Clock, Sleep};
use crate::limit::Buffers;
use crate::rt::{self, Connect};

/// How long a connection to a named upstream is reused: the name may since resolve to another address.
const MAX_AGE: Duration = Duration::from_secs(60);

/// Connects to one route's upstream.
pub(super) struct Connector {
    to: Connect,
    timeout: Duration,
    /// Whether the host is a name, which is resolved for each connection.
    is_named: bool,
    clock: Arc<dyn Clock>,
}

impl Connector {
    /// A connector to the upstream of `source` with `buffers`.
    pub(super) fn new(source: &ProxySource, buffers: Buffers, clock: Arc<dyn Clock>) -> Self {
        let to = Connect {
            host: source.upstream.host().to_owned(),
            port: source.upstream.port(),
            receive_buffer: buffers.receive,
        };
        let is_named = to.host.parse::<IpAddr>().is_err();
        Self { to, timeout: source.connect_timeout, is_named, clock }
    }

    /// Opens a connection; resolves the name, if it is one. Cancel safe.
    ///
    /// # Errors
    /// The system's, or [`io::ErrorKind::TimedOut`].
    pub(super) async fn connect(&self) -> io::Result<Connection> {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use std::net::TcpListener;

    #[test]
    fn a_connection_to_a_name_is_reused_for_a_minute_and_one_to_an_address_without_limit() {
        let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = upstream.local_addr().unwrap().port();
        for (host, is_named) in [("127.0.0.1", false), ("localhost", true)] {
            let source = ProxySource::new(format!("http://{host}:{port}").parse().unwrap());
            let clock = Arc::new(ManualClock::new());
            let connector = Connector::new(&source, Buffers::from(None), Arc::clone(&clock) as _);
            let connection = rt::block_on(connector.connect()).unwrap();
            let _other = upstream.accept().unwrap();
            assert!(connection.is_reusable(clock.now() + (MAX_AGE - Duration::from_nanos(1))), "{host}");
            assert_eq!(connection.is_reusable(clock.now() + MAX_AGE), !is_named, "{host}");
        }
    }
}
