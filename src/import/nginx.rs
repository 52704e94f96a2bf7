//! What nginx's directives mean here.

mod settings;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use super::closed::{Closed, Server, Why};
use super::site::{Listen, Route, Settings, Site, Source, below, with_slash};
use super::syntax::Directive;
use super::{At, Notes, listening};
use values::{addresses, can_redirect, closes, duration, find_defaults, leads_to_https, says_default};

/// What holds where a directive stands, and in the blocks in it.
#[derive(Clone, Default)]
struct Scope {
    settings: Settings,
    root: Option<String>,
    /// The hosts of the server; empty for all others.
    hosts: Vec<String>,
    server: usize,
    /// The directives that close it.
    closed: BTreeMap<String, Why>,
    /// Whether no location with a pattern comes before it.
    is_before_patterns: bool,
}

impl Scope {
    fn why(&self) -> Option<Why> {
        self.closed.values().min().copied()
    }
}

/// What is named once and used elsewhere.
#[derive(Default)]
struct Names {
    /// Backends by the name of their upstream.
    upstreams: BTreeMap<String, Vec<String>>,
    /// Zones of `limit_conn` that count clients by their addresses.
    client_zones: BTreeSet<String>,
}

struct Import<'a> {
    names: Names,
    site: Site,
    notes: &'a mut Notes,
    /// The server that is for all other hosts, by address.
    defaults: BTreeMap<String, At>,
}

/// The site of a whole configuration, or of a file that it includes within `http`.
pub(super) fn site(directives: &[Directive], notes: &mut Notes) -> Site {
    let mut defaults = BTreeMap::new();
    for explicit in [true, false] {
        find_defaults(directives, explicit, &mut defaults);
    }
    let mut import = Import { names: Names::default(), site: Site::default(), notes, defaults };
    import.collect(directives);
    import.http(directives, Scope::default());
    import.site
}

