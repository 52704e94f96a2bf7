//! The servers of a configuration: at which addresses and by which names each was reached. Here every listener answers for
//! every route.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use sluicegate::http::HostPattern;

use super::closed::covers;
use super::site::{Listen, Route, Site, Source};
use super::{At, Notes};

/// Listeners that are kept beside one another: more are no server.
const MAX_LISTENERS: usize = 1000;

/// A server or virtual host, as it was.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) at: At,
    /// The hosts that it was for, in lower case.
    pub(super) names: Vec<String>,
    pub(super) addresses: Vec<String>,
    /// The addresses at which it was for the hosts that no other names.
    pub(super) default_at: Vec<String>,
    /// Whether it says so itself.
    pub(super) says_default: bool,
    /// Whether it sends everyone to https.
    pub(super) leads_to_https: bool,
    pub(super) is_left_out: bool,
    /// Whether it is for all hosts that no other names, here.
    pub(super) is_for_all: bool,
    /// Whether its names are needed though it is for all, since another's wildcard stands for one of them.
    pub(super) needs_names: bool,
}

/// The servers that are kept beside one another: one of each set of addresses, and the listeners of all, by their numbers.
struct Kept {
    servers: Vec<usize>,
    at: BTreeSet<Vec<String>>,
    listens: Vec<usize>,
    /// The addresses with TLS.
    secure: BTreeSet<String>,
    /// The first listener of each address.
    by_address: BTreeMap<String, usize>,
}

impl Kept {
    fn new(listens: &[Listen]) -> Self {
        let secure = listens.iter().filter(|listen| listen.is_tls);
        let secure = secure.map(|listen| listen.address.clone()).collect();
        let mut by_address = BTreeMap::new();
        for (nth, listen) in listens.iter().enumerate() {
            by_address.entry(listen.address.clone()).or_insert(nth);
        }
        Self { servers: Vec::new(), at: BTreeSet::new(), listens: Vec::new(), secure, by_address }
    }

    /// The listeners of `addresses` that none of these has.
    fn new_listens(&self, addresses: &[String]) -> Vec<usize> {
        let found = addresses.iter().filter_map(|address| self.by_address.get(address).copied());
        found.filter(|listen| !self.listens.contains(listen)).collect()
    }

    fn take(&mut self, nth: usize, addresses: &[String]) {
        if self.at.insert(addresses.to_vec()) {
            self.servers.push(nth);
            self.listens.extend(self.new_listens(addresses));
        }
    }
}

impl Server {
    pub(super) fn new(at: &At, names: Vec<String>, addresses: Vec<String>) -> Self {
        let mut taken = BTreeSet::new();
        let names = names.into_iter().map(|name| name.to_lowercase());
        Self {
            at: at.clone(),
            names: names.filter(|name| taken.insert(name.clone())).collect(),
            addresses,
            default_at: Vec::new(),
            says_default: false,
            leads_to_https: false,
            is_left_out: false,
            is_for_all: false,
            needs_names: false,
        }
    }

    /// How far it was reached.
    fn reach(&self) -> u8 {
        self.addresses.iter().map(|address| reach(address)).max().unwrap_or_default()
    }
}

impl Site {
    pub(super) fn serves(&self, server: usize) -> bool {
        !self.servers[server].is_left_out && self.routes.iter().any(|route| route.server == server)
    }

    /// Gives each server that has no route one that refuses all, so that its hosts do not become another's.
    pub(super) fn refuse_empty(&mut self) {
        for nth in 0..self.servers.len() {
            let server = &self.servers[nth];
            if !server.leads_to_https && !server.is_left_out && !self.serves(nth) {
                let mut route = Route::new("/", Source::Refuse(403), nth, &server.at);
                route.why = Some("nothing of this server is taken over".to_owned());
                self.routes.push(route);
            }
        }
    }

