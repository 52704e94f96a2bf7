//! Limits: each has a path, one representation, and the same methods.

use std::sync::Arc;
use std::time::SystemTime;

use http::{Method, Response, StatusCode};
use serde::Serialize;

use super::change::Change;
use super::name::{Name, Part};
use super::rules::{self, RuleReport};
use crate::budget::{ClientKey, Clients, Node};
use crate::http::Class;
use crate::http::answer;
use crate::http::api::{Problem, json};
use crate::http::budgets::Budgets;
use crate::http::content::Content;
use crate::http::peer::PeerAddr;
use crate::http::route::Route;
use crate::http::server::Handle;
use crate::limit::{Budget, Limit, Passed, Rate, RateOrOff, Rates};

/// The representation of a limit.
#[derive(Serialize)]
pub(super) struct LimitReport {
    href: String,
    /// What it limits, by the names of `held_by`.
    kind: &'static str,
    route: Option<String>,
    /// Of a class of clients: its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    client: Option<String>,
    /// For a client: whether this limit is its own.
    own: Option<bool>,
    rate: Option<u64>,
    /// If several hold one after another, each as in a configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    rates: Option<Vec<String>>,
    /// Of responses of a route that has some: its rules, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<RuleReport>,
    /// When a rule begins or ends to hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_change: Option<String>,
    burst: u64,
    weight: Option<u16>,
    report_only: bool,
    bytes: Option<u64>,
    waits: Option<u64>,
    over: u64,
}

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
    if text == "local" {
        return Ok(ClientKey::Local);
    }
    let address = text.strip_suffix("/64").filter(|text| text.contains(':')).unwrap_or(text);
    if let Ok(ip) = address.parse() {
        return Ok(ClientKey::address(ip));
    }
    if let Some(key) = text.strip_prefix("cert-").and_then(ClientKey::certificate) {
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
                      sockets, the key-… or cert-… of a client that was seen recently, or cert- with the 64 hex \
                      digits of a certificate's SHA-256.";
        Problem::new(StatusCode::NOT_FOUND, detail)
    })
}

/// All limits except those of single clients.
pub(super) fn list(server: &Handle) -> Response<Content> {
    let mut limits: Vec<LimitReport> =
        [Name::Server, Name::Client, Name::Connection].iter().filter_map(|name| told(server, name)).collect();
    let (routes, now) = (crate::admin::routes(server), server.calendar());
    let of_routes = |parts: [Part; 3]| {
        routes.iter().flat_map(move |route| {
            let name = |part| Name::Route(route.name().to_owned(), part);
            parts.map(|part| {
                let told = Live::of_route(route, part).told(&name(part));
                if part == Part::Response { with_rules(told, route, now) } else { told }
            })
        })
    };
    limits.extend(of_routes(Part::OF_RESPONSES));
    limits.extend(of_classes(server));
    limits.extend([Name::UploadServer, Name::UploadClient].iter().filter_map(|name| told(server, name)));
    limits.extend(of_routes(Part::OF_UPLOADS));
    json(StatusCode::OK, &List { client_key: server.budgets().key().to_string(), limits })
}

/// The limits of all classes, in order.
fn of_classes(server: &Handle) -> Vec<LimitReport> {
    let classes = server.budgets().classes();
    let names = classes.iter().flat_map(|class| {
        Part::OF_CLASS.map(|part| (Live::of_class(class, part), Name::Class(class.name().to_owned(), part)))
    });
    names.filter_map(|(live, name)| Some(live?.told(&name))).collect()
}

/// The nodes of clients, those of classes too: a client has a limit of its own in whichever class it is.
fn all_clients(budgets: &Budgets, of_uploads: bool) -> Vec<Clients> {
    let all = if of_uploads { budgets.uploads() } else { budgets.clients() };
    let of_class =
        |class: &Arc<Class>| if of_uploads { class.uploads().clone() } else { class.clients().clone() };
    std::iter::once(all.clone()).chain(budgets.classes().iter().map(of_class)).collect()
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
    let limits = own.into_iter().filter_map(|(_, key)| told(server, &name(key))).collect();
    json(StatusCode::OK, &Page { limits, next })
}

