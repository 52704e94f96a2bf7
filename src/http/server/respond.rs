//! Answers one request: finds the route, asks its source, attaches the filters, and makes the body.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version, request};

use super::answer_content::AnswerContent;
use super::connection::Connection;
use super::connection_fields::{is_no_answer, state_length};
use super::exchange::Exchange;
use super::pacing::{is_unlimited, limit_of, rate_filter, upload_limit_of};
use super::redirect;
use super::refusals::{ambiguous, last, later, refused};
use super::request_rules;
use super::response::ResponseBody;
use super::small_file::ReadWhole;
use super::spread::Spread;
use super::tunnel;
use super::uploading;
use crate::brigade::MAX_PIECE;
use crate::budget::Gate;
use crate::filter::Chain;
use crate::http::answer;
use crate::http::body::RequestBody;
use crate::http::classes::Class;
use crate::http::content::Content;
use crate::http::error_pages::OwnAnswer;
use crate::http::interim::Interim;
use crate::http::proxy::Tunnel;
use crate::http::request_path::RequestPath;
use crate::http::route::{Route, RouteSource, RulesMet, Stage};
use crate::http::routing::Found;
use crate::http::source::{self, Client, Paths, Visitor};
use crate::http1::Refused;
use crate::limit::Limit;
use crate::rt::Turn;
use crate::sink::{Charge, HeldAs};

/// The answer to requests while the server sheds load.
pub(super) const SHED: &str =
    "The server holds all the bytes for its clients that it may hold. Try again in some seconds.";

/// The response to a request.
#[allow(clippy::large_enum_variant, reason = "it is taken apart at once, and a box would cost an allocation")]
pub(super) enum Responding<S> {
    /// It needs no waiting.
    Ready(Response<ResponseBody>),
    /// It is a small file, read whole.
    Small(S),
    /// Its source is asked.
    Asking(Asking),
}

/// The response of a source, being prepared.
pub(super) type Asking = Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>>;

/// Answers one request. `interim`: over HTTP/2, where its source puts interim responses; `arrived`: the present turn, if the
/// request began to arrive before it.
pub(super) fn respond<S: ReadWhole>(
    connection: Arc<Connection>,
    mut request: Request<RequestBody>,
    interim: Option<Interim>,
    arrived: Option<Turn>,
) -> Responding<S> {
    let server = Arc::clone(&connection.server);
    let setup = server.setup();
    let settings = &setup.settings;
    let path = RequestPath::new(request.uri().path());
    let mut requester = connection.requester(&setup, &request, &path);
    let admitted = requester.admit(&server, &connection.charges.proxied, settings.client_connections);
    let exchange = Exchange::begin(Arc::clone(&connection), &request, requester, setup.logs());
    let charge = charge_for_head(&connection, request.headers());
    let response = if let Some(refusal) = connection.refused {
        last(refused(refusal))
    } else if let Err(breach) = request_rules::check(&request) {
        last(answer::plain(breach.status, breach.text))
    } else if let Err(refusal) = admitted {
        refused(refusal)
    } else if server.sheds(exchange.addr().ip(), settings.max_held()) {
        later(StatusCode::SERVICE_UNAVAILABLE, SHED)
    } else if let Some(port) = connection.ends.redirect {
        redirect::to_https(&request, port)
    } else if let Some(route) = server.sole_route() {
        return routed((exchange, RulesMet::default()), route, 0, request, (interim, charge, arrived));
    } else {
        match setup.routes.find(&path, request.uri(), request.headers()) {
            Found::Route(route, target) => match rules_met(&exchange, &route, &request, &path) {
                Some(met) => {
                    // The exchange keeps its route, not all that a reload replaces.
                    drop(setup);
                    if let Some(uri) = target.rewritten {
                        *request.uri_mut() = uri;
                    }
                    return routed((exchange, met), route, target.rest, request, (interim, charge, arrived));
                }
                None => ambiguous("path with other limits"),
            },
            Found::MissingSlash(route, uri) => with_fields(&route, answer::add_slash(request.method(), &uri)),
            Found::Nothing => answer::plain(StatusCode::NOT_FOUND, "No route leads here."),
            Found::Misdirected => answer::plain(
                StatusCode::MISDIRECTED_REQUEST,
                "This server has nothing for the host that you name.",
            ),
            Found::Ambiguous => ambiguous("path of another route"),
            Found::AboveRoot => {
                let text = "The path leads above its root: it has more \"..\" than names before them.";
                answer::plain(StatusCode::BAD_REQUEST, text)
            }
            Found::NoPath => request_rules::without_path(request.method(), request.uri()),
        }
    };
    Responding::Ready(unfiltered(exchange, response))
}