    /// What a server that sends everyone to https has besides, such as the answers to ACME, is asked for at the server of that
    /// name with https here.
    pub(super) fn move_behind_https(&mut self, notes: &mut Notes) {
        for nth in 0..self.servers.len() {
            if !self.servers[nth].leads_to_https {
                continue;
            }
            let names = &self.servers[nth].names;
            let is_same = |server: &Server| {
                names.iter().any(|name| server.names.contains(name))
                    || names.is_empty() && server.names.is_empty()
            };
            let owner = self.servers.iter().position(|server| !server.leads_to_https && is_same(server));
            let routes: Vec<Route> = self.routes.extract_if(.., |route| route.server == nth).collect();
            let refuses = |route: &Route| matches!(route.source, Source::Refuse(_));
            let serving: Vec<String> =
                routes.iter().filter(|route| !refuses(route)).map(|route| route.path.clone()).collect();
            for mut route in routes {
                // What is closed is so within what moves only.
                if refuses(&route) && !serving.iter().any(|path| path != "/" && covers(path, &route.path)) {
                    continue;
                }
                match owner {
                    Some(owner) if route.path != "/" && !self.has_route(owner, &route.path) => {
                        let text = format!(
                            "{}: is asked for with https here, since the server sends everyone there",
                            route.path
                        );
                        notes.add(&route.at, text);
                        route.server = owner;
                        self.routes.push(route);
                    }
                    _ => notes.add(
                        &route.at,
                        format!("{}: left out: the server sends everyone to https", route.path),
                    ),
                }
            }
        }
    }

    /// Leaves out servers that would be reached by more clients, at another port or in the clear, since the listeners of
    /// another answer for them too.
    pub(super) fn leave_out_wider(&mut self, notes: &mut Notes) {
        let mut order: Vec<usize> = (0..self.servers.len()).filter(|nth| self.serves(*nth)).collect();
        order.sort_by_key(|nth| std::cmp::Reverse(self.servers[*nth].reach()));
        let mut kept = Kept::new(&self.listen);
        for nth in order {
            let server = &self.servers[nth];
            let is_much = kept.listens.len() + server.addresses.len() > MAX_LISTENERS
                && !kept.at.contains(&server.addresses);
            let wider = if is_much { Ok(()) } else { self.wider(nth, &kept) };
            let text = match wider {
                _ if server.addresses.is_empty() => "it listens at no address that is taken over".to_owned(),
                Ok(()) if is_much => format!("there are more than {MAX_LISTENERS} listeners"),
                Ok(()) => {
                    kept.take(nth, &server.addresses);
                    continue;
                }
                Err((of, listen)) => {
                    let whose = if of == nth {
                        "it".to_owned()
                    } else {
                        format!("the server at {}", self.servers[of].at)
                    };
                    let own = server.addresses.join(", ");
                    format!(
                        "it is reached at {own} only, and with it {whose} would be reached at {} too here; run it on its own",
                        listen.address
                    )
                }
            };
            notes.add(&server.at, format!("warning: this server is left out: {text}"));
            self.servers[nth].is_left_out = true;
        }
        let has_any = !kept.servers.is_empty();
        let servers = &self.servers;
        self.routes.retain(|route| !servers[route.server].is_left_out);
        let staying = servers.iter().filter(|server| !server.is_left_out);
        let used: BTreeSet<&String> = staying.flat_map(|server| &server.addresses).collect();
        self.listen.retain(|listen| !has_any || used.contains(&listen.address));
        self.redirect.retain(|listen| !has_any || used.contains(&listen.address));
    }

    /// The first server that would be reached at another's listener by more than before, if `nth` is beside those that are
    /// kept, and that listener.
    fn wider(&self, nth: usize, kept: &Kept) -> Result<(), (usize, &Listen)> {
        let own = &self.servers[nth].addresses;
        // Those at the same addresses make no difference.
        if kept.at.contains(own) {
            return Ok(());
        }
        let new = kept.new_listens(own);
        let of_kept = kept.servers.iter().flat_map(|of| new.iter().map(move |listen| (*of, *listen)));
        let of_own = kept.listens.iter().chain(&new).map(|listen| (nth, *listen));
        let all = of_kept.chain(of_own).map(|(of, listen)| (of, &self.listen[listen]));
        match all.into_iter().find(|(of, listen)| self.is_wider(*of, listen, &kept.secure)) {
            Some(found) => Err(found),
            None => Ok(()),
        }
    }

    /// Whether a server is reached at `listen` by more than before. `secure` are the addresses with TLS.
    fn is_wider(&self, server: usize, listen: &Listen, secure: &BTreeSet<String>) -> bool {
        let own = &self.servers[server].addresses;
        if own.contains(&listen.address) {
            return false;
        }
        let is_like = |address: &String| {
            reach(address) >= reach(&listen.address)
                && match listen.is_tls {
                    true => {
                        port(address) == port(&listen.address)
                            || port(address) == Some(80) && port(&listen.address) == Some(443)
                    }
                    false => port(address) == port(&listen.address) && !secure.contains(address),
                }
        };
        !own.iter().any(is_like)
    }