pub(super) fn one(server: &Handle, name: &Name) -> Result<Response<Content>, Problem> {
    told(server, name).map(|told| json(StatusCode::OK, &told)).ok_or_else(|| none_of(name))
}

/// Changes a limit, also for streams under way.
pub(super) fn change(
    server: &Handle,
    name: &Name,
    method: &Method,
    change: Change,
    by: &PeerAddr,
) -> Result<Response<Content>, Problem> {
    let live = Live::find(server, name).ok_or_else(|| none_of(name))?;
    let rates = live.rates().filter(|_| !change.sets_rate());
    let whole = if method == Method::PUT { Some(change.replaces()?) } else { None };
    live.set(|old| whole.unwrap_or_else(|| change.changes(old)))?;
    let new = live.budget();
    if let (Live::Limit(limit), Some(rates)) = (&live, rates) {
        limit.set_rates(rates);
    }
    // Where no rule holds the route's own limit does.
    server.apply_rules();
    log::info!(
        limit:% = name, rate:% = RateOrOff(new.rate), burst = new.burst, weight = new.weight.get(),
        report_only = new.report_only, by:% = by;
        "limit changed over the admin API"
    );
    one(server, name)
}

/// Removes a client's own limit: the limit of all clients applies again.
pub(super) fn remove(server: &Handle, name: &Name) -> Response<Content> {
    if let Some(Live::Own(clients, key)) = Live::find(server, name) {
        for clients in clients {
            // Only a new one can be one too many.
            let _ = clients.set_override(&key, None);
        }
    }
    answer::empty(StatusCode::NO_CONTENT)
}

/// There is no such route or class.
fn none_of(name: &Name) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        match name {
            Name::Class(..) => "No class of clients has this name; /v1/limits tells those there are.",
            _ => "No route has this path; /v1/limits tells those there are.",
        },
    )
}

fn told(server: &Handle, name: &Name) -> Option<LimitReport> {
    let told = Live::find(server, name)?.told(name);
    let Name::Route(path, Part::Response) = name else { return Some(told) };
    let route = server.routes().into_iter().find(|route| route.name() == path)?;
    Some(with_rules(told, &route, server.calendar()))
}

/// Adds the rules of `route`, and which of them hold.
fn with_rules(told: LimitReport, route: &Route, now: SystemTime) -> LimitReport {
    LimitReport { rules: rules::of(route, now), next_change: rules::next_change(route, now), ..told }
}

/// The limit of the client `key` among `clients`: its own, or that of each.
fn own(clients: &Clients, key: &ClientKey) -> Budget {
    clients.lookup(key).0.unwrap_or_else(|| clients.budget())
}

/// A limit in force.
enum Live {
    Node(Node),
    Clients(Clients),
    /// Of one client, among those without a class, which come first, and in each class.
    Own(Vec<Clients>, ClientKey),
    Limit(Limit),
}

impl Live {
    fn find(server: &Handle, name: &Name) -> Option<Self> {
        let budgets = server.budgets();
        Some(match name {
            Name::Server => Self::Node(budgets.server().clone()),
            Name::Client => Self::Clients(budgets.clients().clone()),
            Name::Connection => Self::Limit(budgets.connection().clone()),
            Name::Own(key) => Self::Own(all_clients(budgets, false), key.clone()),
            Name::UploadServer => Self::Node(budgets.uploads().parent().clone()),
            Name::UploadClient => Self::Clients(budgets.uploads().clone()),
            Name::UploadOwn(key) => Self::Own(all_clients(budgets, true), key.clone()),
            Name::Class(name, part) => Self::of_class(&*budgets.class(name)?, *part)?,
            Name::Route(path, part) => {
                let route = server.routes().into_iter().find(|route| route.name() == path)?;
                Self::of_route(&route, *part)
            }
        })
    }

