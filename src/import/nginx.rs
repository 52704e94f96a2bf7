//! What nginx's directives mean here.

mod location;
mod patterns;
mod settings;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use super::known::Why;
use super::pattern::Place;
use super::servers::Server;
use super::site::{Listen, Settings, Site, Source};
use super::syntax::Directive;
use super::{At, Notes, listening};
use patterns::Pattern;
use values::{DEFAULT_ADDRESS, addresses, duration, find_defaults, leads_to_https, says_default};

/// The rules that a route may have.
const MAX_RULES: usize = 64;

/// What holds where a directive stands, and in the blocks in it.
#[derive(Clone, Default)]
struct Scope {
    settings: Settings,
    root: Option<String>,
    /// The location of an `alias`, and its folder.
    alias: Option<(String, String)>,
    /// Whether only files are looked for.
    has_no_lists: bool,
    /// The location of the last `index`, and whether one page is there for folders without any.
    pages: Option<(Option<String>, bool)>,
    server: usize,
    /// The directives that close it.
    closed: BTreeMap<String, Why>,
    /// What `set $limit_rate` says, which goes before `limit_rate`.
    rate_set: Option<String>,
    /// The location that is being read.
    within: Option<String>,
    certificates: Vec<(String, String)>,
    /// The upstream that a location asks, which is the `Host` of its requests.
    group: Option<String>,
    /// Whether no location with a pattern comes before it.
    is_before_patterns: bool,
}

impl Scope {
    fn why(&self) -> Option<Why> {
        self.closed.values().min().copied()
    }

    /// Its settings, with the pace that holds.
    fn paced(mut self) -> Settings {
        match self.rate_set.as_deref() {
            Some("") => self.settings.remove("rate"),
            Some(rate) => self.settings.set("rate", rate),
            None => {}
        }
        // Each folder has a page there.
        if matches!(self.pages, Some((_, true))) {
            self.settings.unlist();
        }
        self.settings
    }
}

/// What is named once and used elsewhere.
#[derive(Default)]
struct Names {
    /// Backends by the name of their upstream.
    upstreams: BTreeMap<String, Vec<String>>,
    /// Zones of `limit_conn` that count clients by their addresses.
    client_zones: BTreeSet<String>,
    /// What a `map` or `geo` gives by default, by variable.
    defaults: BTreeMap<String, String>,
}

impl Names {
    /// The backends of the upstream `name`, if it is one.
    fn backends(&self, scheme: &str, name: &str, path: &str) -> Option<Vec<String>> {
        let url = |server: &String| match server.starts_with("unix:") {
            true if path.is_empty() => server.clone(),
            true => format!("{server}:{path}"),
            false => format!("{scheme}://{server}{path}"),
        };
        Some(self.upstreams.get(name)?.iter().map(url).collect())
    }
}

struct Import<'a> {
    names: Names,
    site: Site,
    notes: &'a mut Notes,
    /// The server that is for all other hosts, by address.
    defaults: BTreeMap<String, At>,
    /// Of the server that is read, the patterns that close nothing.
    patterns: Vec<Pattern>,
    /// Paces of files with some extensions, by server.
    rules: Vec<(usize, Vec<String>, Settings)>,
}