/// The rules that a request meets; `None` if it met others, or its client were in another class, where the source reads its
/// path otherwise.
fn rules_met(
    exchange: &Exchange,
    route: &Route,
    request: &Request<RequestBody>,
    path: &RequestPath<'_>,
) -> Option<RulesMet> {
    let reads_otherwise = route.paths() != Paths::Normal;
    if reads_otherwise && exchange.transfer().requester.is_ambiguous {
        return None;
    }
    let class = exchange.class().map(Class::name);
    let head = (request.method(), request.headers());
    let met = |path| route.rules_asked(head, (path, request.uri().query()), class);
    // The path of a request that has a route has a normal form.
    let normal = met(path.normal()?);
    let differs =
        reads_otherwise && path.others().any(|other| other.is_none_or(|other| met(other) != normal));
    (!differs).then_some(normal)
}

/// Charges the connection for a large head, until there is an answer.
fn charge_for_head(connection: &Connection, fields: &HeaderMap) -> Option<Charge> {
    const LARGE: usize = 4096;
    let bytes: usize = fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    (bytes > LARGE).then(|| {
        let mut charge = Charge::new(&connection.sink, HeldAs::Request);
        charge.set(bytes as u64);
        charge
    })
}

/// Answers what is not a valid request.
pub(super) fn refuse(connection: Arc<Connection>, refused: Refused) -> Response<ResponseBody> {
    let server = Arc::clone(&connection.server);
    let setup = server.setup();
    // Shown in the log if no request line could be read.
    let mut request = Request::new(RequestBody::empty());
    let unread = || (Method::from_bytes(b"-").unwrap_or_default(), Uri::from_static("-"), Version::HTTP_11);
    let (method, uri, version) = refused.line.map_or_else(unread, |line| *line);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.version_mut() = version;
    let path = RequestPath::new(request.uri().path());
    let requester = connection.requester(&setup, &request, &path);
    let exchange = Exchange::begin(connection, &request, requester, setup.logs());
    unfiltered(exchange, last(answer::plain(refused.status, refused.text)))
}

/// Changes the fields of an answer for a route that its source did not give.
fn with_fields(route: &Route, mut response: Response<Content>) -> Response<Content> {
    route.fields.apply(response.headers_mut());
    response
}

/// Sends an answer that belongs to no route, without filters.
fn unfiltered(exchange: Exchange, response: Response<Content>) -> Response<ResponseBody> {
    let (mut head, content) = response.into_parts();
    exchange.answered(&mut head, None, false);
    let [clients, _] = exchange.budgets();
    let gate = Gate::of_client(None, clients, exchange.client(), Default::default());
    let content = content_of(content, Chain::new(), gate, &exchange);
    Response::from_parts(head, ResponseBody::new(content.map(Box::new), exchange))
}

/// Sends an answer in the place of a route's source: with the route's page and fields, without filters.
fn own(exchange: Exchange, route: Arc<Route>, mut response: Response<Content>) -> Asking {
    response.extensions_mut().insert(OwnAnswer);
    Box::pin(async move {
        let response = match route.pages_for(&response) {
            Some(pages) => Box::pin(pages.apply(response, |page| !exchange.may_not_hold(page))).await,
            None => response,
        };
        unfiltered(exchange, with_fields(&route, response))
    })
}

