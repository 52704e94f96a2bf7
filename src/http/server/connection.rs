//! One connection: what is known of it, and the task that serves it until it ends.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use futures_lite::FutureExt;
use http::{HeaderMap, StatusCode};

use super::account::{Account, NOTHING_UNSENT};
use super::clients::{Carried, Passengers};
use super::h1::Http1;
use super::h2::Http2;
use super::registry::Closer;
use super::report::Protocol;
use super::transfer::Transfer;
use super::{Refusal, Settings, Shared, Stage};
use crate::budget::ClientKey;
use crate::clock::{Instant, Sleep};
use crate::http::interim::Interim;
use crate::http::peer::PeerAddr;
use crate::rt::serve::Task;
use crate::sink::{Sink, SinkState, Wire};
use crate::tcp::Record;

/// What an HTTP/2 client with prior knowledge sends first (RFC 9113 section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The ends of a connection, as it was accepted.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    /// The socket's descriptor, for the log.
    pub(super) fd: i32,
    /// Whose requests they are.
    pub(super) peer: PeerAddr,
    /// Our own address; `None` on a Unix socket.
    pub(super) local: Option<SocketAddr>,
    /// The peer is a proxy that asks for others: the connection does not count as one of its own.
    pub(super) trusted: bool,
}

/// A live connection. It counts as one of the server's until the last that works for it has gone:
/// its task, its responses, its tunnel.
pub(super) struct Connection {
    pub(super) id: u64,
    pub(super) ends: Ends,
    pub(super) sink: Arc<SinkState>,
    pub(super) server: Arc<Shared>,
    /// Those of when it began.
    pub(super) settings: Arc<Settings>,
    /// Answers that to whatever is asked.
    pub(super) refused: Option<Refusal>,
    pub(super) began: Instant,
    /// Known from the client's first bytes.
    pub(super) protocol: OnceLock<Protocol>,
    pub(super) closer: Closer,
    /// Under way, with their numbers.
    pub(super) transfers: Mutex<Vec<(u64, Arc<Transfer>)>>,
    /// What is known of the stream, if it is one of raw TCP.
    pub(super) raw: OnceLock<Arc<Record>>,
    /// The number of the last request's route, for the log.
    pub(super) last_route: AtomicUsize,
    pub(super) in_flight: AtomicUsize,
    /// When the last response ended, its last bytes included, or the connection began, in nanoseconds.
    pub(super) idle_since: AtomicU64,
    pub(super) requests: AtomicU64,
    /// Filters of answers under way whose state is large.
    pub(super) coders: AtomicUsize,
    /// Bytes of content handed over, which passed the shared budgets.
    content: AtomicU64,
    /// Bytes beside it that were charged to them.
    charged: AtomicU64,
    /// What is to be told of the last response over HTTP/1, while some of its bytes have not gone to the
    /// socket.
    pub(super) unsent: Mutex<Option<Box<Account>>>,
    /// The sink's flushes when it was handed on.
    pub(super) unsent_since: AtomicU64,
    /// What the source of an answer over HTTP/1 that is being prepared sends ahead of it.
    interim: Mutex<Option<Interim>>,
    /// On a trusted proxy's connection, the clients with requests under way.
    pub(super) passengers: Option<Arc<Passengers>>,
    /// Clients and places that had a response here, the latest at the end.
    pub(super) seen: Mutex<Vec<u64>>,
    /// For what is told of the connection as a whole. Written where a proxy names clients only.
    pub(super) carried: Mutex<Carried>,
    _task: Task,
}