/// The site of a whole configuration, or of a file that it includes within `http`.
pub(super) fn site(directives: &[Directive], notes: &mut Notes) -> Site {
    let mut defaults = BTreeMap::new();
    for explicit in [true, false] {
        find_defaults(directives, explicit, &mut defaults);
    }
    let mut import = Import {
        names: Names::default(),
        site: Site::default(),
        notes,
        defaults,
        patterns: Vec::new(),
        rules: Vec::new(),
    };
    import.collect(directives);
    let mut scope = Scope::default();
    // nginx's own default.
    scope.settings.set("max_body", "1m");
    if directives.iter().any(|directive| directive.name == "http") {
        for directive in directives {
            match directive.name.as_str() {
                "http" => import.http(directive.inner(), scope.clone()),
                _ => import.notes.left_out(directive),
            }
        }
    } else if let Some(first) = directives.first() {
        let text = "this is no whole configuration: what the main file says for all servers (access rules, limits, paces) is \
                    not known here; import that";
        import.notes.add(&first.at, text.to_owned());
        import.http(directives, scope);
    }
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
                "map" | "geo" => {
                    let default = directive.inner().iter().find(|inner| inner.name == "default");
                    if let (Some(variable), Some(default)) = (directive.args.last(), default) {
                        self.names.defaults.insert(variable.clone(), default.arg(0).to_owned());
                    }
                }
                _ => {}
            }
        }
    }

    fn upstream(&mut self, upstream: &Directive) {
        let mut servers = Vec::new();
        let has_main = upstream.inner().iter().any(|server| {
            server.name == "server" && !server.args.iter().any(|arg| arg == "backup" || arg == "down")
        });
        for directive in upstream.inner() {
            match directive.name.as_str() {
                "server" if directive.args.iter().any(|arg| arg == "down") => {
                    self.notes.left_out_since(directive, "it is down");
                }
                "server" if has_main && directive.args.iter().any(|arg| arg == "backup") => {
                    self.notes.left_out_since(directive, "it is asked only when the others are lost");
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
        scope.certificates = certificates(directives);
        for directive in directives {
            match (directive.name.as_str(), directive.arg(0)) {
                ("upstream" | "limit_conn_zone" | "server", _) => {}
                ("ssl_certificate" | "ssl_certificate_key", file) if !file.contains('$') => {}
                ("keepalive_timeout", time) => self.top(directive, "idle_timeout", time),
                ("client_header_timeout", time) => self.top(directive, "header_timeout", time),
                ("client_body_timeout", time) => self.top(directive, "body_timeout", time),
                _ => self.setting(directive, &mut scope),
            }
        }
        for server in directives.iter().filter(|directive| directive.name == "server") {
            self.server(server, scope.clone());
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
        scope.server = self.site.servers.len();
        let names = self.hosts(directives);
        let addresses = addresses(directives.iter(), false);
        let mut description = Server::new(&server.at, names, addresses.clone());
        let is_default = |address: &String| self.defaults.get(address) == Some(&server.at);
        description.default_at = addresses.into_iter().filter(is_default).collect();
        description.says_default = directives.iter().any(says_default);
        let secure = directives.iter().any(leads_to_https);
        let is_plain = |listen: &Directive| !listen.args.iter().any(|arg| arg == "ssl" || arg == "quic");
        let is_all_plain = directives.iter().filter(|listen| listen.name == "listen").all(is_plain);
        description.leads_to_https = secure && is_all_plain;
        self.site.servers.push(description);
        let own = certificates(directives);
        if !own.is_empty() {
            scope.certificates = own;
        }
        self.listeners(server, secure, &scope);
        let all = directives.iter().find(|directive| directive.name == "return");
        for directive in directives {
            match directive.name.as_str() {
                "listen" | "server_name" | "location" => {}
                "ssl" if directive.arg(0) == "on" => {}
                "ssl_certificate" | "ssl_certificate_key" if !directive.arg(0).contains('$') => {}
                "return" | "if" if leads_to_https(directive) => {}
                "rewrite" if leads_to_https(directive) && is_all_plain => {}
                "return" => {}
                _ => self.setting(directive, &mut scope),
            }
        }
        match all {
            // Nothing else of it is reached.
            Some(all) if !leads_to_https(all) => {
                if !self.redirect(all, "/", &scope) && !secure {
                    self.close(all, Place::Path("/".to_owned()), Why::Script, &scope);
                }
            }
            Some(_) => {}
            None => self.locations(server, &scope),
        }
        self.apply_rules(&scope);
    }

    fn locations(&mut self, server: &Directive, scope: &Scope) {
        let locations: Vec<_> =
            server.inner().iter().filter(|directive| directive.name == "location").collect();
        let serves_root = locations.iter().any(|location| {
            matches!(&location.args[..], [path] if path == "/")
                || location.args.iter().any(|arg| arg == "^~") && location.arg(1) == "/"
        });
        for location in &locations {
            self.location(location, scope.clone());
        }
        if let Some(root) = scope.root.clone().filter(|_| !serves_root) {
            match scope.why() {
                Some(why) => self.close(server, Place::Path("/".to_owned()), why, scope),
                None => self.route(server, "/", Source::Files(root), scope),
            }
        }
        self.apply_patterns(scope);
    }

    /// Gives the routes of a server the paces of its locations for files with some extensions, which go before theirs.
    fn apply_rules(&mut self, scope: &Scope) {
        let rules: Vec<_> =
            self.rules.iter().filter(|(server, ..)| *server == scope.server).cloned().collect();
        for route in self.site.routes.iter_mut() {
            if route.server != scope.server || route.is_before_patterns {
                continue;
            }
            for (_, extensions, settings) in &rules {
                // With one more than it may have, it is left out.
                if route.rules.len() > MAX_RULES {
                    break;
                }
                let is_other =
                    ["rate", "burst"].iter().any(|key| settings.get(key) != route.settings.get(key));
                // What a backend answers was of no such location: it becomes no faster by one.
                let is_others = matches!(route.source, Source::Proxy(_)) && route.settings.has("rate");
                if !is_others && (is_other || !route.rules.is_empty()) {
                    let mut pace = Settings::default();
                    let has_rate = pace.set_if("rate", settings.get("rate").cloned());
                    if !has_rate {
                        pace.set("rate", "off");
                    } else {
                        pace.set_if("burst", settings.get("burst").cloned());
                    }
                    route.rules.push((extensions.clone(), pace));
                }
            }
        }
    }

    /// The hosts of a server.
    fn hosts(&mut self, directives: &[Directive]) -> Vec<String> {
        let mut hosts = Vec::new();
        for directive in directives.iter().filter(|directive| directive.name == "server_name") {
            for name in &directive.args {
                match name.as_str() {
                    // No host has these names.
                    "_" | "" => {}
                    name if name.starts_with('~') || name.ends_with(".*") || name.contains('$') => {
                        self.notes.left_out_since(directive, &format!("{name}: a host is a name or *.NAME"));
                    }
                    name => match name.strip_prefix('.') {
                        Some(name) => hosts.extend([name.to_owned(), format!("*.{name}")]),
                        None => hosts.push(name.to_owned()),
                    },
                }
            }
        }
        hosts
    }

    /// The listeners and the certificates of a server. `secure` if it sends everyone to https.
    fn listeners(&mut self, server: &Directive, secure: bool, scope: &Scope) {
        let nth = self.site.servers.len().checked_sub(1);
        let is_all_tls =
            server.inner().iter().any(|directive| directive.name == "ssl" && directive.arg(0) == "on");
        let mut listens = Vec::new();
        for directive in server.inner().iter().filter(|directive| directive.name == "listen") {
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
            let (is_tls, proxy_protocol) = (has("ssl") || is_all_tls, has("proxy_protocol"));
            if proxy_protocol {
                let what =
                    "trusted_proxies names the proxies that send the header, those of set_real_ip_from";
                self.notes.differs(directive, what);
            }
            for address in addresses {
                listens.push(Listen {
                    address,
                    is_tls,
                    proxy_protocol,
                    server: nth,
                    at: directive.at.clone(),
                });
            }
        }
        if !server.inner().iter().any(|directive| directive.name == "listen") {
            listens.push(Listen {
                address: DEFAULT_ADDRESS.to_owned(),
                is_tls: is_all_tls,
                proxy_protocol: false,
                server: nth,
                at: server.at.clone(),
            });
        }
        if listens.iter().any(|listen| listen.is_tls) {
            for (cert, key) in &scope.certificates {
                self.site.certificate(cert.clone(), key.clone());
            }
        }
        for listen in listens {
            if secure && !listen.is_tls {
                self.site.redirect.push(listen)
            } else {
                self.site.listen.push(listen)
            }
        }
    }
}

/// The certificates of a server, or of all, with their keys.
fn certificates(directives: &[Directive]) -> Vec<(String, String)> {
    let all = |name: &'static str| {
        let named = directives.iter().filter(move |directive| directive.name == name);
        named.map(|directive| directive.arg(0).to_owned()).filter(|file| !file.contains('$'))
    };
    all("ssl_certificate").zip(all("ssl_certificate_key")).collect()
}
