//! Connections of the admin listener: few, small, and closed when they hang.

use std::sync::Arc;
use std::time::Duration;

use futures_lite::FutureExt;
use http::Request;

use super::answer::Pages;
use crate::clock::{Clock, Sleep};
use crate::http::body::RequestBody;
use crate::http::server::{Handle, Settings, SoleServer};
use crate::http::source::{Answer, Source, Visitor};
use crate::rt::serve::{self, Tasks};
use crate::rt::{self, Listener, Slots, Socket};
use crate::sink::SinkSettings;
use crate::tls::ServerTls;

/// Concurrent connections; a scraper needs one. At the limit the next one replaces one that is silent or has not sent the
/// token.
pub(super) const MAX_CONNECTIONS: usize = 64;

/// Concurrent requests on one connection of HTTP/2. Each page of metrics is in memory whole.
pub(super) const MAX_STREAMS: u32 = 8;

/// Timeout of a request's head, including the pause before it. Above the usual scrape interval of 15 s, so that a
/// scraper's connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a client may not read its answer.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a process whose listeners another took over waits for requests on connections that it accepted.
const FIRST_REQUEST: Duration = Duration::from_secs(2);

/// State shared by the tasks of one admin listener.
pub(super) struct Shared {
    /// The server that is watched.
    watched: Handle,
    /// What serves the pages.
    sole: SoleServer,
    slots: Arc<Slots>,
    tls: Option<ServerTls>,
    /// Listeners and connections.
    tasks: Arc<Tasks>,
}

impl Shared {
    pub(super) fn new(pages: Pages, tls: Option<ServerTls>) -> Self {
        let watched = pages.server.clone();
        Self {
            sole: SoleServer::beside(&watched, settings(), MAX_STREAMS, "admin", Served(Arc::new(pages))),
            watched,
            slots: Slots::new(MAX_CONNECTIONS),
            tls,
            tasks: Arc::default(),
        }
    }

    /// Waits until the server has stopped, and ends the connections. While it drains, each answer is the last of its
    /// connection.
    pub(super) async fn ended(&self) {
        self.watched.draining().await;
        self.sole.drain();
        self.watched.stopped().await;
        if self.watched.is_handed_over() {
            // Who has connected and not asked yet hears that another process serves.
            let late = Sleep::lasting(rt::clock() as Arc<dyn Clock>, FIRST_REQUEST);
            self.sole.idle().or(late).await;
        }
        self.sole.stop().await;
        self.tasks.idle().await;
    }
}

pub(super) fn settings() -> Settings {
    Settings {
        header_timeout: HEAD_TIMEOUT,
        idle_timeout: HEAD_TIMEOUT,
        sink: SinkSettings { stall_timeout: STALL_TIMEOUT, ..SinkSettings::default() },
        ..Settings::default()
    }
}

/// The pages as a source of content.
struct Served(Arc<Pages>);

impl Source for Served {
    fn respond<'a>(&'a self, request: Request<RequestBody>, _: &'a str, visitor: Visitor<'a>) -> Answer<'a> {
        if let Some(slot) = visitor.slot
            && self.0.trusts(request.headers(), &visitor.client.peer)
        {
            slot.prove();
        }
        Box::pin(self.0.answer(request, visitor))
    }
}

/// Accepts connections until the server has stopped, or while it drains until another process listens in its place.
/// Connections end when the server has stopped.
pub(super) fn listen(listener: Listener, shared: &Arc<Shared>) {
    let (shared, task) = (Arc::clone(shared), shared.tasks.begin());
    rt::spawn(async move {
        let (server, clock) = (&shared.watched, rt::clock() as Arc<dyn Clock>);
        let handed_over = async {
            server.draining().await;
            listener.handed_over(&clock).await;
        };
        let ended = handed_over.or(server.stopped());
        serve::accept(&listener, &clock, ended, |socket| begin(socket, &shared)).await;
        drop(listener);
        drop(task);
    });
}

fn begin(socket: Socket, shared: &Arc<Shared>) {
    if let Some(slot) = shared.slots.take() {
        let (shared, task) = (Arc::clone(shared), shared.tasks.begin());
        rt::spawn_spread(async move {
            shared.sole.serve(socket, shared.tls.as_ref(), &slot).await;
            drop(task);
        });
    }
}