impl Connection {
    pub(super) fn new(
        server: Arc<Shared>,
        settings: Arc<Settings>,
        sink: Arc<SinkState>,
        ends: Ends,
        refused: Option<Refusal>,
    ) -> Arc<Self> {
        let id = server.connection_began(refused);
        let (now, task) = (server.clock.now(), server.tasks.begin());
        let connection = Arc::new(Self {
            id,
            ends,
            sink,
            server,
            settings,
            refused,
            began: now,
            protocol: OnceLock::new(),
            closer: Closer::default(),
            transfers: Mutex::default(),
            raw: OnceLock::new(),
            last_route: AtomicUsize::new(usize::MAX),
            in_flight: AtomicUsize::new(0),
            idle_since: AtomicU64::new(now.as_nanos()),
            requests: AtomicU64::new(0),
            coders: AtomicUsize::new(0),
            content: AtomicU64::new(0),
            charged: AtomicU64::new(0),
            unsent: Mutex::default(),
            unsent_since: AtomicU64::new(NOTHING_UNSENT),
            interim: Mutex::default(),
            passengers: ends.trusted.then(Arc::default),
            seen: Mutex::default(),
            carried: Mutex::default(),
            _task: task,
        });
        if refused.is_none() {
            connection.server.registry.add(id, Arc::downgrade(&connection));
        }
        connection
    }

    /// The server's time.
    pub(super) fn now(&self) -> Instant {
        self.server.clock.now()
    }

