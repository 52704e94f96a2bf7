//! What comes out of an import: listeners, routes and their settings, as TOML.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use sluicegate::config::RoutePath;
use toml::Value;

use super::closed::Closed;
use super::servers::Server;
use super::{At, Notes};

/// Keys with their values, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings(pub(super) BTreeMap<&'static str, Value>);

impl Settings {
    pub(super) fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.0.insert(key, value.into());
    }

    /// Sets it if there is a value, and returns whether there is one.
    pub(super) fn set_if(&mut self, key: &'static str, value: Option<impl Into<Value>>) -> bool {
        let is_there = value.is_some();
        if let Some(value) = value {
            self.set(key, value);
        }
        is_there
    }

    /// Takes lists of folders off, and returns whether there were any.
    pub(super) fn unlist(&mut self) -> bool {
        let has_list = self.get("list").and_then(Value::as_bool) == Some(true);
        if has_list {
            self.set("list", false);
        }
        has_list
    }

    pub(super) fn remove(&mut self, key: &'static str) {
        self.0.remove(key);
    }

    /// Sets what `other` has too.
    pub(super) fn extend(&mut self, other: &Self) {
        self.0.extend(other.0.iter().map(|(key, value)| (*key, value.clone())));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }
}

/// What a route serves.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Files(String),
    Proxy(Vec<String>),
    Redirect(String),
    /// Nothing: the status.
    Refuse(u16),
}

impl Source {
    /// Whether a route of this source has `key`.
    fn has(&self, key: &str) -> bool {
        match key {
            "index" | "list" => matches!(self, Self::Files(_)),
            "redirect_status" => matches!(self, Self::Redirect(_)),
            "rate" | "burst" => matches!(self, Self::Files(_) | Self::Proxy(_)),
            _ => matches!(self, Self::Proxy(_)),
        }
    }
}

/// A pace of files with some extensions: the extensions, and keys.
pub(super) type Rule = (Vec<String>, Settings);

#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) path: String,
    pub(super) source: Source,
    pub(super) settings: Settings,
    pub(super) rules: Vec<Rule>,
    /// The server that it is of, which has the hosts.
    pub(super) server: usize,
    /// Whether no pattern comes before it.
    pub(super) is_before_patterns: bool,
    pub(super) at: At,
    /// Why it refuses.
    pub(super) why: Option<String>,
}

impl Route {
    pub(super) fn new(path: &str, source: Source, server: usize, at: &At) -> Self {
        Self {
            path: path.to_owned(),
            source,
            settings: Settings::default(),
            rules: Vec::new(),
            server,
            is_before_patterns: false,
            at: at.clone(),
            why: None,
        }
    }

