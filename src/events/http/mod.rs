//! Event streams over HTTP: publish, subscribe, acknowledge, poll.
//!
//! | request | does |
//! |---|---|
//! | `POST /{stream}` | publishes an event or a batch |
//! | `GET /{stream}` | subscribes |
//! | `POST /{stream}/ack` | acknowledges |
//! | `GET /{stream}/poll` | asks for what came since |
//!
//! Paths are below the route's. Whatever cannot be done is answered with a problem (RFC 9457).

mod ack;
mod answer;
mod origin;
mod polled;
mod problem;
mod publish;

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};

use self::origin::Origins;
use self::publish::Publishers;
use super::channel::ConnectionInfo;
use super::event::{StreamName, is_id};
use super::hub::Hub;
use super::hub_error::HubError;
use super::source::{self, PollRequest, Subscribing};
use super::store::StoreError;
use super::stream::{After, SubscribeRequest};
use crate::clock::Clock;
use crate::events::{EventSettings, Suspend};
use crate::http::api::{Problem, Query, written};
use crate::http::body::RequestBody;
use crate::http::content::Content;
use crate::http::host::{self, HostFault};
use crate::http::route::Route;
use crate::http::source::{Answer, Source, Visitor};
use crate::token::Token;

/// The longest time that a poll waits for an event.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Events in the answer to a poll, at most, if the query has no `max`.
const DEFAULT_POLLED: u64 = 100;

/// The largest `max` of a poll; a larger one is taken as this.
const MAX_POLLED: u64 = 1000;

/// The event streams of a route, as a source of responses.
///
/// ```
/// use sluicegate::clock::SystemClock;
/// use sluicegate::events::{EventSettings, Events};
/// use sluicegate::http::route::Route;
///
/// let events = Events::new("/events", EventSettings::default(), None, SystemClock::shared());
/// let hub = events.hub().clone(); // to publish with
/// let route = Route::events("/events", events);
/// # drop((hub, route));
/// ```
pub struct Events {
    hub: Arc<Hub>,
    publishers: Publishers,
}

opaque!(Events);

impl Events {
    /// Streams below the path `route`, in memory whatever `settings` say. Publishers bring `token`, or without one come from this machine.
    pub fn new(route: &str, settings: EventSettings, token: Option<Token>, clock: Arc<dyn Clock>) -> Self {
        Self::of(Hub::new(route, settings, clock), token)
    }

    /// Streams below the path `route`, kept where `settings` say. Blocks.
    ///
    /// # Errors
    /// The store cannot be used.
    pub fn open(
        route: &str,
        settings: EventSettings,
        token: Option<Token>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        Ok(Self::of(Hub::open(route, settings, clock)?, token))
    }

    fn of(hub: Arc<Hub>, token: Option<Token>) -> Self {
        hub.start_sweeping();
        Self { hub, publishers: Publishers::new(token) }
    }