/// Answers from the cache of files, or asks the route's source. `rest` is the offset in the path behind the route's
/// prefix.
fn routed<S: ReadWhole>(
    (exchange, met): (Exchange, RulesMet),
    route: Arc<Route>,
    rest: usize,
    request: Request<RequestBody>,
    (interim, charge, arrived): (Option<Interim>, Option<Charge>, Option<Turn>),
) -> Responding<S> {
    exchange.routed(route.number);
    let (mut head, body) = request.into_parts();
    // Before any of it is read, or asked for by 100 Continue.
    let body = match uploading::admit(body, &route, met.up, &exchange) {
        Ok(body) => body,
        Err(refusal) => return Responding::Asking(own(exchange, route, refusal)),
    };
    // The filters decide by what the client asked for; the source sees what they leave of it.
    let asked = route.has_named_filters().then(|| head_of(&head));
    for stage in &route.stages {
        if let Stage::Named(_, factory) = stage {
            factory.prepare(&mut head);
        }
    }
    if let RouteSource::Files(files) = &route.source {
        let uri = asked.as_ref().map_or(&head.uri, |asked| &asked.uri);
        if let Some(cached) = files.cached(&head.method, &uri.path()[rest..], arrived) {
            let exchange = match S::read(exchange, &route, (&head, met), &cached) {
                Ok(small) => return Responding::Small(small),
                Err(exchange) => exchange,
            };
            let response = cached.respond(&head);
            let response = match route.pages_for(&response) {
                Some(pages) => pages.apply_last(response, |page| !exchange.may_not_hold(page)),
                None => response,
            };
            return match answered(exchange, &route, (asked, met), response) {
                Ok(response) => Responding::Ready(response),
                Err((exchange, instead)) => Responding::Asking(own(exchange, route, instead)),
            };
        }
    }
    if route.takes_interim() {
        let is_http11 = exchange.version() == Version::HTTP_11;
        let of_http1 = || is_http11.then(|| exchange.connection().exchanges.offer_interim());
        if let Some(interim) = interim.or_else(of_http1) {
            head.extensions.insert(interim);
        }
    }
    Responding::Asking(Box::pin(async move {
        let uri = asked.as_ref().map_or(&head.uri, |asked| &asked.uri).clone();
        let client = exchange.connection().client(&exchange.addr());
        let response = ask((&exchange, &client), &route, &uri.path()[rest..], head, body).await;
        drop(charge);
        if let Some(refusal) = uploading::refusal(&exchange) {
            return own(exchange, route, refusal).await;
        }
        let response = match route.pages_for(&response) {
            Some(pages) => Box::pin(pages.apply(response, |page| !exchange.may_not_hold(page))).await,
            None => response,
        };
        match answered(exchange, &route, (asked, met), response) {
            Ok(response) => response,
            Err((exchange, instead)) => own(exchange, route, instead).await,
        }
    }))
}

/// Asks the source of a route. The request moves into the source's future, and has a place in no other.
fn ask<'a>(
    (exchange, client): (&'a Exchange, &'a Client),
    route: &'a Route,
    rest: &'a str,
    head: request::Parts,
    body: RequestBody,
) -> source::Answer<'a> {
    match &route.source {
        RouteSource::Files(files) => Box::pin(async move { files.respond(&head, rest).await }),
        RouteSource::Other(source) => {
            let connection = exchange.connection();
            let (sink, slot) = (&connection.sink, connection.slot.as_ref());
            let asked = exchange.transfer().asked();
            let visitor = Visitor { client, key: exchange.client(), sink, asked, slot };
            source.respond(Request::from_parts(head, body), rest, visitor)
        }
    }
}

/// Sends the answer of a route's source. `asked` is the client's request, if a filter reads it, and `met` the rules that it met.
///
/// # Errors
/// What is answered instead, where it cannot be sent.
#[allow(clippy::result_large_err, reason = "it is taken apart at once, and a box would cost an allocation")]
fn answered(
    mut exchange: Exchange,
    route: &Route,
    (mut asked, met): (Option<request::Parts>, RulesMet),
    response: Response<Content>,
) -> Result<Response<ResponseBody>, (Exchange, Response<Content>)> {
    if is_no_answer(response.status(), exchange.version()) {
        log::error!(status = response.status().as_u16(); "a source answered with an interim status");
        let text = "The source of this address gave no answer.";
        return Err((exchange, answer::plain(StatusCode::INTERNAL_SERVER_ERROR, text)));
    }
    if exchange.may_not_hold(response.body()) {
        let text = "This connection's streams hold all the bytes they may. Try again when they have gone.";
        return Err((exchange, later(StatusCode::SERVICE_UNAVAILABLE, text)));
    }
    // Not before the source was asked: meanwhile other streams of the connection get theirs.
    if let Some(asked) = &mut asked
        && !exchange.reserve_coder()
    {
        // Without it nothing is coded (RFC 9110 section 12.5.3), which is never wrong.
        asked.headers.remove(ACCEPT_ENCODING);
    }
    Ok(filtered(exchange, route, (asked.as_ref(), met), response))
}