impl Import<'_> {
    /// Finds upstreams and zones, which may stand behind what uses them.
    fn collect(&mut self, directives: &[Directive]) {
        for directive in directives {
            match directive.name.as_str() {
                "upstream" => self.upstream(directive),
                "limit_conn_zone" => match (directive.arg(0), directive.arg(1).strip_prefix("zone=")) {
                    ("$binary_remote_addr" | "$remote_addr", Some(zone)) => {
                        let name = zone.split(':').next().unwrap_or(zone);
                        self.names.client_zones.insert(name.to_owned());
                    }
                    _ => self.notes.left_out_since(directive, "connections are counted by client only"),
                },
                "http" => self.collect(directive.inner()),
                _ => {}
            }
        }
    }

    fn upstream(&mut self, upstream: &Directive) {
        let mut servers = Vec::new();
        for directive in upstream.inner() {
            match directive.name.as_str() {
                "server" if directive.args.iter().any(|arg| arg == "down") => {
                    self.notes.left_out_since(directive, "it is down");
                }
                "server" => {
                    servers.push(directive.arg(0).to_owned());
                    if directive.args.len() > 1 {
                        self.notes.differs(
                            directive,
                            "only the address is taken over: backends share requests evenly",
                        );
                    }
                }
                _ => self.notes.left_out(directive),
            }
        }
        self.names.upstreams.insert(upstream.arg(0).to_owned(), servers);
    }

    fn http(&mut self, directives: &[Directive], mut scope: Scope) {
        for directive in directives {
            match (directive.name.as_str(), directive.arg(0)) {
                ("upstream" | "limit_conn_zone" | "http" | "server", _) => {}
                ("keepalive_timeout", time) => self.top(directive, "idle_timeout", time),
                ("client_header_timeout", time) => self.top(directive, "header_timeout", time),
                ("client_body_timeout", time) => self.top(directive, "body_timeout", time),
                _ => self.setting(directive, &mut scope),
            }
        }
        for directive in directives {
            match directive.name.as_str() {
                "http" => self.http(directive.inner(), scope.clone()),
                "server" => self.server(directive, scope.clone()),
                _ => {}
            }
        }
    }

    fn top(&mut self, directive: &Directive, key: &'static str, time: &str) {
        match duration(time).filter(|time| !time.starts_with('0')) {
            Some(time) => self.site.top.set(key, time),
            None => self.notes.left_out(directive),
        }
    }

    fn server(&mut self, server: &Directive, mut scope: Scope) {
        let directives = server.inner();
        let (hosts, is_for_all) = self.hosts(directives);
        scope.hosts = if is_for_all { Vec::new() } else { hosts };
        scope.server = self.site.servers.len();
        let addresses = addresses(directives.iter(), false);
        self.site.servers.push(Server {
            is_default: addresses.iter().any(|address| self.defaults.get(address) == Some(&server.at)),
            says_default: directives.iter().any(says_default),
            at: server.at.clone(),
            addresses,
            is_left_out: false,
        });
        let secure = directives.iter().any(leads_to_https);
        self.listeners(server, secure);
        let all = directives.iter().find(|directive| directive.name == "return");
        for directive in directives {
            match directive.name.as_str() {
                "listen" | "server_name" | "location" | "ssl_certificate" | "ssl_certificate_key" => {}
                "return" | "if" if leads_to_https(directive) => {}
                "return" => _ = self.redirect(directive, "/", &scope),
                _ => self.setting(directive, &mut scope),
            }
        }
        // Nothing else of it is reached.
        if let Some(all) = all {
            if !leads_to_https(all) && !directives.iter().any(leads_to_https) && !can_redirect(all) {
                let server = &mut self.site.servers[scope.server];
                server.is_left_out = true;
                self.notes.differs(all, "warning: the server is left out: it answers nothing else");
            }
            return;
        }
        let locations: Vec<_> = directives.iter().filter(|directive| directive.name == "location").collect();
        let serves_root = locations.iter().any(|location| {
            matches!(&location.args[..], [path] if path == "/")
                || location.args.iter().any(|arg| arg == "^~") && location.arg(1) == "/"
        });
        for location in &locations {
            self.location(location, scope.clone());
        }
        if let Some(root) = scope.root.clone().filter(|_| !serves_root) {
            match scope.why() {
                Some(why) => self.close(server, Some("/"), why, &scope),
                None => self.route(server, "/", Source::Files(root), &scope),
            }
        }
    }

    /// The hosts of a server, and whether it is for all others too.
    fn hosts(&mut self, directives: &[Directive]) -> (Vec<String>, bool) {
        let (mut hosts, mut is_for_all) = (Vec::new(), false);
        for directive in directives.iter().filter(|directive| directive.name == "server_name") {
            for name in &directive.args {
                match name.as_str() {
                    "_" | "" => is_for_all = true,
                    name if name.starts_with('~') || name.ends_with(".*") || name.contains('$') => {
                        self.notes.left_out_since(directive, "a host is a name or *.NAME");
                    }
                    name => match name.strip_prefix('.') {
                        Some(name) => hosts.extend([name.to_owned(), format!("*.{name}")]),
                        None => hosts.push(name.to_owned()),
                    },
                }
            }
        }
        (hosts, is_for_all)
    }

    /// The listeners and the certificate of a server. `secure` if it sends everyone to https.
    fn listeners(&mut self, server: &Directive, secure: bool) {
        let nth = self.site.servers.len().checked_sub(1);
        let mut is_listening = false;
        let file = |name: &str| {
            let found = server.inner().iter().find(|directive| directive.name == name);
            found.map(|directive| directive.arg(0).to_owned()).filter(|file| !file.contains('$'))
        };
        if let (Some(cert), Some(key)) = (file("ssl_certificate"), file("ssl_certificate_key")) {
            self.site.certificate(cert, key);
        }
        for directive in server.inner().iter().filter(|directive| directive.name == "listen") {
            is_listening = true;
            let has = |word: &str| directive.args.iter().any(|arg| arg == word);
            if has("quic") {
                self.notes.left_out_since(directive, "there is no HTTP/3");
                continue;
            }
            let addresses = listening::nginx(directive);
            if addresses.is_empty() {
                self.notes.left_out_since(directive, "an address is ADDRESS:PORT or unix:PATH");
                continue;
            }
            let (is_tls, proxy_protocol) = (has("ssl"), has("proxy_protocol"));
            if proxy_protocol {
                let what = "trusted_proxies must name the proxies that send the header";
                self.notes.differs(directive, what);
            }
            for address in addresses {
                let listen =
                    Listen { address, is_tls, proxy_protocol, server: nth, at: directive.at.clone() };
                match secure && !is_tls {
                    true => self.site.redirect.push(listen),
                    false => self.site.listen.push(listen),
                }
            }
        }
        if !is_listening {
            let address = "0.0.0.0:80".to_owned();
            let at = server.at.clone();
            let listen = Listen { address, is_tls: false, proxy_protocol: false, server: nth, at };
            if secure { self.site.redirect.push(listen) } else { self.site.listen.push(listen) }
        }
    }

    fn location(&mut self, location: &Directive, mut scope: Scope) {
        let path = match &location.args[..] {
            [path] if path.starts_with('/') => path.clone(),
            [kind, path] if kind == "^~" && path.starts_with('/') => path.clone(),
            _ => return self.pattern(location, &scope),
        };
        scope.is_before_patterns = location.args.len() > 1;
        let mut proxy = None;
        let mut alias = None;
        for directive in location.inner() {
            match directive.name.as_str() {
                "location" | "return" => {}
                "proxy_pass" => {
                    proxy = self.backends(directive);
                    if proxy.is_none() {
                        scope.closed.insert("proxy_pass".to_owned(), Why::Script);
                    }
                }
                "alias" if directive.arg(0).contains('$') => {
                    self.notes.left_out_since(directive, "a folder has no variables here");
                    scope.closed.insert("alias".to_owned(), Why::Script);
                }
                "alias" => alias = Some(directive.arg(0).to_owned()),
                _ => self.setting(directive, &mut scope),
            }
        }
        let redirect = location.inner().iter().find(|directive| directive.name == "return");
        match (redirect, proxy, alias, &scope.root) {
            (Some(directive), ..) if path == "/" && leads_to_https(directive) => {}
            (Some(directive), ..) => {
                if !self.redirect(directive, &path, &scope) {
                    let why = if directive.arg(0).starts_with('2') { Why::Script } else { Why::Access };
                    self.close(location, Some(&path), why, &scope);
                }
            }
            _ if scope.why().is_some() => {
                self.close(location, Some(&path), scope.why().unwrap_or(Why::Access), &scope);
            }
            (None, Some(urls), ..) => self.route(location, &path, Source::Proxy(urls), &scope),
            (None, None, Some(alias), _) => {
                self.route(location, &with_slash(&path), Source::Files(alias), &scope)
            }
            (None, None, None, Some(root)) => {
                let folder = below(root, &path);
                self.route(location, &with_slash(&path), Source::Files(folder), &scope);
            }
            _ => {
                self.notes.left_out_since(location, "it has no root, alias or proxy_pass");
                self.close(location, Some(&path), Why::Script, &scope);
            }
        }
        // What answers a location is not that of those in it.
        scope.closed.retain(|_, why| *why != Why::Script);
        for inner in location.inner().iter().filter(|directive| directive.name == "location") {
            self.location(inner, scope.clone());
        }
    }

    /// A location that is no prefix: what it closes must stay closed.
    fn pattern(&mut self, location: &Directive, scope: &Scope) {
        self.notes.left_out_since(location, "a route's path is a prefix");
        if location.arg(0).starts_with('@') {
            return;
        }
        let is_exact = location.arg(0) == "=";
        if let Some(why) = closes(location, is_exact) {
            self.close(location, is_exact.then(|| location.arg(1)), why, scope);
        }
    }

    /// Has nothing serve `path`, or what a pattern names.
    fn close(&mut self, from: &Directive, path: Option<&str>, why: Why, scope: &Scope) {
        let what = match why {
            Why::Access => "warning: left out: it is closed there, and access rules are not taken over",
            _ => "warning: left out: it is run or answered by what is not taken over",
        };
        self.notes.differs(from, what);
        let pattern = from.args.last().map_or("", String::as_str);
        self.site.closed.push(Closed::by(from, scope.server, path, pattern, why));
    }

    fn route(&mut self, from: &Directive, path: &str, source: Source, scope: &Scope) {
        let route = Route {
            hosts: scope.hosts.clone(),
            path: path.to_owned(),
            source,
            settings: scope.settings.clone(),
            server: scope.server,
            is_before_patterns: scope.is_before_patterns,
            at: from.at.clone(),
        };
        self.site.routes.push(route);
    }

    /// Makes the route of a `return`, and returns whether there can be one.
    fn redirect(&mut self, directive: &Directive, path: &str, scope: &Scope) -> bool {
        if !can_redirect(directive) {
            self.notes.left_out_since(directive, "a redirect has a status and a URL without variables");
            return false;
        }
        let mut scope = scope.clone();
        scope.settings.set("redirect_status", directive.arg(0).parse::<i64>().unwrap_or(302));
        self.notes.differs(directive, "what follows the route's path is appended");
        self.route(directive, path, Source::Redirect(directive.arg(1).to_owned()), &scope);
        true
    }
}