    /// The streams.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    async fn respond(
        &self,
        request: Request<RequestBody>,
        rest: &str,
        visitor: Visitor<'_>,
    ) -> Response<Content> {
        let settings = self.hub.settings();
        let origins = Origins::of(&settings.origins, request.headers(), request.uri());
        let is_head = request.method() == Method::HEAD;
        let answered = match check_host(&request, &settings.server_names, visitor.client.local) {
            Err(fault) => Err(Problem::of_host(fault)),
            Ok(()) if !origins.admits() => Err(Problem::foreign_origin()),
            Ok(()) => self.answer(request, rest, visitor, &settings, &origins).await,
        };
        let mut response = answered.unwrap_or_else(Problem::into_response);
        origins.mark(response.headers_mut());
        if is_head { crate::http::answer::without_content(response) } else { response }
    }

    async fn answer(
        &self,
        request: Request<RequestBody>,
        rest: &str,
        visitor: Visitor<'_>,
        settings: &EventSettings,
        origins: &Origins,
    ) -> Result<Response<Content>, Problem> {
        let (name, below) = match rest.split_once('/') {
            None => (rest, None),
            Some((name, below)) => (name, Some(below)),
        };
        let allowed = match below {
            None => "GET, HEAD, POST, OPTIONS",
            Some("ack") => "POST, OPTIONS",
            Some("poll") => "GET, HEAD, OPTIONS",
            Some(_) => return Err(Problem::nothing_here()),
        };
        let name = StreamName::new(name).ok_or_else(Problem::bad_stream_name)?;
        // Another server may have sent an id that this one has not read yet.
        let id = match self.hub.is_shared() {
            true => {
                Query::parse(request.uri()).ok().and_then(|query| last_id(request.headers(), &query).ok()?)
            }
            false => None,
        };
        if let Err(error) = self.hub.opened(&name, id.as_deref()).await {
            return match (below, request.method()) {
                // An EventSource comes again after the end of a stream, and never after another status.
                (None, &Method::GET) => Ok(answer::ended(settings.retry)),
                _ => Err(Problem::of_hub(error)),
            };
        }
        let method = request.method().clone();
        match (below, method) {
            (None, Method::POST) => self.publish(request, &name, visitor, settings).await,
            (None, Method::GET) => self.subscribe(&request, &name, visitor, settings).await,
            (Some("ack"), Method::POST) => self.ack(request, &name).await,
            (Some("poll"), Method::GET) => self.poll(&request, &name, visitor).await,
            (None | Some("poll"), Method::HEAD) => {
                self.hub.channel(&name).map_err(Problem::of_hub)?;
                Ok(if below.is_none() {
                    answer::stream(Content::Empty)
                } else {
                    written(StatusCode::OK, "{}")
                })
            }
            (_, Method::OPTIONS) => Ok(origins.preflight(allowed, request.headers())),
            _ => Err(Problem::method_not_allowed(allowed).with_code("method_not_allowed")),
        }
    }

    /// Answers a reader of the stream `name` whom the caller admitted: a subscription, or below `/poll` a poll. Whoever reads so
    /// cannot publish.
    pub(crate) async fn read(
        &self,
        request: &Request<RequestBody>,
        name: &StreamName,
        visitor: Visitor<'_>,
    ) -> Result<Response<Content>, Problem> {
        if request.method() == Method::HEAD {
            return Ok(answer::stream(Content::Empty));
        }
        if request.uri().path().ends_with("/poll") {
            return self.poll(request, name, visitor).await;
        }
        self.subscribe(request, name, visitor, &self.hub.settings()).await
    }

    async fn publish(
        &self,
        request: Request<RequestBody>,
        name: &StreamName,
        visitor: Visitor<'_>,
        settings: &EventSettings,
    ) -> Result<Response<Content>, Problem> {
        self.publishers.admit(request.headers(), &visitor.client.peer).await?;
        let batch = publish::read(request, settings, &self.hub.clock, visitor.sink).await?;
        let published = self.hub.publish(name, batch).await.map_err(Problem::of_hub)?;
        Ok(answer::published(&published))
    }

    async fn subscribe(
        &self,
        request: &Request<RequestBody>,
        name: &StreamName,
        visitor: Visitor<'_>,
        settings: &EventSettings,
    ) -> Result<Response<Content>, Problem> {
        let query = Query::parse(request.uri())?;
        let info = ConnectionInfo {
            peer: visitor.client.peer.addr(),
            depth: if request.version() >= http::Version::HTTP_2 { 2 } else { 1 },
            sink: Arc::clone(visitor.sink),
        };
        let mut visit = SubscribeRequest {
            client: visitor.key.clone(),
            token: ack::token_of(&query)?,
            last_id: last_id(request.headers(), &query)?,
            window: query.number_up_to("window", 1, u32::MAX.into())?.map(|window| window as usize),
            path: request.uri().path().to_owned(),
        };
        let begun = match self.hub.arrives(name, &mut visit).await {
            Ok(()) => self.hub.begins(name, visit, info).await,
            Err(error) => Err(error),
        };
        let begun = match begun {
            // An EventSource comes again after the end of a stream, and never after another status.
            Err(HubError::Closing | HubError::StoreDown) => return Ok(answer::ended(settings.retry)),
            begun => begun.map_err(Problem::of_hub)?,
        };
        match begun {
            Subscribing::Stream(stream) => Ok(answer::stream(Content::Stream(stream))),
            Subscribing::Suspended(_) if settings.suspend == Suspend::TooManyRequests => {
                Err(Problem::suspended(settings.suspend_retry))
            }
            Subscribing::Suspended(pause) => Ok(answer::paused(pause)),
        }
    }

    async fn ack(
        &self,
        request: Request<RequestBody>,
        name: &StreamName,
    ) -> Result<Response<Content>, Problem> {
        let ack = ack::read(request, &self.hub.clock).await?;
        self.hub.ack(name, &ack.token, &ack.id).await.map_err(Problem::of_hub)?;
        Ok(answer::nothing())
    }

    async fn poll(
        &self,
        request: &Request<RequestBody>,
        name: &StreamName,
        visitor: Visitor<'_>,
    ) -> Result<Response<Content>, Problem> {
        let query = Query::parse(request.uri())?;
        let asked = PollRequest {
            client: visitor.key.clone(),
            token: ack::token_of(&query)?,
            after: match last_id(request.headers(), &query)? {
                Some(id) => After::Id(id),
                None => After::Known,
            },
            max: query.number_up_to("max", 1, MAX_POLLED)?.unwrap_or(DEFAULT_POLLED) as usize,
            wait: query.seconds("wait")?.unwrap_or_default().min(MAX_WAIT),
        };
        let polled = source::poll(&self.hub, name, asked).await.map_err(Problem::of_hub)?;
        Ok(answer::polled(polled))
    }
}