    /// Gives each name to one server, and chooses the one for all others.
    pub(super) fn settle_names(&mut self, does_order_count: bool, notes: &mut Notes) {
        let serving: Vec<usize> = (0..self.servers.len()).filter(|nth| self.serves(*nth)).collect();
        let mut earlier: BTreeMap<String, At> = BTreeMap::new();
        for nth in &serving {
            let at = self.servers[*nth].at.clone();
            self.servers[*nth].names.retain(|name| {
                let wildcard = || wildcards(name).find_map(|known| earlier.get(&known));
                let taken = earlier.get(name).or_else(|| wildcard().filter(|_| does_order_count));
                if let Some(by) = taken {
                    let text = format!("warning: {name}: left out here: the server at {by} is for it");
                    notes.add(&at, text);
                }
                taken.is_none()
            });
            earlier.extend(self.servers[*nth].names.iter().map(|name| (name.clone(), at.clone())));
        }
        self.choose_default(&serving, notes);
        for nth in serving {
            let server = &mut self.servers[nth];
            if !server.is_for_all && server.names.is_empty() {
                server.is_left_out = true;
                notes.add(
                    &server.at,
                    "warning: this server is left out: no host that can be named here is its own".to_owned(),
                );
            }
        }
        let servers = &self.servers;
        self.routes.retain(|route| !servers[route.server].is_left_out);
    }

    /// The one server that is for all hosts that no other names; there, it is one per address.
    fn choose_default(&mut self, serving: &[usize], notes: &mut Notes) {
        let is_kept = |address: &String| self.listen.iter().any(|listen| listen.address == *address);
        let can_be = |nth: &&usize| self.servers[**nth].default_at.iter().any(is_kept);
        let able: Vec<usize> = serving.iter().filter(can_be).copied().collect();
        let says = able.iter().find(|nth| self.servers[**nth].says_default);
        let Some(chosen) = says.or(able.first()).copied() else { return };
        for nth in able.iter().filter(|nth| **nth != chosen) {
            let server = &self.servers[*nth];
            let text = format!(
                "this server is the default of {} there; here the one at {} is for all hosts that no other names",
                server.default_at.join(", "),
                self.servers[chosen].at
            );
            notes.add(&server.at, text);
        }
        let others: BTreeSet<String> = serving
            .iter()
            .filter(|nth| **nth != chosen)
            .flat_map(|nth| self.servers[*nth].names.clone())
            .collect();
        let server = &mut self.servers[chosen];
        server.is_for_all = true;
        server.needs_names =
            server.names.iter().any(|name| wildcards(name).any(|other| others.contains(&other)));
    }

    /// Tells of servers that are answered at more addresses than there.
    pub(super) fn tell_of_wider(&self, notes: &mut Notes) {
        for nth in (0..self.servers.len()).filter(|nth| self.serves(*nth)) {
            let server = &self.servers[nth];
            let is_new = |listen: &&Listen| !server.addresses.contains(&listen.address);
            let new: Vec<&str> =
                self.listen.iter().filter(is_new).map(|listen| listen.address.as_str()).collect();
            if !new.is_empty() && !server.addresses.is_empty() {
                notes.add(&server.at, format!("this server is answered at {} too here", new.join(", ")));
            }
        }
    }
}

/// The wildcards that stand for `name`, or for all that the wildcard `name` does.
fn wildcards(name: &str) -> impl Iterator<Item = String> {
    let ends = name.match_indices('.').map(|(at, _)| &name[at..]);
    ends.map(|end| format!("*{end}")).filter(move |known| known != name)
}

/// Whether a route can be for this host.
pub(super) fn is_host(name: &str) -> bool {
    name.parse::<HostPattern>().is_ok()
}

fn port(address: &str) -> Option<u16> {
    address.parse::<SocketAddr>().ok().map(|address| address.port())
}

/// How far an address reaches: this machine, a private network, everyone.
fn reach(address: &str) -> u8 {
    let Ok(address) = address.parse::<SocketAddr>() else { return 0 };
    match address.ip() {
        ip if ip.is_loopback() => 0,
        IpAddr::V4(ip) if ip.is_private() || ip.is_link_local() => 1,
        IpAddr::V6(ip) if ip.is_unique_local() || ip.is_unicast_link_local() => 1,
        _ => 2,
    }
}
