//! Limits: each has a path, one representation, and the same methods.

use http::{Response, StatusCode};
use serde::Serialize;

use super::limit_report::LimitReport;
use super::schedules;
use crate::budget::{ClientKey, Clients};
use crate::http::api::{Problem, json};
use crate::http::content::Content;
use crate::http::peer::PeerAddr;
use crate::http::server::Handle;
use crate::live_limits::{LimitBook, LimitChange, LimitSource, Live, Name, Part, Setting, all_clients};

#[derive(Serialize)]
struct List {
    /// What identifies a client.
    client_key: String,
    limits: Vec<LimitReport>,
}

#[derive(Serialize)]
struct Page {
    limits: Vec<LimitReport>,
    next: Option<String>,
}

/// The client of a path segment: an address, `local`, the fingerprint of a known key, or the SHA-256 of a certificate.
pub(super) fn client_key(server: &Handle, text: &str) -> Result<ClientKey, Problem> {
    if let Some(key) = ClientKey::named(text) {
        return Ok(key);
    }
    let budgets = server.budgets();
    let find = || {
        let [down, up] = [false, true].map(|of_uploads| all_clients(budgets, of_uploads));
        down.into_iter().chain(up).find_map(|clients| clients.find(text))
    };
    let known = ["key-", "cert-"].iter().any(|kind| text.starts_with(kind)).then(find).flatten();
    known.ok_or_else(|| {
        let detail = "No such client: write an address (for IPv6 any in its /64), \"local\" for clients of Unix \
                      sockets, the key-… or cert-… of a client that was seen recently, or key- or cert- with the 64 \
                      hex digits of the SHA-256 of its key or certificate.";
        Problem::new(StatusCode::NOT_FOUND, detail)
    })
}

/// All limits except those of single clients.
pub(super) fn list(server: &Handle) -> Response<Content> {
    json(
        StatusCode::OK,
        &List { client_key: server.budgets().key().to_string(), limits: limit_reports(server) },
    )
}

/// Reports all limits except those of single clients.
pub(in crate::admin) fn limit_reports(server: &Handle) -> Vec<LimitReport> {
    let find = |names: &[Name]| names.iter().filter_map(|name| LimitReport::find(server, name)).collect();
    let mut limits: Vec<LimitReport> = find(&[Name::Server, Name::Client, Name::Connection]);
    let routes = crate::admin::routes(server);
    let book = LimitBook::of(server);
    let book = book.as_ref();
    let of_routes = |parts: [Part; 3]| {
        let of_route = move |route| parts.map(|part| LimitReport::of_route(server, route, part, book));
        routes.iter().flat_map(move |route| of_route(route))
    };
    limits.extend(of_routes(Part::OF_RESPONSES));
    for class in server.budgets().classes() {
        for part in Part::OF_CLASS {
            let name = Name::Class(class.name().to_owned(), part);
            limits
                .extend(Live::of_class(&class, part).map(|live| LimitReport::of(server, &live, &name, book)));
        }
    }
    limits.extend::<Vec<_>>(find(&[Name::UploadServer, Name::UploadClient]));
    limits.extend(of_routes(Part::OF_UPLOADS));
    limits
}

/// A page of the limits of single clients, or of their uploads, in the order of their names.
pub(super) fn page(server: &Handle, of_uploads: bool, after: &str, most: usize) -> Response<Content> {
    let budgets = server.budgets();
    let (clients, name): (_, fn(ClientKey) -> Name) =
        if of_uploads { (budgets.uploads(), Name::UploadOwn) } else { (budgets.clients(), Name::Own) };
    let mut own: Vec<(String, ClientKey)> = (clients.overrides().into_iter())
        .map(|(key, _)| (key.to_string(), key))
        .filter(|(shown, _)| shown.as_str() > after)
        .collect();
    own.sort_by(|(one, _), (other, _)| one.cmp(other));
    let next = (own.len() > most).then(|| own[most - 1].0.clone());
    own.truncate(most);
    let limits = own.into_iter().filter_map(|(_, key)| LimitReport::find(server, &name(key))).collect();
    json(StatusCode::OK, &Page { limits, next })
}

pub(super) fn one(server: &Handle, name: &Name) -> Result<Response<Content>, Problem> {
    LimitReport::find(server, name).map(|report| json(StatusCode::OK, &report)).ok_or_else(|| none_of(name))
}