impl Source for Events {
    fn respond<'a>(
        &'a self,
        request: Request<RequestBody>,
        rest: &'a str,
        visitor: Visitor<'a>,
    ) -> Answer<'a> {
        Box::pin(self.respond(request, rest, visitor))
    }

    fn adopt(&mut self, old: &dyn Source) -> bool {
        let old: &dyn Any = old;
        let Some(old) = old.downcast_ref::<Self>() else { return false };
        let settings = self.hub.settings();
        if settings.store != old.hub.settings().store {
            return false;
        }
        old.hub.set((*settings).clone());
        self.hub = Arc::clone(&old.hub);
        true
    }

    fn close(&self) {
        self.hub.close();
    }

    fn refuses_when_closed(&self) -> bool {
        true
    }
}

impl Route {
    /// Paths below `path` are event streams.
    pub fn events(path: &str, events: Events) -> Self {
        Self::of(path, events)
    }

    /// Its event streams, if it has any.
    pub fn hub(&self) -> Option<&Arc<Hub>> {
        self.source().map(Events::hub)
    }
}

/// Checks the name that a request has for this server. Over a Unix socket, which no browser reaches, it is not
/// looked at.
fn check_host<B>(request: &Request<B>, names: &[String], local: Option<SocketAddr>) -> Result<(), HostFault> {
    let Some(local) = local else { return Ok(()) };
    let is_near = local.ip().to_canonical().is_loopback();
    if names.is_empty() && !is_near {
        return Ok(());
    }
    let is_ours = |host: &str| {
        is_near && host::is_loopback(host) || names.iter().any(|name| host::is_named(host, name))
    };
    host::check(request.uri(), request.headers(), request.version(), is_ours)
}

/// The id a client has: the header's, which its browser sets, before that of the address it came by.
fn last_id(headers: &http::HeaderMap, query: &Query) -> Result<Option<String>, Problem> {
    let header = headers.get("last-event-id").map(|value| std::str::from_utf8(value.as_bytes()));
    let header = header.transpose().map_err(|_| Problem::bad_last_id())?.filter(|id| !id.is_empty());
    match header.or(query.text("after")).or(query.text("last_event_id")) {
        Some(id) if !id.is_empty() && !is_id(id) => Err(Problem::bad_last_id()),
        id => Ok(id.filter(|id| !id.is_empty()).map(str::to_owned)),
    }
}
