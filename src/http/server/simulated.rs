//! A server without listeners, tasks and threads, for simulations: its owner moves the clock, makes the wires, and polls the
//! connections.
//!
//! All else is that of a server in use: connections are admitted, requests find their routes and classes, and responses pass
//! their filters, the tree of budgets and the sink in the same code.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use super::accept::{admitted, connect};
use super::connection::Ends;
use super::pacing::Calendar;
use super::serve::serve;
use super::{Handle, Observer, Server, Settings, Shared};
use crate::clock::Clock;
use crate::filter::Counts;
use crate::http::peer::PeerAddr;
use crate::http::route::Route;
use crate::sink::Wire;
use crate::tls::ClientCertificate;

/// The task of a connection, to be polled when it is woken. Ready when the connection is over.
pub(crate) type ConnectionTask = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Server {
    /// Creates a server of `routes` on `clock`, without listeners, for [`Handle::connect`]. Nothing of it runs by itself: call
    /// [`Handle::follow_calendar`] at each boundary of time.
    pub(crate) fn simulated(
        settings: Settings,
        routes: Vec<Route>,
        counts: BTreeMap<String, Counts>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let routes = routes.into_iter().map(|route| route.on_clock(Arc::clone(&clock))).collect();
        let mut shared = Shared::new(settings, routes, (counts, None), clock);
        shared.calendar = Calendar::followed();
        shared.observer = Some(observer);
        Self { listeners: Vec::new(), shared: Arc::new(shared) }
    }
}

impl Handle {
    /// Begins a connection from `peer` on `wire`, as a listener does, whose client has shown `certificate`. Returns `None` if
    /// it is refused without an answer.
    pub(crate) fn connect<W: Wire + Send + 'static>(
        &self,
        wire: W,
        peer: SocketAddr,
        certificate: Option<ClientCertificate>,
    ) -> Option<ConnectionTask> {
        let server = &self.0;
        let setup = server.setup();
        let trusted = setup.settings.trusted.contains(peer.ip());
        let refused = admitted(server, (!trusted).then(|| peer.ip()), &setup, false)?;
        let peer = PeerAddr::Tcp(peer);
        let ends = Ends { trusted, ..Ends::of(peer, certificate.is_some()) };
        let (sink, connection) = connect(wire, ends, (refused, None), &setup, server);
        if let Some(certificate) = certificate {
            let _ = connection.certificate.set(Box::new(certificate));
        }
        Some(Box::pin(serve(sink, connection)))
    }

    /// Sets all limits that follow the calendar to what holds now. Returns when the next of them changes, if one does.
    pub(crate) fn follow_calendar(&self) -> Option<SystemTime> {
        self.0.apply_rules(Some(self.0.clock.now()))
    }
}
