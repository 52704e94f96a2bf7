//! What nginx's directives mean here.

mod settings;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use super::closed::Closed;
use super::known::Why;
use super::pattern::{self, Place};
use super::servers::{Server, is_host};
use super::site::{Listen, Route, Settings, Site, Source, below, with_slash};
use super::syntax::Directive;
use super::{At, Notes, listening};
use values::{
    addresses, can_redirect, closes, duration, extensions, find_defaults, leads_to_https, redirect_target,
    says_default,
};

/// What holds where a directive stands, and in the blocks in it.
#[derive(Clone, Default)]
struct Scope {
    settings: Settings,
    root: Option<String>,
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

struct Import<'a> {
    names: Names,
    site: Site,
    notes: &'a mut Notes,
    /// The server that is for all other hosts, by address.
    defaults: BTreeMap<String, At>,
    /// Paces of files with some extensions, by server.
    rules: Vec<(usize, Vec<String>, Settings)>,
}

/// The site of a whole configuration, or of a file that it includes within `http`.
pub(super) fn site(directives: &[Directive], notes: &mut Notes) -> Site {
    let mut defaults = BTreeMap::new();
    for explicit in [true, false] {
        find_defaults(directives, explicit, &mut defaults);
    }
    let mut import =
        Import { names: Names::default(), site: Site::default(), notes, defaults, rules: Vec::new() };
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
        let is_plain = |listen: &Directive| {
            listen.name == "listen" && !listen.args.iter().any(|arg| arg == "ssl" || arg == "quic")
        };
        let has_listen = directives.iter().any(|listen| listen.name == "listen");
        let is_all_plain =
            !has_listen || directives.iter().filter(|listen| listen.name == "listen").all(is_plain);
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
                "rewrite" if leads_to_https(directive) => {}
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
                let is_other =
                    ["rate", "burst"].iter().any(|key| settings.get(key) != route.settings.get(key));
                if is_other || !route.rules.is_empty() {
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
            let address = "0.0.0.0:80".to_owned();
            listens.push(Listen {
                address,
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

    fn location(&mut self, location: &Directive, mut scope: Scope) {
        let path = match &location.args[..] {
            [path] if path.starts_with('/') => path.clone(),
            [kind, path] if kind == "^~" && path.starts_with('/') => path.clone(),
            _ => return self.pattern(location, scope),
        };
        scope.is_before_patterns = location.args.len() > 1;
        scope.within = Some(path.clone());
        let found = self.contents(location, &mut scope);
        let redirect = location.inner().iter().find(|directive| directive.name == "return");
        let is_whole = path.ends_with('/');
        match (redirect, found, &scope.root) {
            (Some(directive), ..) if path == "/" && leads_to_https(directive) => {}
            (Some(directive), ..) if scope.why().is_none() && self.redirect(directive, &path, &scope) => {}
            (Some(directive), ..) => {
                let why = if directive.arg(0).starts_with('4') { Why::Access } else { Why::Script };
                self.close(
                    location,
                    place(&path, why, location),
                    why.min(scope.why().unwrap_or(why)),
                    &scope,
                );
            }
            _ if scope.why().is_some() => {
                let why = scope.why().unwrap_or(Why::Access);
                self.close(location, place(&path, why, location), why, &scope);
            }
            (None, Some(source), _) => {
                let path = if matches!(source, Source::Files(_)) { with_slash(&path) } else { path.clone() };
                self.route(location, &path, source, &scope);
            }
            (None, None, Some(root)) => {
                let folder = below(root, &path);
                self.route(location, &with_slash(&path), Source::Files(folder), &scope);
            }
            _ => {
                self.notes.left_out_since(location, "it has no root, alias or proxy_pass");
                self.close(location, place(&path, Why::Script, location), Why::Script, &scope);
            }
        }
        if !is_whole {
            let what = format!("{path} and what is below it; there, whatever begins with {path}");
            self.notes.differs(location, &what);
        }
        // What answers a location is not that of those in it.
        scope.closed.retain(|_, why| *why != Why::Script);
        for inner in location.inner().iter().filter(|directive| directive.name == "location") {
            self.location(inner, scope.clone());
        }
    }

    /// Reads what a location has: the settings into `scope`, and the source, if it names one.
    fn contents(&mut self, location: &Directive, scope: &mut Scope) -> Option<Source> {
        let path = location.args.last().map_or("", String::as_str);
        let mut source = None;
        scope.group = None;
        // Its own fields take the place of all that are inherited.
        if location.inner().iter().any(|directive| directive.name == "proxy_set_header") {
            scope.settings.remove("upstream_host");
        }
        // Nothing of its rules is inherited where it has its own.
        if location.inner().iter().any(|directive| directive.name == "try_files") {
            scope.closed.remove("try_files");
        }
        for directive in location.inner() {
            match directive.name.as_str() {
                "location" | "return" => {}
                "proxy_pass" => match self.backends(directive, path, scope) {
                    Some(urls) => source = Some(Source::Proxy(urls)),
                    None => _ = scope.closed.insert("proxy_pass".to_owned(), Why::Script),
                },
                "alias" if directive.arg(0).contains('$') => {
                    self.notes.left_out_since(directive, "a folder has no variables here");
                    scope.closed.insert("alias".to_owned(), Why::Script);
                }
                "alias" if path.ends_with('/') && !directive.arg(0).ends_with('/') => {
                    let why = "nginx puts what follows the location right behind it; end it with a slash";
                    self.notes.left_out_since(directive, why);
                    scope.closed.insert("alias".to_owned(), Why::Script);
                }
                "alias" => {
                    self.relative(directive, directive.arg(0));
                    source = Some(Source::Files(directive.arg(0).to_owned()));
                }
                _ => self.setting(directive, scope),
            }
        }
        source
    }

    /// A location that is no prefix: what it closes must stay closed, and what it answers is not what lies there.
    fn pattern(&mut self, location: &Directive, scope: Scope) {
        let kind = location.arg(0);
        if kind.starts_with('@') {
            return self.notes.left_out_since(location, "nothing leads to it here");
        }
        let is_exact = kind == "=" || location.args.len() == 1;
        let mut pattern = location.args.last().map_or("", String::as_str);
        // The sign may stand right before its pattern.
        if location.args.len() == 1 {
            pattern = pattern.trim_start_matches(['=', '~', '*', '^']);
        }
        let is_exact = is_exact && !kind.starts_with('~');
        let redirect = location
            .inner()
            .iter()
            .find(|directive| directive.name == "return" && is_exact && pattern != "/");
        if let Some(redirect) = redirect.filter(|redirect| can_redirect(redirect)) {
            self.redirect(redirect, pattern, &scope);
            return;
        }
        let why = closes(location, scope.root.as_deref());
        if let Some(extensions) = extensions(pattern).filter(|_| why.is_none() && !is_exact) {
            return self.rule(location, extensions, scope);
        }
        let has_pace = location
            .inner()
            .iter()
            .any(|inner| inner.name.starts_with("limit_") || inner.arg(0) == "$limit_rate");
        let pace = if has_pace { "; warning: its limits are not kept" } else { "" };
        self.notes.left_out_since(location, &format!("a route's path is a prefix{pace}"));
        let Some(why) = why else { return };
        let place = match is_exact {
            // Only the page of the folder is meant, not all below.
            true if pattern == "/" && why != Why::Access => {
                return self.notes.differs(location, "warning: / itself is answered by the route for / here");
            }
            true => Place::Path(pattern.to_owned()),
            false if kind.starts_with("~*") => Place::Anywhere,
            false => pattern::of_regex(pattern),
        };
        self.close(location, place, why, &scope);
    }

    /// A location for files with some extensions becomes rules of the routes of its server.
    fn rule(&mut self, location: &Directive, extensions: Vec<String>, mut scope: Scope) {
        if scope.within.is_some() {
            return self.notes.left_out_since(
                location,
                "warning: a location in another is no rule; its limits are not kept",
            );
        }
        let notes = self.notes.lines.len();
        for directive in location.inner() {
            self.setting(directive, &mut scope);
        }
        if scope.why().is_some() {
            return;
        }
        if self.notes.lines.len() == notes && location.inner().is_empty() {
            self.notes.left_out(location);
        }
        self.rules.push((scope.server, extensions, scope.paced()));
    }

    /// Has nothing serve a place.
    fn close(&mut self, from: &Directive, place: Place, why: Why, scope: &Scope) {
        let what = match why {
            Why::Access => "warning: refused here: it is closed there, and access rules are not taken over",
            Why::Unknown => "warning: refused here: what is in it may close it there",
            _ => "warning: refused here: it is run or answered by what is not taken over",
        };
        self.notes.differs(from, what);
        let mut closed = Closed::by(from, scope.server, place, why);
        if from.name == "location" && from.arg(0).starts_with('~') {
            closed.hidden = pattern::hidden_by_regex(from.args.last().map_or("", String::as_str));
            closed.within = scope.within.clone();
            // A pattern goes before longer prefixes.
            closed.is_deep = closed.within.is_none() && matches!(closed.place, Place::Path(_));
        }
        self.site.closed.push(closed);
    }

    fn route(&mut self, from: &Directive, path: &str, source: Source, scope: &Scope) {
        let mut route = Route::new(path, source, scope.server, &from.at);
        route.settings = scope.clone().paced();
        let is_own = route.settings.get("upstream_host").is_none_or(|host| host.as_str() == Some("upstream"));
        if let Some(group) = scope.group.as_deref().filter(|_| is_own) {
            match is_host(group) {
                true => route.settings.set("upstream_host", group),
                false => self.notes.differs(
                    from,
                    &format!("{group} is no host: the backend's own address is its Host here"),
                ),
            }
        }
        route.is_before_patterns = scope.is_before_patterns;
        self.site.routes.push(route);
    }

    /// Makes the route of a `return`, and returns whether there can be one.
    fn redirect(&mut self, directive: &Directive, path: &str, scope: &Scope) -> bool {
        let Some(to) = redirect_target(directive) else {
            self.notes.left_out_since(directive, "a redirect has a status and a URL without variables");
            return false;
        };
        let mut scope = scope.clone();
        scope.settings.set("redirect_status", directive.arg(0).parse::<i64>().unwrap_or(302));
        if can_redirect(directive) {
            self.notes.differs(directive, "what follows the route's path is appended");
        }
        self.route(directive, path, Source::Redirect(to), &scope);
        true
    }

    /// Says that a relative path starts elsewhere here.
    fn relative(&mut self, directive: &Directive, path: &str) {
        if !path.starts_with('/') {
            let what = "warning: it starts from the folder of this configuration here, from nginx's prefix there: write it in full";
            self.notes.differs(directive, what);
        }
    }
}

/// Where a location of a path is closed. What it answers is for its own path; what it closes is for all that begins with it.
fn place(path: &str, why: Why, location: &Directive) -> Place {
    let is_status = location.inner().iter().any(|inner| inner.name == "stub_status");
    match path.ends_with('/') || why == Why::Script || is_status {
        true => Place::Path(path.to_owned()),
        false => Place::Prefix(path.to_owned()),
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