    /// Its table, for `hosts`; none for all that no other route names.
    pub(super) fn toml(&self, hosts: &[String]) -> String {
        let mut text = "[[route]]\n".to_owned();
        if !hosts.is_empty() {
            let _ = writeln!(text, "host = {}", texts(hosts));
        }
        let _ = writeln!(text, "path = {}", Value::from(self.path.as_str()));
        let _ = match &self.source {
            Source::Files(folder) => writeln!(text, "files = {}", Value::from(folder.as_str())),
            Source::Redirect(to) => writeln!(text, "redirect = {}", Value::from(to.as_str())),
            Source::Proxy(urls) => writeln!(text, "proxy = {}", texts(urls)),
            Source::Refuse(status) => writeln!(text, "refuse = {status}"),
        };
        paced(&mut text, &self.settings, |key| self.source.has(key));
        for (extensions, settings) in &self.rules {
            let _ = writeln!(text, "[[route.pace]]\nwhen = {{ extension = {} }}", texts(extensions));
            paced(&mut text, settings, |_| true);
        }
        text
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listen {
    pub(super) address: String,
    pub(super) is_tls: bool,
    pub(super) proxy_protocol: bool,
    /// The server that named it, if it is of one.
    pub(super) server: Option<usize>,
    pub(super) at: At,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Site {
    pub(super) listen: Vec<Listen>,
    /// Listeners that send everyone to https.
    pub(super) redirect: Vec<Listen>,
    /// Certificates with their keys.
    pub(super) certificates: Vec<(String, String)>,
    /// Keys of the top level.
    pub(super) top: Settings,
    /// Those that may say who their clients are, if a listener takes that from them.
    pub(super) proxies: Vec<String>,
    pub(super) routes: Vec<Route>,
    pub(super) servers: Vec<Server>,
    pub(super) closed: Vec<Closed>,
}

impl Site {
    /// Takes a certificate with its key, once.
    pub(super) fn certificate(&mut self, cert: String, key: String) {
        let pair = (cert, key);
        if !self.certificates.contains(&pair) {
            self.certificates.push(pair);
        }
    }

    /// The configuration, imported from the file `name`. What two of its parts claim is the first one's; of servers whose
    /// `does_order_count`, an earlier one's wildcard goes before a later one's name.
    pub(super) fn toml(mut self, name: &str, does_order_count: bool, notes: &mut Notes) -> String {
        self.merge_listeners();
        self.leave_out_faults(notes);
        self.close(notes);
        self.move_behind_https(notes);
        self.refuse_empty();
        self.settle_paths(notes);
        self.merge_twins(notes);
        self.leave_out_wider(notes);
        self.settle_listeners(notes);
        self.settle_names(does_order_count, notes);
        self.tell_of_wider(notes);
        self.leave_out_circles(name, notes);
        self.text(name)
    }

    pub(super) fn text(&self, name: &str) -> String {
        let name = name.replace(char::is_control, " ");
        let mut text = format!("# Imported from {name}. `sluicegate check` explains it.\n");
        if self.routes.iter().any(|route| matches!(route.source, Source::Files(_))) {
            text.push_str(
                "# Not served from folders: names that begin with a dot, but /.well-known (dot_files), and links that lead out\n\
                 # of them (follow_links).\n",
            );
        }
        text.push('\n');
        let listen: Vec<String> = self.listen.iter().map(listen).collect();
        if !listen.is_empty() {
            let _ = writeln!(text, "listen = [{}]", listen.join(", "));
        }
        let redirect: Vec<String> = self.redirect.iter().map(listen_plain).collect();
        if !redirect.is_empty() {
            let _ = writeln!(text, "http_redirect = [{}]", redirect.join(", "));
        }
        keys(&mut text, self.top.0.iter());
        if !self.certificates.is_empty() {
            let (cert, key): (Vec<_>, Vec<_>) = self.certificates.iter().cloned().unzip();
            let _ = write!(text, "\n[tls.imported]\ncert = {}\nkey = {}\n", texts(&cert), texts(&key));
        }
        if self.routes.is_empty() {
            text.push_str("\n# Nothing is taken over.\n[[route]]\npath = \"/\"\nrefuse = 403\n");
        }
        for route in &self.routes {
            let server = &self.servers[route.server];
            let at = route.at.to_string().replace(char::is_control, " ");
            let why = route
                .why
                .as_ref()
                .map_or(String::new(), |why| format!(": {}", why.replace(char::is_control, " ")));
            if !server.is_for_all || server.needs_names {
                let _ = write!(text, "\n# {at}{why}\n{}", route.toml(&server.names));
            }
            if server.is_for_all {
                let _ = write!(text, "\n# {at}{why}\n{}", route.toml(&[]));
            }
        }
        text
    }

    /// Servers of the same names that serve the same are one.
    fn merge_twins(&mut self, notes: &mut Notes) {
        let mut all = vec![Vec::new(); self.servers.len()];
        for route in &self.routes {
            all[route.server].push(route.toml(&[]));
        }
        let mut found: BTreeMap<(Vec<String>, Vec<String>), usize> = BTreeMap::new();
        for (nth, mut routes) in all.into_iter().enumerate() {
            routes.sort();
            let mut names = self.servers[nth].names.clone();
            names.sort();
            names.dedup();
            if routes.is_empty() {
                continue;
            }
            let twin = *found.entry((names, routes)).or_insert(nth);
            if twin == nth {
                continue;
            }
            let server = self.servers[nth].clone();
            notes.add(&server.at, format!("this server is the same as the one at {}", self.servers[twin].at));
            self.servers[nth].is_left_out = true;
            let first = &mut self.servers[twin];
            first.addresses.extend(server.addresses);
            first.default_at.extend(server.default_at);
            first.says_default |= server.says_default;
            for addresses in [&mut first.addresses, &mut first.default_at] {
                let mut taken = BTreeSet::new();
                addresses.retain(|address| taken.insert(address.clone()));
            }
        }
        let servers = &self.servers;
        self.routes.retain(|route| !servers[route.server].is_left_out);
    }

    /// What one server says of an address holds for all that listen there.
    fn merge_listeners(&mut self) {
        let mut all: BTreeMap<String, (bool, bool)> = BTreeMap::new();
        for listen in self.listen.iter().chain(&self.redirect) {
            let said = all.entry(listen.address.clone()).or_default();
            *said = (said.0 || listen.is_tls, said.1 || listen.proxy_protocol);
        }
        for listen in self.listen.iter_mut().chain(&mut self.redirect) {
            (listen.is_tls, listen.proxy_protocol) = all[&listen.address];
        }
        // Who speaks TLS sends nobody there.
        let (secure, plain) =
            std::mem::take(&mut self.redirect).into_iter().partition(|listen| listen.is_tls);
        self.redirect = plain;
        self.listen.extend::<Vec<Listen>>(secure);
    }

    /// One listener per address, and those of TLS only if there is a certificate.
    fn settle_listeners(&mut self, notes: &mut Notes) {
        let has_certificate = !self.certificates.is_empty();
        let mut taken = BTreeSet::new();
        self.listen.retain(|listen| {
            if listen.is_tls && !has_certificate {
                notes
                    .add(&listen.at, format!("listener {}: left out: it has no certificate", listen.address));
            }
            has_certificate || !listen.is_tls
        });
        let is_secure = self.listen.iter().any(|listen| listen.is_tls);
        if !is_secure {
            self.certificates.clear();
        }
        self.redirect.retain(|listen| {
            if !is_secure {
                let text = format!(
                    "listener {}: left out: there is no listener with TLS to lead to",
                    listen.address
                );
                notes.add(&listen.at, text);
            }
            is_secure && taken.insert(listen.address.clone())
        });
        // An address that leads to https serves nothing: it would show in the clear what is behind TLS.
        let redirects: BTreeSet<String> = std::mem::take(&mut taken);
        self.listen.retain(|listen| {
            if redirects.contains(&listen.address) {
                let text = format!(
                    "warning: listener {}: sends everyone to https here, since another server does: this one is \
                     answered with TLS only",
                    listen.address
                );
                notes.add(&listen.at, text);
                return false;
            }
            taken.insert(listen.address.clone())
        });
    }

    /// One route per server and path.
    fn settle_paths(&mut self, notes: &mut Notes) {
        let mut taken = BTreeSet::new();
        self.routes.retain(|route| {
            let is_new = taken.insert((route.server, route.path.clone()));
            if !is_new {
                notes.add(
                    &route.at,
                    format!("warning: {}: left out: a route above has this path", route.path),
                );
            }
            is_new
        });
    }
}

/// Keys, of which a burst needs a rate.
fn paced(text: &mut String, settings: &Settings, has: impl Fn(&str) -> bool) {
    let has_rate = settings.get("rate").is_some();
    keys(text, settings.0.iter().filter(|(key, _)| has(key) && (**key != "burst" || has_rate)));
}

/// Whether a route can have this path.
pub(super) fn is_route_path(path: &str) -> bool {
    path.parse::<RoutePath>().is_ok()
}

fn keys<'a>(text: &mut String, keys: impl Iterator<Item = (&'a &'static str, &'a Value)>) {
    for (key, value) in keys {
        let _ = writeln!(text, "{key} = {value}");
    }
}

/// A text, or a list of them.
fn texts(texts: &[String]) -> Value {
    match texts {
        [one] => one.as_str().into(),
        several => several.iter().map(|text| Value::from(text.as_str())).collect::<Vec<_>>().into(),
    }
}

fn listen(listen: &Listen) -> String {
    match listen.is_tls {
        true => {
            let proxy_protocol = if listen.proxy_protocol { ", proxy_protocol = true" } else { "" };
            let address = Value::from(listen.address.as_str());
            format!("{{ address = {address}, tls = \"imported\"{proxy_protocol} }}")
        }
        false => listen_plain(listen),
    }
}

pub(super) fn listen_plain(listen: &Listen) -> String {
    let address = Value::from(listen.address.as_str());
    match listen.proxy_protocol {
        true => format!("{{ address = {address}, proxy_protocol = true }}"),
        false => address.to_string(),
    }
}

/// `folder` and the path of a request below it.
pub(super) fn below(folder: &str, path: &str) -> String {
    match path.trim_matches('/') {
        "" => folder.to_owned(),
        path => format!("{}/{path}", folder.trim_end_matches('/')),
    }
}

/// A path that ends with a slash, as a folder's must.
pub(super) fn with_slash(path: &str) -> String {
    if path.ends_with('/') { path.to_owned() } else { format!("{path}/") }
}