/// Sends the answer of a route's source through the route's filters. `asked` is the client's request, if one of them
/// reads it.
fn filtered(
    mut exchange: Exchange,
    route: &Route,
    (asked, met): (Option<&request::Parts>, RulesMet),
    response: Response<Content>,
) -> Response<ResponseBody> {
    let (mut head, content) = response.into_parts();
    state_length(&mut head.headers, &content);
    route.fields.apply(&mut head.headers);
    let chosen = limit_of(route, met.down, &mut head, &exchange);
    let limit = chosen.limit.clone();
    let at_once = leaves_at_once(route, &limit, &content, &exchange);
    let (mut chain, mut names) = (Chain::new(), Vec::new());
    for stage in route.stages.iter().filter(|_| !at_once) {
        let filter = match (stage, asked) {
            (Stage::Named(_, factory), Some(asked)) => factory.attach(asked, &mut head),
            (Stage::Named(..), None) => None,
            (Stage::Pace(pacing), _) => Some(rate_filter(pacing, &pacing.limit, &exchange)),
            (Stage::RoutePace, _) => Some(rate_filter(&route.pacing, &limit, &exchange)),
        };
        if let Some(filter) = filter {
            names.extend(stage.name());
            exchange.attached(&*filter);
            chain = chain.then_boxed(filter);
        }
    }
    exchange.attached_all();
    if !names.is_empty() {
        exchange.transfer().filtered(names);
    }
    exchange.answered(&mut head, Some(chosen), !route.has_other_paces());
    let [clients, _] = exchange.budgets();
    let gate = route.gate(clients, exchange.client());
    if let Some(tunnel) = head.extensions.remove::<Tunnel>() {
        // The filters are for content, and a tunnel has none. Its pace is the route's.
        let downstream = Chain::new().then_boxed(rate_filter(&route.pacing, &limit, &exchange));
        let up = upload_limit_of(route, met.up, &exchange);
        let way = uploading::way(route, &up.limit, &exchange);
        crate::rt::spawn(tunnel::relayed(tunnel, (downstream, gate), (way, up), exchange.tunnel()));
        return Response::from_parts(head, ResponseBody::new(None, exchange));
    }
    // Over HTTP/2 an answer may wait for long before its content is asked for.
    let whole = match &content {
        Content::Buckets(whole) if exchange.is_multiplexed() => whole.bytes_in_memory(),
        _ => 0,
    };
    let content = uploading::guarded(content, &exchange);
    let mut content = content_of(content, chain, gate, &exchange);
    if let Some(content) = &mut content {
        content.charge_whole(whole, exchange.connection());
    }
    let body = ResponseBody::new(content.map(Box::new), exchange).spread(Spread::of(route, limit));
    Response::from_parts(head, body)
}

/// Whether content passes its chain in one step, whatever is set later: it is one piece at most, nothing limits it now,
/// and HTTP/1 asks for it at once. Then it needs no filters.
fn leaves_at_once(route: &Route, limit: &Limit, content: &Content, exchange: &Exchange) -> bool {
    !exchange.is_multiplexed()
        && matches!(content, Content::Buckets(whole) if whole.bytes() <= MAX_PIECE)
        && is_unlimited(route, limit, exchange)
}

/// The content that is sent; `None` if the answer has none.
fn content_of(content: Content, chain: Chain, gate: Gate, exchange: &Exchange) -> Option<AnswerContent> {
    match content {
        Content::Empty => None,
        _ if exchange.is_without_content() => None,
        content => {
            let clock = Arc::clone(&exchange.connection().server.clock);
            Some(AnswerContent::new(content, chain, gate, clock))
        }
    }
}

/// Copies a request's head without its extensions.
fn head_of(head: &request::Parts) -> request::Parts {
    let mut copy = Request::new(());
    *copy.method_mut() = head.method.clone();
    *copy.uri_mut() = head.uri.clone();
    *copy.version_mut() = head.version;
    *copy.headers_mut() = head.headers.clone();
    copy.into_parts().0
}
