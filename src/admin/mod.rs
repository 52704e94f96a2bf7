//! The admin listener: metrics and probes, on an address of its own.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | the counters, in Prometheus' text format; in OpenMetrics 1.0 if Accept prefers `application/openmetrics-text` |
//! | `/healthz` | 200 while the process serves |
//! | `/readyz` | 200; 503 with the reasons when the server drains, sheds load, or a [check](Admin::ready_when) fails |
//! | `/v1/…` | the API: lists and changes limits and live connections; `/v1/openapi.json` describes it |
//! | `/v1/live` | what flows now, as server-sent events |
//! | `/` | a page of it for browsers; for others a list of these |
//!
//! It speaks HTTP/1 and HTTP/2 as the server itself does: inside TLS by ALPN, otherwise HTTP/2 by prior knowledge.
//!
//! It is off by default, and reads counters that exist anyway: it adds no cost to the path of a byte. Everything but the
//! API is read-only. On an address reachable from other machines a [`Token`] is required; with one, every request but the
//! two probes must send it. Without one, requests over TCP must have a loopback address or `localhost` as their Host, so
//! that a web page in a browser on this machine cannot read the answers (DNS rebinding).
//!
//! ```no_run
//! use futures_lite::future;
//! use sluicegate::admin::Admin;
//! use sluicegate::http::route::Route;
//! use sluicegate::http::server::{Server, Settings};
//! use sluicegate::rt::{self, Listener};
//!
//! let listener = Listener::bind_tcp("127.0.0.1:8080".parse()?)?;
//! let route = Route::files("/", "fixtures/site")?;
//! let server = Server::new(Settings::default(), vec![listener], vec![route]);
//! let admin = Listener::bind_tcp("127.0.0.1:9180".parse()?)?;
//! let admin = Admin::new(vec![admin], None, server.handle())?;
//! rt::block_on(future::zip(server.run(), admin.run()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod admission;
mod answer;
mod api;
mod class_metrics;
mod connection;
#[cfg(feature = "events")]
mod event_metrics;
mod families;
mod figures;
mod format;
mod limit_metrics;
#[cfg(feature = "events")]
mod live;
#[cfg(feature = "events")]
mod page;
mod process_metrics;
mod server_metrics;
mod settings;
#[cfg(feature = "tls")]
mod tls_metrics;
mod upstream_metrics;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use answer::Pages;
use connection::Shared;
use prometheus_client::collector::Collector;

use crate::http::route::Route;
use crate::http::server::Handle;
use crate::rt::Listener;
use crate::tls::ServerTls;
use crate::token::Token;

pub use figures::Figures;
pub use settings::AdminSource;

/// The admin listener of a server.
///
/// ```
/// use sluicegate::admin::Admin;
/// use sluicegate::http::server::{Server, Settings};
/// use sluicegate::rt::Listener;
///
/// let server = Server::new(Settings::default(), vec![], vec![]);
/// let listener = Listener::bind_tcp("127.0.0.1:0".parse()?)?;
/// let admin = Admin::new(vec![listener], None, server.handle())?.ready_when(|| Err("warming up".to_owned()));
/// assert_eq!(admin.local_addrs().len(), 1);
///
/// // Without a token it stays on this machine.
/// let everywhere = Listener::bind_tcp("0.0.0.0:0".parse()?)?;
/// assert!(Admin::new(vec![everywhere], None, server.handle()).unwrap_err().needs_token());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Admin {
    listeners: Vec<Listener>,
    tls: Option<ServerTls>,
    pages: Pages,
}

opaque!(Admin);

caused_error! {
    /// Why an admin listener cannot be created, and what to do.
    AdminError {
        /// Whether other machines can reach it, and it has no token.
        needs_token: no_token,
        /// Whether its address is one where clients are listened for.
        is_taken: taken,
    }
}

impl Admin {
    /// Creates an admin listener on `listeners` for the server of `server`.
    ///
    /// # Errors
    /// There is no token, and a listener's address is reachable from other machines. A Unix socket never is.
    pub fn new(listeners: Vec<Listener>, token: Option<Token>, server: Handle) -> Result<Self, AdminError> {
        protected(&listeners, token.as_ref())?;
        Ok(Self { listeners, tls: None, pages: Pages::new(server, token) })
    }

    /// Admits those who send `token` too, to look only: they can change nothing. Without a token that may change, it has no
    /// effect.
    #[must_use]
    pub fn with_read_only(mut self, token: Option<Token>) -> Self {
        self.pages.read_only = token;
        self
    }

    /// Has the live view show the shares of `fleet`: it asks the quota server for them while somebody looks.
    #[cfg(all(feature = "events", feature = "quota"))]
    #[must_use]
    pub fn with_fleet(self, fleet: crate::quota::egress::Fleet) -> Self {
        self.pages.live.show_quota(live::look_at(fleet));
        self
    }

    /// Has it speak TLS, if there is one: inside it HTTP/2 or HTTP/1.1, as the client chooses (ALPN).
    #[must_use]
    pub fn with_tls(self, tls: Option<ServerTls>) -> Self {
        Self { tls: tls.map(|tls| tls.for_listener()), ..self }
    }

    /// Makes `/readyz` fail, with the reason, whenever `check` does.
    ///
    /// It is called for each probe and must not block. The reason is visible to everyone who can connect, even without
    /// the token.
    #[must_use]
    pub fn ready_when(mut self, check: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Self {
        self.pages.checks.push(Box::new(check));
        self
    }

    /// Adds metrics; their names get the prefix `sluicegate_`.
    ///
    /// The collector is called for each scrape and must not block.
    #[must_use]
    pub fn with_metrics(mut self, collector: impl Collector + 'static) -> Self {
        self.pages.collect(Box::new(collector));
        self
    }

    /// The TCP addresses listened on, with their actual ports.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(Listener::local_addr).collect()
    }

    /// Serves until the server has stopped, also while it drains.
    ///
    /// Answers under way at that time are cut short. Not cancel safe: if dropped, its connections continue until the server
    /// has stopped.
    pub async fn run(self) {
        let shared = Arc::new(Shared::new(self.pages, self.tls));
        for listener in self.listeners {
            connection::listen(listener, &shared);
        }
        shared.ended().await;
    }
}

/// Checks that nobody on another machine reaches one of `listeners` without a token.
fn protected(listeners: &[Listener], token: Option<&Token>) -> Result<(), AdminError> {
    let mut addrs = listeners.iter().filter_map(Listener::local_addr);
    match addrs.find(|addr| token.is_none() && AdminSource::needs_token(*addr)) {
        None => Ok(()),
        Some(addr) => Err(AdminError::no_token(format!(
            "the admin listener does not go to {addr}, where other machines reach it, without a token: \
             give it a token file, or choose 127.0.0.1, [::1] or a Unix socket"
        ))),
    }
}

/// The effective routes: of those with the same name, the first.
fn routes(server: &Handle) -> Vec<Arc<Route>> {
    let mut names = HashSet::new();
    let mut routes = server.routes();
    routes.retain(|route| names.insert(route.name().to_owned()));
    routes
}
