//! One connection: what it is, its exchanges, and what they charge.

use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

use http::Request;

use super::account::{Account, SinkWaits};
use super::charges::Charges;
use super::clients::Requester;
use super::closer::Closer;
use super::exchanges::Exchanges;
use super::report::{ConnectionReport, Protocol};
use super::setup::Setup;
use super::spread::StreamPaces;
use super::transfer::Transfer;
use super::{Refusal, Settings, Shared};
use crate::clock::Instant;
use crate::http::body::Unread;
use crate::http::budgets::Charged;
use crate::http::classes::Asked;
use crate::http::peer::{ClientAddr, PeerAddr, TrustedPeers};
use crate::http::request_path::RequestPath;
use crate::http::source::Client;
use crate::rt::Slot;
use crate::rt::serve::Task;
use crate::sink::SinkState;
use crate::tls::ClientCertificate;

/// The two ends of a connection, known when it is accepted.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    /// The socket's descriptor, for the log.
    pub(super) fd: i32,
    /// The other end of the socket.
    pub(super) peer: PeerAddr,
    /// The peer, or the client that the peer's PROXY header announces in its place.
    pub(super) client: PeerAddr,
    /// Our own address; `None` on a Unix socket.
    pub(super) local: Option<SocketAddr>,
    /// The address that the client connected to, if a PROXY header announces it.
    pub(super) destination: Option<SocketAddr>,
    /// Whether its PROXY header names no client: then nothing says that the peer looks into what its client claims.
    pub(super) is_unnamed: bool,
    /// Whether the client is a trusted proxy: the connection counts for none of its clients.
    pub(super) trusted: bool,
    /// `http`, or `https` inside TLS.
    pub(super) scheme: &'static str,
    /// If set, every request is redirected to this port.
    pub(super) redirect: Option<u16>,
}

impl Ends {
    /// Those of a connection of `peer` itself, inside TLS or not, of which nothing else is known.
    pub(super) fn of(peer: PeerAddr, is_tls: bool) -> Self {
        Self {
            fd: -1,
            peer,
            client: peer,
            local: None,
            destination: None,
            is_unnamed: false,
            trusted: false,
            scheme: if is_tls { "https" } else { "http" },
            redirect: None,
        }
    }

    /// Whether the client is one of `trusted`, which name the clients of requests.
    pub(super) fn may_name(&self, trusted: &TrustedPeers) -> bool {
        !self.is_unnamed && self.client.ip().is_some_and(|ip| trusted.contains(ip))
    }
}

/// A live connection. It counts as one of the server's until the last that works for it was dropped: its task, its
/// responses, its tunnel.
pub(super) struct Connection {
    pub(super) id: u64,
    pub(super) ends: Ends,
    /// Known from the client's first bytes.
    pub(super) protocol: OnceLock<Protocol>,
    /// If set, every request is refused with it.
    pub(super) refused: Option<Refusal>,
    pub(super) began: Instant,
    /// When its TLS handshake ended.
    pub(super) shaken: OnceLock<Instant>,
    /// The version of TLS, known then.
    pub(super) tls_version: OnceLock<&'static str>,
    /// The certificate that the client showed in it.
    pub(super) certificate: OnceLock<Box<ClientCertificate>>,
    /// Its slot, if its listener has slots: requests are noted there.
    pub(super) slot: Option<Arc<Slot>>,
    pub(super) server: Arc<Shared>,
    /// The settings when it was accepted.
    pub(super) settings: Arc<Settings>,
    pub(super) sink: Arc<SinkState>,
    pub(super) closer: Closer,
    pub(super) exchanges: Exchanges,
    pub(super) charges: Charges,
    /// Over HTTP/2, content that nobody has read.
    pub(super) unread: Unread,
    /// Over HTTP/2, how fast the kernel may send.
    pub(super) stream_paces: StreamPaces,
    /// Over HTTP/2, responses that have more content to give.
    pub(super) giving: AtomicUsize,
    _task: Task,
}

