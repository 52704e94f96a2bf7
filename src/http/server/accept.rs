//! Admits connections up to the server's limits, and starts their tasks.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::announcing;
use super::connection::{Connection, Ends};
use super::port::{self, Port};
use super::serve::serve as serve_http;
use super::setup::Setup;
use super::{Refusal, Shared, Stage};
use crate::proxy_protocol::{Announced, HeaderReceiver};
use crate::rt::{self, Listener, PeerAddr, Slot, Socket, serve};
use crate::sink::{Sink, Wire};
use crate::tls::ServerTls;

/// Connections above the limit that are answered with a refusal at a time; further ones are closed at once.
pub(super) const MAX_REFUSALS: usize = 256;

/// Idle time after which the kernel probes a raw TCP client. Nothing else would notice one that vanished while a
/// followed file does not grow.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// What the clients of a listener get.
#[derive(Clone)]
pub(super) struct Entry {
    /// Reads the PROXY header that each connection must begin with, if it must.
    pub(super) headers: Option<Arc<HeaderReceiver>>,
    /// Inside TLS, if it is there.
    pub(super) tls: Option<ServerTls>,
    pub(super) serves: Serves,
}

#[derive(Clone)]
pub(super) enum Serves {
    /// HTTP.
    Http,
    /// HTTP whose requests are all redirected to https on this port.
    Redirect(u16),
    /// Raw TCP.
    Tcp(Arc<Port>),
}

impl Entry {
    pub(super) fn new(tls: Option<ServerTls>, serves: Serves) -> Self {
        Self { headers: None, tls, serves }
    }

    fn port(&self) -> Option<&Arc<Port>> {
        match &self.serves {
            Serves::Tcp(port) => Some(port),
            Serves::Http | Serves::Redirect(_) => None,
        }
    }
}

/// Accepts until the server drains.
pub(super) async fn accept(listener: Listener, entry: Entry, server: Arc<Shared>) {
    let begin = |socket| begin(socket, &entry, &server);
    serve::accept(&listener, &server.clock, server.reached(Stage::Draining), begin).await;
}

fn begin(socket: Socket, entry: &Entry, server: &Arc<Shared>) {
    // Without a peer address the client left already.
    let Ok(peer) = socket.peer() else { return };
    match &entry.headers {
        None => begin_for(socket, peer, None, entry, server),
        Some(headers) => announcing::begin(socket, peer, headers, entry, server),
    }
}

/// Begins a connection of `peer`, for the client that its PROXY header has `announced`.
pub(super) fn begin_for(
    socket: Socket,
    peer: PeerAddr,
    announced: Option<Announced>,
    entry: &Entry,
    server: &Arc<Shared>,
) {
    let source = announced.map_or(peer, |announced| PeerAddr::Tcp(announced.source));
    let port = entry.port();
    let setup = server.setup();
    // Raw TCP cannot name the client of a proxy: there the client is the peer.
    let is_unnamed = entry.headers.is_some() && announced.is_none();
    let trusted =
        port.is_none() && !is_unnamed && source.ip().is_some_and(|ip| setup.settings.trusted.contains(ip));
    let client = source.ip().filter(|_| !trusted);
    let Some(refused) = admitted(server, client, &setup, port.is_some()) else { return };
    socket.set_unsent(setup.sink.unsent);
    if let Some(bytes) = setup.sink.send_buffer {
        socket.set_send_buffer(bytes);
    }
    if let Some(port) = port {
        socket.keep_alive(KEEP_ALIVE);
        if let Some(bytes) = port.service().receive_buffer() {
            socket.set_receive_buffer(bytes);
        }
    }
    let ends = Ends {
        fd: socket.raw_fd(),
        peer,
        client: source,
        local: socket.local(),
        destination: announced.map(|announced| announced.destination),
        is_unnamed,
        trusted,
        scheme: if entry.tls.is_some() { "https" } else { "http" },
        redirect: match entry.serves {
            Serves::Redirect(port) => Some(port),
            Serves::Http | Serves::Tcp(_) => None,
        },
    };
    match &entry.tls {
        None => {
            let (sink, connection) = connect(socket, ends, (refused, None), &setup, server);
            match port {
                None => rt::spawn_spread(serve_http(sink, connection)),
                Some(port) => rt::spawn_spread(port::serve(sink, connection, Arc::clone(port))),
            }
        }
        #[cfg(feature = "tls")]
        Some(tls) => {
            use super::handshake;
            use crate::tls::{Alpn, TlsSocket};

            let socket = TlsSocket::new(socket);
            let (mut sink, connection) = connect(socket, ends, (refused, None), &setup, server);
            let (tls, port) = (tls.clone(), port.cloned());
            // Tasks of their own, each as small as what it serves.
            match port {
                None => rt::spawn_spread(async move {
                    if handshake::done(&tls, &mut sink, &connection, Alpn::Http).await {
                        serve_http(sink, connection).await;
                    }
                }),
                Some(port) => rt::spawn_spread(async move {
                    if handshake::done(&tls, &mut sink, &connection, Alpn::Raw).await {
                        port::serve(sink, connection, port).await;
                    }
                }),
            }
        }
        #[cfg(not(feature = "tls"))]
        Some(tls) => match *tls {},
    }
}

/// Decides whether a connection is admitted: `Some(None)` admits it, `Some(Some(refusal))` has its HTTP requests answered with the
/// refusal, and `None` closes it at once. `client` is `None` for a trusted proxy or a Unix socket.
pub(super) fn admitted(
    server: &Shared,
    client: Option<IpAddr>,
    setup: &Setup,
    is_raw: bool,
) -> Option<Option<Refusal>> {
    let most = setup.settings.client_connections;
    let refused = if let Some(refusal) = server.refusal(client, setup.settings.max_connections) {
        Some(refusal)
    } else if is_raw && server.sheds(client, setup.settings.max_held()) {
        // Over HTTP each request is refused instead.
        Some(Refusal::ServerFull)
    } else if client.is_some_and(|ip| !server.clients.admit(ip, most)) {
        Some(Refusal::ClientFull)
    } else {
        None
    };
    // Raw TCP cannot express a refusal.
    if refused.is_some() && (is_raw || server.refused.load(Ordering::SeqCst) >= MAX_REFUSALS) {
        server.telemetry.connection_refused();
        return None;
    }
    Some(refused)
}

/// Counts a connection in, with a sink before its `wire`.
pub(super) fn connect<W: Wire>(
    wire: W,
    ends: Ends,
    (refused, slot): (Option<Refusal>, Option<Arc<Slot>>),
    setup: &Setup,
    server: &Arc<Shared>,
) -> (Sink<W>, Arc<Connection>) {
    let clock = Arc::clone(&server.clock);
    let sink = Sink::new(wire, Arc::clone(&setup.sink), Arc::clone(&server.egress), clock)
        .under(server.budgets.connection().clone());
    let settings = Arc::clone(&setup.settings);
    let connection =
        Connection::new(Arc::clone(server), settings, Arc::clone(sink.state()), ends, refused, slot);
    (sink, connection)
}