    /// Notes bytes of content that were handed over.
    pub(super) fn handed_over(&self, bytes: u64) {
        self.content.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Charges a client for what was written since beside content: heads, framing. Exact when nothing is
    /// under way; content that waits to be written makes it come later.
    pub(super) fn charge(&self, client: &ClientKey) {
        let clients = self.server.budgets.clients();
        if !clients.parent().is_limited() {
            return;
        }
        let beside = self.sink.counts().bytes_written().saturating_sub(self.content.load(Ordering::Relaxed));
        let before = self.charged.fetch_max(beside, Ordering::Relaxed);
        clients.node(client).debit(beside.saturating_sub(before));
    }

    /// What the source of an answer over HTTP/1 sends interim responses by.
    pub(super) fn offer_interim(&self) -> Interim {
        let interim = Interim::default();
        *self.interim.lock().unwrap_or_else(PoisonError::into_inner) = Some(interim.clone());
        interim
    }

    /// The next interim response to send. Pending where there is none.
    pub(super) fn poll_interim(&self, cx: &mut Context<'_>) -> Poll<(StatusCode, HeaderMap)> {
        let interim = self.interim.lock().unwrap_or_else(PoisonError::into_inner);
        interim.as_ref().map_or(Poll::Pending, |interim| interim.poll_next(cx))
    }

    /// The answer has begun: nothing more is sent ahead of it.
    pub(super) fn interims_end(&self) {
        let interim = self.interim.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(interim) = interim {
            interim.end();
        }
    }

    /// When the client will have been silent for too long; `None` while an exchange runs, or its last
    /// bytes wait.
    fn silent_too_long_at(&self) -> Option<Instant> {
        if self.in_flight.load(Ordering::Acquire) > 0 {
            return None;
        }
        if self.sink.is_writing() {
            // Of HTTP/2 what was handed on is with us, not with the client; the sink has its own patience.
            self.idle_since.store(self.server.clock.now().as_nanos(), Ordering::Relaxed);
            return None;
        }
        let settings = &self.settings;
        let idle_since = Instant::from_nanos(self.idle_since.load(Ordering::Relaxed));
        Some(match self.sink.heard_at() {
            Some(heard) => heard + settings.header_timeout,
            None if self.requests.load(Ordering::Relaxed) == 0 => idle_since + settings.header_timeout,
            None => idle_since + settings.idle_timeout,
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.conclude_unsent(!self.is_sent());
        self.tell_end();
        if self.refused.is_none() {
            self.server.registry.remove(self.id);
            if let Some(ip) = self.ends.peer.ip().filter(|_| !self.ends.trusted) {
                self.server.clients.leave(ip);
            }
        }
        self.server.connection_ended(self.refused);
    }
}

/// Serves a connection until it ends, is silent for too long, or the server stops.
pub(super) async fn serve<W: Wire + Send + 'static>(mut sink: Sink<W>, connection: Arc<Connection>) {
    let clock = Arc::clone(&connection.server.clock);
    let patience = Sleep::lasting(clock, connection.settings.header_timeout);
    let version = sink
        .begins_with(HTTP2_PREFACE)
        .or(async {
            patience
                .or(connection.server.reached(Stage::Draining))
                .or(connection.closer.closed_or_asked())
                .await;
            Err(io::ErrorKind::TimedOut.into())
        })
        .await;
    if let Ok(http2) = version {
        let _ = connection.protocol.set(if http2 { Protocol::Http2 } else { Protocol::Http1 });
    }
    let ended = match version {
        Ok(false) => drive(pin!(Http1::new(sink, Arc::clone(&connection))), &connection).await,
        Ok(true) => drive(Box::pin(Http2::new(sink, Arc::clone(&connection))).as_mut(), &connection).await,
        Err(error) => {
            let peer = connection.ends.peer;
            log::debug!(connection = connection.id, client:% = peer, peer:%, error:%; "no request came");
            return;
        }
    };
    connection.conclude_unsent(!connection.is_sent());
    if let Err(error) = ended
        && connection.sink.given_up().is_none()
    {
        // A client that hung up is no fault of ours or of anybody's.
        let (client, peer) = (connection.client_addr(), connection.ends.peer);
        log::debug!(connection = connection.id, client:%, peer:%, error:%; "connection ended early");
    }
}

/// A connection of either version, as far as its driver must know.
pub(super) trait Serving {
    /// Serves it as far as it can be at the moment. Ready when it is over.
    fn poll_serving(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Takes no further requests; those under way are answered.
    fn drain(self: Pin<&mut Self>);

    /// The client has been silent for too long. Whether that is to be answered.
    fn head_is_late(self: Pin<&mut Self>) -> bool {
        false
    }
}

/// Polls a connection to its end, watching the client's silence and the server's stage.
async fn drive<S: Serving>(mut serving: Pin<&mut S>, connection: &Connection) -> io::Result<()> {
    let server = &connection.server;
    let mut draining = pin!(server.reached(Stage::Draining));
    let mut stopped = pin!(server.reached(Stage::Stopped));
    let mut closed = pin!(connection.closer.closed());
    let mut drained = false;
    let settings = &connection.settings;
    let patience = settings.header_timeout.min(settings.idle_timeout);
    let mut silence = Sleep::lasting(Arc::clone(&server.clock), patience);
    std::future::poll_fn(|cx: &mut Context<'_>| {
        if let Poll::Ready(result) = serving.as_mut().poll_serving(cx) {
            return Poll::Ready(result);
        }
        if connection.is_sent() {
            connection.conclude_unsent(false);
        }
        if closed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        // Another connection takes its place, unless a request came meanwhile.
        if connection.closer.take_asked() && connection.idle_since().is_some() {
            return Poll::Ready(Ok(()));
        }
        if stopped.as_mut().poll(cx).is_ready() {
            // A response that is cut must not look complete, however its length was told.
            if connection.in_flight.load(Ordering::Acquire) > 0 || connection.sink.is_writing() {
                connection.sink.abort();
            }
            return Poll::Ready(Ok(()));
        }
        if !drained && draining.as_mut().poll(cx).is_ready() {
            drained = true;
            serving.as_mut().drain();
            if let Poll::Ready(result) = serving.as_mut().poll_serving(cx) {
                return Poll::Ready(result);
            }
        }
        // Set anew only when it would ring too late: a busy connection does not touch the wheel.
        let due = connection.silent_too_long_at();
        if due.is_some_and(|due| due < silence.deadline()) {
            silence.reset(due.unwrap_or_default());
        }
        while Pin::new(&mut silence).poll(cx).is_ready() {
            let now = server.clock.now();
            match connection.silent_too_long_at() {
                Some(due) if due <= now => {
                    if !serving.as_mut().head_is_late() {
                        return Poll::Ready(Ok(()));
                    }
                    if let Poll::Ready(result) = serving.as_mut().poll_serving(cx) {
                        return Poll::Ready(result);
                    }
                    silence.reset(now + patience);
                }
                Some(due) => silence.reset(due),
                None => silence.reset(now + patience),
            }
        }
        Poll::Pending
    })
    .await
}
