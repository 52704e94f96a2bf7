//! Connecting to the upstream, within its timeout and with its receive buffer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;

use super::link::Link;
use crate::clock::{Clock, Sleep};
use crate::config::ProxySource;
use crate::limit::{Buffers, Rate};
use crate::rt::{self, Connect};

/// Connects to one route's upstream.
pub(super) struct Connector {
    to: Connect,
    timeout: Duration,
    clock: Arc<dyn Clock>,
}

impl Connector {
    /// A connector to the upstream of `source`, for responses that leave at `pace`.
    pub(super) fn new(source: &ProxySource, pace: Option<Rate>, clock: Arc<dyn Clock>) -> Self {
        let to = Connect {
            host: source.upstream.host().to_owned(),
            port: source.upstream.port(),
            receive_buffer: Buffers::before(pace).receive,
        };
        Self { to, timeout: source.connect_timeout, clock }
    }

    /// A new connection. Cancel safe.
    ///
    /// # Errors
    /// The system's, or [`io::ErrorKind::TimedOut`].
    pub(super) async fn connect(&self) -> io::Result<Link> {
        let connecting = async { rt::connect(&self.to).await.map(Link::new) };
        let late = async {
            Sleep::lasting(Arc::clone(&self.clock), self.timeout).await;
            Err(io::Error::new(io::ErrorKind::TimedOut, "connecting took too long"))
        };
        future::or(connecting, late).await
    }
}