impl Connection {
    /// Counts a connection in and registers it, unless it is `refused`.
    pub(super) fn new(
        server: Arc<Shared>,
        settings: Arc<Settings>,
        sink: Arc<SinkState>,
        ends: Ends,
        refused: Option<Refusal>,
        slot: Option<Arc<Slot>>,
    ) -> Arc<Self> {
        let id = server.connection_began(refused);
        let (now, task) = (server.clock.now(), server.tasks.begin());
        let connection = Arc::new(Self {
            id,
            ends,
            protocol: OnceLock::new(),
            refused,
            began: now,
            shaken: OnceLock::new(),
            tls_version: OnceLock::new(),
            certificate: OnceLock::new(),
            slot,
            server,
            settings,
            sink,
            closer: Closer::default(),
            exchanges: Exchanges::new(now),
            charges: Charges::new(ends.trusted),
            unread: Unread::default(),
            stream_paces: StreamPaces::default(),
            giving: AtomicUsize::new(0),
            _task: task,
        });
        if refused.is_none() {
            connection.server.registry.add(id, Arc::downgrade(&connection));
        }
        connection
    }

    /// Has the processor fetch what each piece of a response uses.
    pub(super) fn prefetch(&self) {
        self.exchanges.prefetch();
        self.charges.prefetch();
        self.closer.prefetch();
    }

    /// The time on the server's clock.
    pub(super) fn now(&self) -> Instant {
        self.server.clock.now()
    }

    /// The connection as sources see it, on which `addr` sent a request.
    pub(super) fn client(&self, addr: &ClientAddr) -> Client {
        Client {
            peer: self.ends.client,
            local: self.ends.local,
            scheme: self.ends.scheme,
            trusted: self.ends.may_name(&self.server.setup().settings.trusted),
            named: match addr {
                ClientAddr::Named(ip) => Some(*ip),
                ClientAddr::Peer(_) => None,
            },
            destination: self.ends.destination,
        }
    }

    /// The client of `request`, whose path is `path`.
    pub(super) fn requester<B>(
        &self,
        setup: &Setup,
        request: &Request<B>,
        path: &RequestPath<'_>,
    ) -> Requester {
        let asked = (Asked::of(request, path), path);
        Requester::of(&self.server, setup, asked, &self.ends, self.certificate())
    }

    /// The certificate that its client showed.
    pub(super) fn certificate(&self) -> Option<&ClientCertificate> {
        self.certificate.get().map(|certificate| &**certificate)
    }

    /// How long, until `now`, it has waited for its own rate and for its reader.
    pub(super) fn waits(&self, now: Instant) -> SinkWaits {
        SinkWaits::until(now, &self.sink)
    }

    /// The client of the connection, or the one that it asks for.
    pub(super) fn client_addr(&self) -> ClientAddr {
        self.exchanges.client(self.ends.client)
    }

    /// Counts an exchange in.
    pub(super) fn begin(&self, transfer: &Arc<Transfer>) {
        // Requests that came together: the last one's bytes and this one's may go as one.
        self.conclude_unsent(false);
        self.exchanges.begin(transfer, self.ends.trusted);
        if let Some(slot) = &self.slot {
            slot.enter();
        }
    }

    /// Counts content of `transfer` that was passed on.
    pub(super) fn pass(&self, transfer: &Transfer, bytes: u64) {
        transfer.pass(bytes, self.now());
        self.charges.pass_content(bytes);
    }

    /// Counts all content of `transfer`, which was passed on as soon as its request was there: in no more time than a look at the
    /// clock takes.
    pub(super) fn pass_at_once(&self, transfer: &Transfer, bytes: u64) {
        transfer.pass(bytes, transfer.began);
        self.charges.pass_content(bytes);
    }

    /// Ends an exchange whose last byte was passed on, or which broke off. Over HTTP/1 it is concluded when that byte
    /// went to the socket, with the next flush; over HTTP/2 it cannot be told from others there.
    pub(super) fn end(&self, account: Account) {
        self.sink.await_bytes();
        if account.is_multiplexed() {
            self.conclude(&account, false);
        } else {
            self.exchanges.keep_unsent(account, self.sink.flushes());
        }
    }

    /// Whether all of the last answer went to the socket.
    pub(super) fn is_sent(&self) -> bool {
        self.exchanges.are_sent(self.sink.flushes())
    }