    fn of_class(class: &Class, part: Part) -> Option<Self> {
        Some(match part {
            Part::Total => Self::Node(class.clients().parent().clone()),
            Part::Client => Self::Clients(class.clients().clone()),
            Part::UploadTotal => Self::Node(class.uploads().parent().clone()),
            Part::UploadClient => Self::Clients(class.uploads().clone()),
            Part::Response | Part::Upload => return None,
        })
    }

    fn of_route(route: &Route, part: Part) -> Self {
        match part {
            Part::Response => Self::Limit(route.limit().clone()),
            Part::Total => Self::Node(route.clients().parent().clone()),
            Part::Client => Self::Clients(route.clients().clone()),
            Part::Upload => Self::Limit(route.upload_limit().clone()),
            Part::UploadTotal => Self::Node(route.upload_clients().parent().clone()),
            Part::UploadClient => Self::Clients(route.upload_clients().clone()),
        }
    }

    fn budget(&self) -> Budget {
        match self {
            Self::Node(node) => node.budget(),
            Self::Clients(clients) => clients.budget(),
            Self::Own(clients, key) => own(&clients[0], key),
            Self::Limit(limit) => limit.budget(),
        }
    }

    /// The rates of each stream, if several hold one after another.
    fn rates(&self) -> Option<Rates> {
        match self {
            Self::Limit(limit) => Some(limit.rates()).filter(|rates| !rates.is_single()),
            _ => None,
        }
    }

    /// Sets what `change` makes of the limit; of a client in each class what it makes of the one that it has there.
    fn set(&self, change: impl Fn(Budget) -> Budget) -> Result<(), Problem> {
        match self {
            Self::Node(node) => node.set(change(node.budget())),
            Self::Clients(clients) => clients.set(change(clients.budget())),
            Self::Own(clients, key) => {
                let set = |clients: &Clients| clients.set_override(key, Some(change(own(clients, key))));
                clients.iter().try_for_each(set).map_err(|_| {
                    let most = Clients::MAX_OVERRIDES;
                    let detail = format!("The limit of {most} clients with limits of their own is reached.");
                    Problem::new(StatusCode::CONFLICT, detail)
                })?;
            }
            Self::Limit(limit) => limit.set(change(limit.budget())),
        }
        Ok(())
    }

    fn told(&self, name: &Name) -> LimitReport {
        let (passed, over) = match self {
            Self::Node(node) => (Some(node.passed()), 0),
            Self::Clients(clients) => (Some(clients.parent().passed_below()), 0),
            Self::Own(clients, key) => (Some(passed_by(clients, key)), 0),
            Self::Limit(limit) => (None, limit.over()),
        };
        let budget = self.budget();
        LimitReport {
            href: name.to_string(),
            kind: name.kind(),
            route: if let Name::Route(path, _) = name { Some(path.clone()) } else { None },
            class: if let Name::Class(name, _) = name { Some(name.clone()) } else { None },
            client: if let Name::Own(key) | Name::UploadOwn(key) = name {
                Some(key.to_string())
            } else {
                None
            },
            own: match self {
                Self::Own(clients, key) => Some(clients[0].lookup(key).0.is_some()),
                _ => None,
            },
            rate: budget.rate.map(Rate::bytes_per_second),
            rates: self.rates().map(|rates| rates.texts()),
            rules: Vec::new(),
            next_change: None,
            burst: budget.burst,
            weight: name.is_weighted().then_some(budget.weight.get()),
            report_only: budget.report_only,
            bytes: passed.map(|passed| passed.bytes),
            waits: passed.map(|passed| passed.waits),
            over: passed.map_or(over, |passed| passed.over),
        }
    }
}

/// What passed the nodes of a client, wherever it has one.
fn passed_by(clients: &[Clients], key: &ClientKey) -> Passed {
    clients.iter().filter_map(|clients| clients.lookup(key).1).fold(Passed::default(), |sum, passed| Passed {
        bytes: sum.bytes + passed.bytes,
        waits: sum.waits + passed.waits,
        over: sum.over + passed.over,
    })
}
