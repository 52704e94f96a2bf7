//! The admin listener: metrics and probes, on an address of its own.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | the counters, in Prometheus' text format; in OpenMetrics 1.0 if Accept prefers `application/openmetrics-text` |
//! | `/healthz` | 200 while the process serves |
//! | `/readyz` | 200; 503 with the reasons when the server drains, sheds load, or a [check](Admin::ready_when) fails |
//! | `/v1/…` | the API: limits and live connections, to look at and to change; `/v1/openapi.json` describes it |
//! | `/` | a list of these |
//!
//! It is off unless somebody makes an [`Admin`], and reads what others count: it adds nothing to the way of a
//! byte. All but the API can be read only. On an address that other machines reach it does not go without a
//! [`Token`]; with one, all but the two probes must bring it. Without one, requests over TCP must name
//! this machine by a loopback address or `localhost` in their Host field, so that a page in a browser here
//! cannot read what is answered (DNS rebinding).
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
mod connection;
#[cfg(feature = "events")]
mod event_metrics;
mod families;
mod format;
mod limit_metrics;
mod process_metrics;
mod server_metrics;
mod settings;
mod tracing_metrics;

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use answer::Pages;
use connection::Shared;
use prometheus_client::collector::Collector;

use crate::http::route::Route;
use crate::http::server::Handle;
use crate::rt::Listener;
use crate::token::Token;

pub use settings::AdminSource;

/// Shows what a server does to those who ask on the admin listener.
pub struct Admin {
    listeners: Vec<Listener>,
    pages: Pages,
}

/// Why there can be no admin listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminError {
    /// The address can be reached from other machines, and there is no token.
    Unprotected(SocketAddr),
}

impl Admin {
    /// An admin listener on `listeners` for the server of `server`, not yet running.
    ///
    /// # Errors
    /// Without a token, a listener's address is none of this machine's alone. A Unix socket always is.
    pub fn new(listeners: Vec<Listener>, token: Option<Token>, server: Handle) -> Result<Self, AdminError> {
        let mut addrs = listeners.iter().filter_map(Listener::local_addr);
        if token.is_none()
            && let Some(addr) = addrs.find(|addr| AdminSource::needs_token(*addr))
        {
            return Err(AdminError::Unprotected(addr));
        }
        Ok(Self { listeners, pages: Pages::new(server, token) })
    }

    /// Makes `/readyz` fail, with the reason, whenever `check` does.
    ///
    /// It is called for each probe and must not block. The reason is shown to everyone who can connect,
    /// token or not.
    #[must_use]
    pub fn ready_when(mut self, check: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Self {
        self.pages.checks.push(Box::new(check));
        self
    }

    /// Shows further metrics, their names with `sluicegate_` before them.
    ///
    /// The collector is asked for each scrape, and must not block.
    #[must_use]
    pub fn with_metrics(mut self, collector: impl Collector + 'static) -> Self {
        self.pages.collect(Box::new(collector));
        self
    }

    /// The TCP addresses listened on, with their real ports.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(Listener::local_addr).collect()
    }

    /// Answers until the server has stopped. While the server drains, it goes on.
    ///
    /// Answers that are under way then are cut. Not cancel safe: dropped in mid-run it goes on until the
    /// server has stopped.
    pub async fn run(self) {
        let shared = Arc::new(Shared::new(self.pages));
        for listener in self.listeners {
            connection::listen(listener, &shared);
        }
        shared.pages.server.stopped().await;
        shared.tasks.idle().await;
    }
}

/// The routes that can answer: of those with the same path, the first.
fn routes(server: &Handle) -> Vec<Arc<Route>> {
    let mut paths = HashSet::new();
    let mut routes = server.routes();
    routes.retain(|route| paths.insert(route.path().to_owned()));
    routes
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unprotected(addr) => write!(
                f,
                "the admin listener does not go to {addr}, where other machines reach it, without a token: \
                 give it a token file, or choose 127.0.0.1, [::1] or a Unix socket"
            ),
        }
    }
}

impl std::error::Error for AdminError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_says_what_to_do() {
        let text = AdminError::Unprotected(([0, 0, 0, 0], 9180).into()).to_string();
        assert!(text.contains("0.0.0.0:9180") && text.contains("token file"), "{text}");
    }
}
