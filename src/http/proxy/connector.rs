//! Opens connections to one upstream and makes them ready for HTTP.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::{AsyncWriteExt, future};

use super::connection::Connection;
use super::failure::Failure;
use super::link::Link;
use super::settings::ProxySource;
use super::url::UpstreamUrl;
use crate::clock::{Clock, Sleep};
use crate::http::source::Client;
use crate::limit::Buffers;
use crate::proxy_protocol::{self, ProxyVersion};
use crate::rt::{self, Connect, Socket};
use crate::tls::ClientTls;

/// How long a connection to a named upstream is reused: the name may since resolve to another address. With TLS also one
/// to an address: certificates are looked at when a connection is made.
const MAX_AGE: Duration = Duration::from_secs(60);

/// The first pause before a Unix socket whose queue is full is tried again, and the longest: each pause doubles.
const QUEUE_PAUSE: Duration = Duration::from_millis(2);
const MAX_QUEUE_PAUSE: Duration = Duration::from_millis(64);

/// Opens connections to one upstream.
pub(super) struct Connector {
    to: To,
    /// With the name that the upstream's certificate must have.
    tls: Option<(ClientTls, String)>,
    /// The version of the PROXY header that a connection begins with.
    send_proxy: Option<ProxyVersion>,
    timeout: Duration,
    /// Whether a connection is reused for a limited time.
    expires: bool,
    clock: Arc<dyn Clock>,
}

enum To {
    Tcp(Connect),
    Unix(PathBuf),
}

impl Connector {
    /// Opens connections to `url`, with `buffers`. `tls` is for `https`.
    pub(super) fn new(
        url: &UpstreamUrl,
        source: &ProxySource,
        tls: Option<&ClientTls>,
        buffers: Buffers,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (host, port) = (url.host().to_owned(), url.port());
        let is_named = url.socket().is_none() && host.parse::<IpAddr>().is_err();
        let name = source.tls.name.clone().unwrap_or_else(|| host.clone());
        let tls = tls.filter(|_| url.is_tls()).map(|tls| (tls.clone(), name));
        let to = match url.socket() {
            Some(path) => To::Unix(path.to_owned()),
            None => To::Tcp(Connect { host, port, receive_buffer: buffers.receive }),
        };
        let (send_proxy, timeout) = (source.send_proxy, source.connect_timeout);
        Self { to, expires: is_named || tls.is_some(), tls, send_proxy, timeout, clock }
    }

    /// Opens a connection for a request of `client`: connects, resolving the name if it is one, and does the handshake if
    /// the upstream speaks TLS, with a PROXY header before it if one is sent, all within `connect_timeout`. Cancel safe.
    pub(super) async fn open(&self, client: &Client) -> Result<Connection, Failure> {
        let late = async {
            Sleep::lasting(Arc::clone(&self.clock), self.timeout).await;
            let text = "connecting took longer than connect_timeout";
            Err(Failure::Connect(io::Error::new(io::ErrorKind::TimedOut, text)))
        };
        future::or(self.make_ready(client), late).await
    }

    /// What goes over a fresh connection before HTTP goes here, in its order.
    async fn make_ready(&self, client: &Client) -> Result<Connection, Failure> {
        let mut socket = self.connect().await.map_err(Failure::Connect)?;
        if let Some(version) = self.send_proxy {
            let (source, destination) = client.ends();
            let header = proxy_protocol::header(version, source, destination);
            // Nothing of the request is sent: a failure is one of connecting.
            socket.write_all(&header).await.map_err(Failure::Connect)?;
        }
        let link = match &self.tls {
            Some((tls, name)) => Link::Tls(tls.handshake(name, socket).await.map_err(Failure::Handshake)?),
            None => Link::Plain(socket),
        };
        let connection = Connection::new(link);
        Ok(if self.expires { connection.reusable_until(self.clock.now() + MAX_AGE) } else { connection })
    }

    async fn connect(&self) -> io::Result<Socket> {
        let path = match &self.to {
            To::Tcp(to) => return rt::connect(to).await,
            To::Unix(path) => path,
        };
        let mut pause = QUEUE_PAUSE;
        loop {
            match rt::connect_unix(path).await {
                // Over TCP the kernel would try again by itself.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    Sleep::lasting(Arc::clone(&self.clock), pause).await;
                    pause = (pause * 2).min(MAX_QUEUE_PAUSE);
                }
                connected => return connected,
            }
        }
    }
}

#[cfg(test)]
#[path = "connector_tests.rs"]
mod tests;
