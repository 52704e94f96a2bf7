//! A server of one source, whose connections another listener accepts and has slots for: the admin listener's.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_lite::FutureExt;
use futures_lite::future::pending;

use super::accept::connect;
use super::connection::{Connection, Ends};
use super::h2::MAX_STREAMS;
use super::serve::serve as serve_http;
use super::{Handle, Settings, Shared, Stage};
use crate::clock::Clock;
use crate::http::route::Route;
use crate::http::source::Source;
use crate::rt::{self, Slot, Socket};
use crate::sink::{Sink, Wire};
use crate::tls::ServerTls;

/// What answers every request of a [`SoleServer`], and how many at a time.
pub(super) struct Sole {
    route: Arc<Route>,
    /// Concurrent requests on one connection of HTTP/2.
    max_streams: u32,
}

/// Serves connections as a [`Server`](super::Server) does, by HTTP/1 and HTTP/2, where one source answers every path as the
/// client spelt it.
///
/// Nothing is paced or limited, and nothing of it is in the metrics and the access log of a server.
pub(crate) struct SoleServer(pub(super) Arc<Shared>);

impl SoleServer {
    /// Creates a server of `source`, which log lines call `name`. Numbers its connections with those of `server`, and takes
    /// `max_streams` requests at a time on one connection of HTTP/2.
    pub(crate) fn beside(
        server: &Handle,
        settings: Settings,
        max_streams: u32,
        name: &str,
        source: impl Source,
    ) -> Self {
        let clock = Arc::clone(&server.0.clock);
        let numbers = Arc::clone(&server.0.next_connection);
        Self::new(
            Shared { next_connection: numbers, ..Self::shared(settings, name, source, clock) },
            max_streams,
        )
    }

    /// Creates a server of `source` in a process that has no other one.
    pub(crate) fn alone(settings: Settings, max_streams: u32, name: &str, source: impl Source) -> Self {
        Self::new(Self::shared(settings, name, source, rt::clock()), max_streams)
    }

    fn shared(settings: Settings, name: &str, source: impl Source, clock: Arc<dyn Clock>) -> Shared {
        Shared::new(settings, vec![Route::of(name, source)], Default::default(), clock)
    }

    fn new(mut shared: Shared, max_streams: u32) -> Self {
        let route = shared.setup().routes.iter().next().map(Arc::clone);
        shared.sole = route.map(|route| Sole { route, max_streams });
        Self(Arc::new(shared))
    }

    /// Serves a connection, inside TLS if there is some, until it ends or its slot is given up.
    pub(crate) async fn serve(&self, socket: Socket, tls: Option<&ServerTls>, slot: &Arc<Slot>) {
        // Without a peer address the client left already.
        let Ok(peer) = socket.peer() else { return };
        let ends = Ends { fd: socket.raw_fd(), local: socket.local(), ..Ends::of(peer, tls.is_some()) };
        match tls {
            None => {
                let (sink, connection) = self.connect(socket, ends, slot);
                let ended = until_given_up(slot, &connection);
                serve_http(sink, connection).or(ended).await;
            }
            #[cfg(feature = "tls")]
            Some(tls) => {
                use super::handshake;
                use crate::tls::{Alpn, TlsSocket};

                let (mut sink, connection) = self.connect(TlsSocket::new(socket), ends, slot);
                let ended = until_given_up(slot, &connection);
                let served = async {
                    if handshake::done(tls, &mut sink, &connection, Alpn::Http).await {
                        serve_http(sink, connection).await;
                    }
                };
                served.or(ended).await;
            }
            #[cfg(not(feature = "tls"))]
            Some(tls) => match *tls {},
        }
    }

    /// Counts a connection in.
    fn connect<W: Wire>(&self, wire: W, ends: Ends, slot: &Arc<Slot>) -> (Sink<W>, Arc<Connection>) {
        if let Some(ip) = ends.client.ip() {
            // There are slots in place of a bound for each client.
            self.0.clients.admit(ip, None);
        }
        connect(wire, ends, (None, Some(Arc::clone(slot))), &self.0.setup(), &self.0)
    }

    /// Has each connection take its next request as its last, also those that come from now on.
    pub(crate) fn drain(&self) {
        self.0.has_successor.store(true, Ordering::SeqCst);
        self.0.reach(Stage::Draining);
    }

    /// Waits until no connection is left.
    pub(crate) async fn idle(&self) {
        self.0.tasks.idle().await;
    }

    /// Ends all connections now, and waits until they have ended.
    pub(crate) async fn stop(&self) {
        self.0.reach(Stage::Stopped);
        self.idle().await;
        self.0.drops.sweep();
    }
}

impl Shared {
    /// The route of every request, if there is one source for all.
    pub(super) fn sole_route(&self) -> Option<Arc<Route>> {
        self.sole.as_ref().map(|sole| Arc::clone(&sole.route))
    }

    /// Concurrent requests on one connection of HTTP/2.
    pub(super) fn max_streams(&self) -> u32 {
        self.sole.as_ref().map_or(MAX_STREAMS, |sole| sole.max_streams)
    }

    /// Whether connections are accepted though the server drains.
    pub(super) fn accepts_while_draining(&self) -> bool {
        self.sole.is_some()
    }
}

/// Ends a connection when its slot is given to another. Never ready: the connection's own task has to end.
fn until_given_up(slot: &Arc<Slot>, connection: &Arc<Connection>) -> impl Future<Output = ()> + use<> {
    let (slot, connection) = (Arc::clone(slot), Arc::clone(connection));
    async move {
        slot.given_up().await;
        // A response that is cut must not look complete.
        if connection.exchanges.are_in_flight() || connection.sink.is_writing() {
            connection.sink.abort();
        }
        connection.closer.close();
        pending().await
    }
}
