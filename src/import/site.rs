//! What comes out of an import: listeners, routes and their settings, as TOML.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use toml::Value;

use super::closed::{Closed, Server};
use super::{At, Notes};

/// Keys with their values, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings(BTreeMap<&'static str, Value>);

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
}

impl Source {
    /// Whether a route of this source has `key`.
    fn has(&self, key: &str) -> bool {
        match key {
            "index" | "list" => matches!(self, Self::Files(_)),
            "redirect_status" => matches!(self, Self::Redirect(_)),
            "rate" | "burst" => !matches!(self, Self::Redirect(_)),
            _ => matches!(self, Self::Proxy(_)),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Route {
    /// Empty for all that no other route names.
    pub(super) hosts: Vec<String>,
    pub(super) path: String,
    pub(super) source: Source,
    pub(super) settings: Settings,
    /// The server that it is of.
    pub(super) server: usize,
    /// Whether no pattern comes before it.
    pub(super) is_before_patterns: bool,
    pub(super) at: At,
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

    /// The configuration, imported from the file `name`. What two of its parts claim is the first one's.
    pub(super) fn toml(mut self, name: &str, notes: &mut Notes) -> String {
        let name = name.replace(char::is_control, " ");
        let mut text = format!("# Imported from {name}. `sluicegate check` explains it.\n\n");
        self.close(notes);
        self.leave_out_private(notes);
        self.settle_listeners(notes);
        self.choose_default(notes);
        self.settle_routes(notes);
        self.tell_of_wider(notes);
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
            let (cert, key): (Vec<Value>, Vec<Value>) =
                self.certificates.iter().map(|(cert, key)| (cert.clone().into(), key.clone().into())).unzip();
            text.push_str("\n[tls.imported]\n");
            let _ = writeln!(text, "cert = {}\nkey = {}", Value::Array(cert), Value::Array(key));
        }
        for route in &self.routes {
            let at = route.at.to_string().replace(char::is_control, " ");
            let _ = writeln!(text, "\n# {at}\n[[route]]");
            if !route.hosts.is_empty() {
                let _ = writeln!(text, "host = {}", texts(&route.hosts));
            }
            let _ = writeln!(text, "path = {}", Value::from(route.path.as_str()));
            let _ = match &route.source {
                Source::Files(folder) => writeln!(text, "files = {}", Value::from(folder.as_str())),
                Source::Redirect(to) => writeln!(text, "redirect = {}", Value::from(to.as_str())),
                Source::Proxy(urls) => writeln!(text, "proxy = {}", texts(urls)),
            };
            let has_rate = route.settings.get("rate").is_some();
            keys(
                &mut text,
                route
                    .settings
                    .0
                    .iter()
                    .filter(|(key, _)| route.source.has(key) && (**key != "burst" || has_rate)),
            );
        }
        text
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

    /// One route per host and path.
    fn settle_routes(&mut self, notes: &mut Notes) {
        let mut taken = BTreeSet::new();
        self.routes.retain_mut(|route| {
            let is_for_all = route.hosts.is_empty();
            let mut seen = BTreeSet::new();
            route.hosts.retain(|host| {
                let host = host.to_lowercase();
                !taken.contains(&(host.clone(), route.path.clone())) && seen.insert(host)
            });
            let is_new = match is_for_all {
                true => taken.insert((String::new(), route.path.clone())),
                false => !route.hosts.is_empty(),
            };
            taken.extend(route.hosts.iter().map(|host| (host.to_lowercase(), route.path.clone())));
            if !is_new {
                let text = format!("{}: left out: its hosts have a route with this path already", route.path);
                notes.add(&route.at, text);
            }
            is_new
        });
    }
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

fn listen_plain(listen: &Listen) -> String {
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
