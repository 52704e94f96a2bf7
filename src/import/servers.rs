//! The servers of a configuration: at which addresses and by which names each was reached. Here every listener answers for
//! every route.

use std::net::{IpAddr, SocketAddr};

use sluicegate::http::HostPattern;

use super::closed::covers;
use super::site::{Listen, Route, Site, Source};
use super::{At, Notes};

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

impl Server {
    pub(super) fn new(at: &At, names: Vec<String>, addresses: Vec<String>) -> Self {
        Self {
            at: at.clone(),
            names: names.into_iter().map(|name| name.to_lowercase()).collect(),
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
        let mut kept: Vec<usize> = Vec::new();
        for nth in order {
            let mut with: Vec<usize> = kept.clone();
            with.push(nth);
            let all: Vec<&Listen> = self
                .listen
                .iter()
                .filter(|listen| {
                    with.iter().any(|nth| self.servers[*nth].addresses.contains(&listen.address))
                })
                .collect();
            let wider = with.iter().find_map(|of| {
                all.iter().find(|listen| self.is_wider(*of, listen)).map(|listen| (*of, *listen))
            });
            let server = &self.servers[nth];
            let text = match wider {
                _ if server.addresses.is_empty() => "it listens at no address that is taken over".to_owned(),
                None => {
                    kept.push(nth);
                    continue;
                }
                Some((of, listen)) => {
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
        let servers = &self.servers;
        self.routes.retain(|route| !servers[route.server].is_left_out);
        let is_used = |address: &String| {
            servers.iter().any(|server| !server.is_left_out && server.addresses.contains(address))
        };
        let has_any = !kept.is_empty();
        self.listen.retain(|listen| !has_any || is_used(&listen.address));
        self.redirect.retain(|listen| !has_any || is_used(&listen.address));
    }

    /// Whether a server is reached at `listen` by more than before.
    fn is_wider(&self, server: usize, listen: &Listen) -> bool {
        let own = &self.servers[server].addresses;
        if own.contains(&listen.address) {
            return false;
        }
        let is_tls =
            |address: &String| self.listen.iter().any(|listen| listen.address == *address && listen.is_tls);
        let is_like = |address: &String| {
            reach(address) >= reach(&listen.address)
                && match listen.is_tls {
                    true => {
                        port(address) == port(&listen.address)
                            || port(address) == Some(80) && port(&listen.address) == Some(443)
                    }
                    false => port(address) == port(&listen.address) && !is_tls(address),
                }
        };
        !own.iter().any(is_like)
    }

    /// Gives each name to one server, and chooses the one for all others.
    pub(super) fn settle_names(&mut self, does_order_count: bool, notes: &mut Notes) {
        let serving: Vec<usize> = (0..self.servers.len()).filter(|nth| self.serves(*nth)).collect();
        for (before, nth) in serving.iter().enumerate() {
            let earlier: Vec<(String, At)> = serving[..before]
                .iter()
                .flat_map(|nth| {
                    self.servers[*nth].names.iter().map(|name| (name.clone(), self.servers[*nth].at.clone()))
                })
                .collect();
            let at = self.servers[*nth].at.clone();
            self.servers[*nth].names.retain(|name| {
                let is_its = |known: &str| known == name || does_order_count && is_below(name, known);
                let taken = earlier.iter().find(|(known, _)| is_its(known));
                if let Some((_, by)) = taken {
                    let text = format!("warning: {name}: left out here: the server at {by} is for it");
                    notes.add(&at, text);
                }
                taken.is_none()
            });
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
        let others: Vec<String> = serving
            .iter()
            .filter(|nth| **nth != chosen)
            .flat_map(|nth| self.servers[*nth].names.clone())
            .collect();
        let server = &mut self.servers[chosen];
        server.is_for_all = true;
        server.needs_names = server.names.iter().any(|name| others.iter().any(|other| is_below(name, other)));
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

/// Whether the wildcard `known` stands for `name`, or for all that the wildcard `name` does.
fn is_below(name: &str, known: &str) -> bool {
    known.strip_prefix('*').is_some_and(|end| name != known && name.ends_with(end) && name.len() > end.len())
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