    /// Concludes the last answer if it is not yet. `cut`: the rest of it never goes to the socket.
    pub(super) fn conclude_unsent(&self, cut: bool) {
        if let Some(account) = self.exchanges.take_unsent() {
            self.conclude(&account, cut);
        }
    }

    /// Concludes an exchange. `cut`: the rest of it never goes to the socket.
    pub(super) fn conclude(&self, account: &Account, cut: bool) {
        let transfer = &account.transfer;
        self.exchanges.unlist(transfer);
        // Over HTTP/1 it is written by now unless the next request was pipelined, and the next answer's head is not:
        // that may be another client's.
        let written = self.sink.counts().bytes_written();
        let Charged { class, key } = &transfer.requester.charged;
        self.charges.charge(key, written, self.server.budgets.clients_of(class.as_deref()));
        let now = self.now();
        self.close_account(account, cut, now);
        self.exchanges.end(now);
        if let Some(slot) = &self.slot {
            slot.leave();
        }
    }

    /// Writes an account that ends at `now` into metrics and access log.
    pub(super) fn close_account(&self, account: &Account, cut: bool, now: Instant) {
        let ended = account.close(cut, now);
        account.transfer.count_upload(&self.server.telemetry);
        // A tunnel was counted as the answer that it began with.
        if !account.is_tunnel {
            self.server.telemetry.response_ended(&ended);
        }
        let waits = self.waits(now);
        account.log(&ended, self, waits);
        if let Some(observer) = &self.server.observer {
            account.observe(&ended, self, waits, &**observer);
        }
    }

    /// The instant since which it has no request under way and no bytes waiting; `None` if it has some, and for raw
    /// TCP.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let is_idle = !self.exchanges.are_in_flight()
            && !self.sink.is_writing()
            && self.protocol.get() != Some(&Protocol::Tcp);
        is_idle.then(|| self.exchanges.idle_since())
    }

    /// When the client will have been silent for too long; `None` while an exchange runs or its last bytes wait.
    pub(super) fn silent_too_long_at(&self) -> Option<Instant> {
        if self.exchanges.are_in_flight() {
            return None;
        }
        if self.sink.is_writing() {
            // Over HTTP/2 the last bytes are here, not at the client; the sink has its own patience with readers.
            self.exchanges.note_busy(self.now());
            return None;
        }
        let (settings, idle_since) = (&self.settings, self.exchanges.idle_since());
        Some(match self.sink.heard_at() {
            Some(heard) => heard + settings.header_timeout,
            None if self.exchanges.requests() == 0 => idle_since + settings.header_timeout,
            None => idle_since + settings.idle_timeout,
        })
    }

    /// Asks its task to end it if it is idle now and still idle when the task runs. False if it is not idle, or was
    /// asked before.
    pub(super) fn end_if_idle(&self) -> bool {
        self.idle_since().is_some() && self.closer.ask()
    }

    /// Ends it with a reset. False if it was closed before.
    pub(super) fn close(&self) -> bool {
        self.sink.abort();
        self.closer.close()
    }

    pub(super) fn report(&self) -> ConnectionReport {
        let (transfers, counts, now) = (self.exchanges.transfers(), self.sink.counts(), self.now());
        ConnectionReport {
            at: now,
            id: self.id,
            peer: self.ends.peer,
            client: self.ends.client,
            local: self.ends.local,
            protocol: self.protocol.get().copied(),
            age: now - self.began,
            requests: self.exchanges.requests(),
            bytes_read: counts.bytes_read(),
            bytes_written: counts.bytes_written(),
            bytes_per_second: self.sink.bytes_per_second(),
            buffered: counts.buffered(),
            held: self.sink.held(),
            transfers: transfers
                .iter()
                .map(|(number, transfer)| transfer.report(*number, now, &self.sink, &self.server.telemetry))
                .collect(),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.conclude_unsent(!self.is_sent());
        self.log_end();
        if self.refused.is_none() {
            self.server.registry.remove(self.id);
            if let Some(ip) = self.ends.client.ip().filter(|_| !self.ends.trusted) {
                self.server.clients.leave(ip);
            }
        }
        self.server.connection_ended(self.refused);
    }
}