/// Changes a limit, also for streams under way. If `only`, what the change leaves out is set by hand no more.
pub(super) fn change(
    server: &Handle,
    (name, change, only): (&Name, &LimitChange, bool),
    by: &PeerAddr,
) -> Result<(), Problem> {
    let live = Live::find(server, name).ok_or_else(|| none_of(name))?;
    let is_set = change.sets() != [false; 4];
    if only && !is_set {
        return reset(server, name, by);
    }
    let base = if only { Some(base(server, name)?) } else { None };
    let holds = match only {
        true => schedules::of_calendar(server, name).and_then(|held| held.nth),
        false => schedules::held(server, name),
    };
    if is_set {
        schedules::set_by_hand(server, name, true);
    }
    match base {
        Some(base) => live.set_only(change, base),
        None => live.change(change),
    }
    .map_err(|_| too_many())?;
    let new = live.setting();
    if let Some(book) = LimitBook::of(server).filter(|_| is_set) {
        if only {
            book.forget(name);
        }
        // The values that stay are those of the schedule.
        book.note_time(name, holds);
        book.note(name, &LimitSource::Api, change.sets());
    }
    // Where no rule holds the route's own limit does.
    server.apply_rules();
    log::info!(
        limit:% = name, rate:% = new.rates, burst = new.budget.burst, weight = new.budget.weight.get(),
        report_only = new.budget.report_only, by:% = by;
        "limit changed over the admin API"
    );
    Ok(())
}

/// Takes back what was set by hand: the limit is what the configuration says, without its overlay. One of a client is that of each
/// client again.
pub(super) fn reset(server: &Handle, name: &Name, by: &PeerAddr) -> Result<(), Problem> {
    take_back(server, name, by)?;
    server.apply_rules();
    Ok(())
}

/// What a limit is where nothing is set by hand: what the configuration says, at this time. Of a client's own there is nothing.
fn base(server: &Handle, name: &Name) -> Result<Setting, Problem> {
    if name.of_each().is_some() {
        return Ok(Setting::default());
    }
    if let Some(held) = schedules::of_calendar(server, name) {
        return Ok(held.budget.into());
    }
    let given = LimitBook::of(server).and_then(|book| book.given(name));
    given.ok_or_else(|| no_configuration("what this limit was before is not known"))
}

/// Takes back what was set by hand of one limit. Rules that hold must be applied then.
fn take_back(server: &Handle, name: &Name, by: &PeerAddr) -> Result<(), Problem> {
    let live = Live::find(server, name).ok_or_else(|| none_of(name))?;
    live.set(base(server, name)?);
    schedules::set_by_hand(server, name, false);
    if let Some(book) = LimitBook::of(server) {
        book.forget(name);
    }
    log::info!(limit:% = name, by:% = by; "limit reset over the admin API");
    Ok(())
}

/// The answer to `DELETE /v1/limits`.
#[derive(Serialize)]
pub(super) struct ResetList {
    /// The addresses of limits that had been set by hand.
    pub(super) reset: Vec<String>,
}

/// Takes back all that was set by hand. Returns the addresses of those limits.
pub(super) fn reset_all(server: &Handle, by: &PeerAddr) -> Result<Vec<String>, Problem> {
    if LimitBook::of(server).is_none() {
        return Err(no_configuration("what its limits were before is not known"));
    }
    let names = set_by_hand(server);
    let taken_back = names.iter().try_for_each(|name| take_back(server, name, by));
    if !names.is_empty() {
        server.apply_rules();
    }
    taken_back?;
    Ok(names.iter().map(Name::to_string).collect())
}

/// The limits that were set by hand.
pub(super) fn set_by_hand(server: &Handle) -> Vec<Name> {
    let budgets = server.budgets();
    let of = |clients: &Clients, name: fn(ClientKey) -> Name| {
        clients.overrides().into_iter().map(move |(key, _)| name(key)).collect::<Vec<_>>()
    };
    let mut names = LimitBook::of(server).map(|book| book.set_by_hand()).unwrap_or_default();
    names.extend(of(budgets.clients(), Name::Own));
    names.extend(of(budgets.uploads(), Name::UploadOwn));
    names
}

/// The server was not made from a configuration that is a file.
pub(super) fn no_configuration(why: &str) -> Problem {
    let detail =
        format!("This server has no configuration file: {why}. Start it with `sluicegate run FILE`.");
    Problem::new(StatusCode::CONFLICT, detail)
}

fn too_many() -> Problem {
    let most = Clients::MAX_OVERRIDES;
    let detail = format!("The limit of {most} clients with limits of their own is reached; reset one first.");
    Problem::new(StatusCode::CONFLICT, detail)
}

/// There is no such route or class.
pub(super) fn none_of(name: &Name) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        match name {
            Name::Class(..) => "No class of clients has this name; GET /v1/limits lists them.",
            _ => "No route has this path; GET /v1/limits lists them.",
        },
    )
}
