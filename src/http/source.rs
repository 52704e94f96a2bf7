//! Sources of content: the contract, what a source learns of its client, and handlers of programs.

use std::any::Any;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use http::{Request, Response};

use super::body::RequestBody;
use super::content::Content;
use super::peer::PeerAddr;
use crate::budget::ClientKey;
use crate::rt::Slot;
use crate::sink::SinkState;

/// A response that is being prepared.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Response<Content>> + Send + 'a>>;

/// A source of content for a [`Route`](super::route::Route), which filters and paces what it answers.
pub trait Source: Any + Send + Sync {
    /// Responds to one request. `rest` is the path after the route's prefix, without a leading slash.
    ///
    /// The future is dropped when the client goes away.
    fn respond<'a>(
        &'a self,
        request: Request<RequestBody>,
        rest: &'a str,
        visitor: Visitor<'a>,
    ) -> Answer<'a>;

    /// How it reads paths. Default: [`Paths::Normal`].
    fn paths(&self) -> Paths {
        Paths::Normal
    }

    /// Whether it sends interim responses, by the [`Interim`](super::interim::Interim) in requests. Default: no.
    fn takes_interim(&self) -> bool {
        false
    }

    /// Takes over the live state of `old`, the source of the same path before a reload, and keeps its own settings.
    /// Returns whether it did; if not, `old` is closed. Default: no.
    fn adopt(&mut self, old: &dyn Source) -> bool {
        _ = old;
        false
    }

    /// Ends responses that would not end by themselves. Called when the server drains, and when a reload has removed
    /// the route. Default: nothing.
    fn close(&self) {}

    /// Whether it refuses requests once it is closed: connections on which it was asked end then. Default: no.
    fn refuses_when_closed(&self) -> bool {
        false
    }
}

/// How a source reads the paths it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paths {
    /// In normal form, with `/` as the only separator.
    Normal,
    /// In normal form, perhaps with `%2F` or `\` as separators: paths that lead elsewhere when read so are refused.
    Decoded,
    /// As the client spelt them, where that means the same. Otherwise as [`Decoded`](Self::Decoded).
    AsGiven,
}

/// The connection that a request arrived on.
#[derive(Clone, Debug)]
pub struct Client {
    /// The other end of the connection, or the client that its PROXY header announces.
    pub peer: PeerAddr,
    /// Our end of it; `None` on a Unix socket.
    pub local: Option<SocketAddr>,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Whether the peer is a trusted proxy: its `Forwarded` and `X-Forwarded-*` are kept and added to. Those of any
    /// other peer are removed.
    pub trusted: bool,
    /// The client of the request that the peer, a trusted proxy, names; `None` if the peer is the client.
    pub named: Option<IpAddr>,
    /// The address that the peer connected to, if a PROXY header announces it.
    pub destination: Option<SocketAddr>,
}

impl Client {
    /// A client at the other end of a connection by `scheme`: no proxy announces or names it, and our end is not known.
    pub const fn new(peer: PeerAddr, scheme: &'static str) -> Self {
        Self { peer, local: None, scheme, trusted: false, named: None, destination: None }
    }

    /// The addresses for a PROXY header to the next hop: of the client, with port 0 if a proxy named it, and the one that
    /// was connected to. `None` is not known.
    pub(crate) fn ends(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        let source = self.named.map_or_else(|| self.peer.addr(), |ip| Some(SocketAddr::new(ip, 0)));
        (source, self.destination.or(self.local))
    }
}

/// The sender of a request.
#[derive(Clone, Copy)]
pub struct Visitor<'a> {
    /// The connection.
    pub client: &'a Client,
    /// The client that is charged.
    pub key: &'a ClientKey,
    /// The sink that the response is written to.
    pub sink: &'a Arc<SinkState>,
    /// Where a source that asks others says whom it asked, for the access log; `None` if that has no line.
    pub asked: Option<&'a OnceLock<Arc<str>>>,
    /// The connection's slot, if its listener has slots.
    pub(crate) slot: Option<&'a Arc<Slot>>,
}

opaque!(Visitor<'_>);

/// A program's own source of content, for [`Route::handler`](super::route::Route::handler). [`Content`] shows what it may answer with.
///
/// ```
/// use http::{Request, Response};
/// use sluicegate::http::{body::RequestBody, content::Content};
/// use sluicegate::http::route::{Answer, Client, Handler, Route};
/// use sluicegate::limit::Rate;
///
/// struct Hello;
///
/// impl Handler for Hello {
///     fn respond<'a>(&'a self, request: Request<RequestBody>, _: &'a Client) -> Answer<'a> {
///         Box::pin(async move { Response::new(Content::text(format!("{} hello\n", request.method()))) })
///     }
/// }
///
/// let route = Route::handler("/hello", Hello).rate(Rate::kib_per_second(1));
/// assert_eq!(route.path(), "/hello");
/// ```
pub trait Handler: Send + Sync {
    /// Responds to one request. The route filters and paces the content.
    fn respond<'a>(&'a self, request: Request<RequestBody>, client: &'a Client) -> Answer<'a>;
}

impl<H: Handler + 'static> Source for H {
    fn respond<'a>(&'a self, request: Request<RequestBody>, _: &'a str, visitor: Visitor<'a>) -> Answer<'a> {
        Handler::respond(self, request, visitor.client)
    }

    fn paths(&self) -> Paths {
        Paths::Decoded
    }

    fn takes_interim(&self) -> bool {
        true
    }
}
