//! What nginx's directives mean here.

use std::collections::{BTreeMap, BTreeSet};

use super::Notes;
use super::site::{Listen, Route, Settings, Site, Source, below, with_slash};
use super::syntax::Directive;

/// What holds where a directive stands, and in the blocks in it.
#[derive(Clone, Default)]
struct Scope {
    settings: Settings,
    root: Option<String>,
    /// The hosts of the server; empty for all others.
    hosts: Vec<String>,
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
    /// Whether a server says that it is for all other hosts.
    has_default: bool,
    servers: usize,
}

/// The site of a whole configuration, or of a file that it includes within `http`.
pub(super) fn site(directives: &[Directive], notes: &mut Notes) -> Site {
    let has_default = directives.iter().any(says_default);
    let mut import =
        Import { names: Names::default(), site: Site::default(), notes, has_default, servers: 0 };
    import.collect(directives);
    import.http(directives, Scope::default());
    import.site
}

fn says_default(directive: &Directive) -> bool {
    let listens = directive.name == "listen" && directive.args.iter().any(|arg| arg == "default_server");
    listens || directive.inner().iter().any(says_default)
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
        self.servers += 1;
        let directives = server.inner();
        let is_default = says_default(server) || !self.has_default && self.servers == 1;
        let (hosts, is_for_all) = self.hosts(directives);
        let is_for_others = is_default || is_for_all || hosts.is_empty();
        scope.hosts = if is_for_others { Vec::new() } else { hosts };
        let secure = directives.iter().any(|directive| directive.name == "return" && is_to_https(directive));
        self.listeners(server, secure);
        for directive in directives {
            match directive.name.as_str() {
                "listen" | "server_name" | "location" | "ssl_certificate" | "ssl_certificate_key" => {}
                "return" if is_to_https(directive) => {}
                "return" => self.redirect(directive, "/", &scope),
                _ => self.setting(directive, &mut scope),
            }
        }
        let locations: Vec<_> = directives.iter().filter(|directive| directive.name == "location").collect();
        let serves_root = locations.iter().any(|location| {
            matches!(&location.args[..], [path] if path == "/")
                || location.args.iter().any(|arg| arg == "^~") && location.arg(1) == "/"
        });
        for location in &locations {
            self.location(location, scope.clone());
        }
        if let Some(root) = scope.root.clone().filter(|_| !serves_root && !secure) {
            self.route(server, "/", Source::Files(root), &scope);
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
        let mut is_listening = false;
        let file = |name: &str| {
            let found = server.inner().iter().find(|directive| directive.name == name);
            found.map(|directive| directive.arg(0).to_owned()).filter(|file| !file.contains('$'))
        };
        if let (Some(cert), Some(key)) = (file("ssl_certificate"), file("ssl_certificate_key")) {
            let pair = (cert, key);
            if !self.site.certificates.contains(&pair) {
                self.site.certificates.push(pair);
            }
        }
        for directive in server.inner().iter().filter(|directive| directive.name == "listen") {
            is_listening = true;
            let has = |word: &str| directive.args.iter().any(|arg| arg == word);
            if has("quic") {
                self.notes.left_out_since(directive, "there is no HTTP/3");
                continue;
            }
            let Some(address) = address(directive.arg(0)) else {
                self.notes.left_out_since(directive, "an address is ADDRESS:PORT or unix:PATH");
                continue;
            };
            let (is_tls, proxy_protocol) = (has("ssl"), has("proxy_protocol"));
            if proxy_protocol {
                let what = "trusted_proxies must name the proxies that send the header";
                self.notes.differs(directive, what);
            }
            let listen = Listen { address, is_tls, proxy_protocol, at: directive.at.clone() };
            match secure && !is_tls {
                true => self.site.redirect.push(listen),
                false => self.site.listen.push(listen),
            }
        }
        if !is_listening {
            let address = "0.0.0.0:80".to_owned();
            let listen = Listen { address, is_tls: false, proxy_protocol: false, at: server.at.clone() };
            if secure { self.site.redirect.push(listen) } else { self.site.listen.push(listen) }
        }
    }

    fn location(&mut self, location: &Directive, mut scope: Scope) {
        let path = match &location.args[..] {
            [path] if path.starts_with('/') => path.clone(),
            [kind, path] if kind == "^~" && path.starts_with('/') => path.clone(),
            _ => return self.notes.left_out_since(location, "a route's path is a prefix"),
        };
        let mut proxy = None;
        let mut alias = None;
        for directive in location.inner() {
            match directive.name.as_str() {
                "location" | "return" => {}
                "proxy_pass" => proxy = self.backends(directive),
                "alias" => alias = Some(directive.arg(0).to_owned()).filter(|alias| !alias.contains('$')),
                _ => self.setting(directive, &mut scope),
            }
        }
        let is_proxy = location.inner().iter().any(|directive| directive.name == "proxy_pass");
        let redirect = location.inner().iter().find(|directive| directive.name == "return");
        match (redirect, proxy, alias, &scope.root) {
            (Some(directive), ..) => self.redirect(directive, &path, &scope),
            (None, Some(urls), ..) => self.route(location, &path, Source::Proxy(urls), &scope),
            (None, None, Some(alias), _) => {
                self.route(location, &with_slash(&path), Source::Files(alias), &scope)
            }
            (None, None, None, Some(root)) if !is_proxy => {
                let folder = below(root, &path);
                self.route(location, &with_slash(&path), Source::Files(folder), &scope);
            }
            _ if is_proxy => {}
            _ => self.notes.left_out_since(location, "it has no root, alias or proxy_pass"),
        }
        for inner in location.inner().iter().filter(|directive| directive.name == "location") {
            self.location(inner, scope.clone());
        }
    }

    fn route(&mut self, from: &Directive, path: &str, source: Source, scope: &Scope) {
        let route = Route {
            hosts: scope.hosts.clone(),
            path: path.to_owned(),
            source,
            settings: scope.settings.clone(),
            at: from.at.clone(),
        };
        self.site.routes.push(route);
    }

    fn redirect(&mut self, directive: &Directive, path: &str, scope: &Scope) {
        let status =
            directive.arg(0).parse().ok().filter(|status| [301, 302, 303, 307, 308].contains(status));
        let to = directive.arg(1);
        let Some(status) = status.filter(|_| !to.contains('$') && !to.is_empty()) else {
            return self
                .notes
                .left_out_since(directive, "a redirect has a status and a URL without variables");
        };
        let mut scope = scope.clone();
        scope.settings.set("redirect_status", i64::from(status));
        self.notes.differs(directive, "what follows the route's path is appended");
        self.route(directive, path, Source::Redirect(to.to_owned()), &scope);
    }

    /// The backends of `proxy_pass`.
    fn backends(&mut self, directive: &Directive) -> Option<Vec<String>> {
        let url = directive.arg(0);
        let (scheme, rest) = match url.split_once("://") {
            Some((scheme @ ("http" | "https"), rest)) if !url.contains('$') => (scheme, rest),
            _ => {
                self.notes.left_out_since(directive, "a backend is http:// or https:// without variables");
                return None;
            }
        };
        if let Some(socket) = rest.strip_prefix("unix:") {
            return Some(vec![format!("unix:{}", socket.trim_end_matches(':'))]);
        }
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let Some(servers) = self.names.upstreams.get(host) else { return Some(vec![url.to_owned()]) };
        let url = |server: &String| match server.starts_with("unix:") {
            true if path.is_empty() => server.clone(),
            true => format!("{server}:{path}"),
            false => format!("{scheme}://{server}{path}"),
        };
        let urls: Vec<String> = servers.iter().map(url).collect();
        if urls.is_empty() {
            self.notes.left_out_since(directive, "its upstream has no server");
        }
        (!urls.is_empty()).then_some(urls)
    }

    /// A directive that can stand in http, server and location.
    fn setting(&mut self, directive: &Directive, scope: &mut Scope) {
        let arg = directive.arg(0);
        let settings = &mut scope.settings;
        let taken = match directive.name.as_str() {
            "root" if !arg.contains('$') => {
                scope.root = Some(arg.to_owned());
                true
            }
            "limit_rate" if arg == "0" => {
                settings.remove("rate");
                true
            }
            "limit_rate" => settings.set_if("rate", size(arg)),
            "limit_rate_after" if arg == "0" => {
                settings.remove("burst");
                true
            }
            "limit_rate_after" => settings.set_if("burst", size(arg)),
            "limit_conn" => return self.limit_conn(directive),
            "client_max_body_size" if arg == "0" => settings.set_if("max_body", Some("off")),
            "client_max_body_size" => settings.set_if("max_body", size(arg)),
            "index" if !arg.is_empty() && !arg.contains(['$', '/']) => {
                if directive.args.len() > 1 {
                    self.notes.differs(directive, "a folder has one page: the first is taken over");
                }
                settings.set_if("index", Some(arg))
            }
            "autoindex" => settings.set_if("list", Some(arg == "on")),
            "proxy_connect_timeout" => settings.set_if("connect_timeout", duration(arg)),
            "proxy_read_timeout" => {
                settings.set_if("response_timeout", duration(arg))
                    && settings.set_if("read_timeout", duration(arg))
            }
            "proxy_set_header" if arg.eq_ignore_ascii_case("host") => match directive.arg(1) {
                "$host" | "$http_host" => settings.set_if("upstream_host", Some("client")),
                "$proxy_host" => settings.set_if("upstream_host", Some("upstream")),
                host if host.is_empty() || host.contains('$') => false,
                host => settings.set_if("upstream_host", Some(host)),
            },
            _ => false,
        };
        if !taken {
            self.notes.left_out(directive);
        }
    }

    fn limit_conn(&mut self, directive: &Directive) {
        let most: Option<i64> = directive.arg(1).parse().ok().filter(|most| (1..=10_000_000).contains(most));
        let Some(most) = most.filter(|_| self.names.client_zones.contains(directive.arg(0))) else {
            return self.notes.left_out_since(directive, "connections are counted by client only");
        };
        let least = self.site.top.get("client_connections").and_then(toml::Value::as_integer);
        self.site.top.set("client_connections", least.map_or(most, |least| least.min(most)));
        self.notes.differs(
            directive,
            "client_connections holds for the whole server, and counts idle connections too",
        );
    }
}

/// Whether it sends everyone to the same place with https.
fn is_to_https(directive: &Directive) -> bool {
    let is_moved = ["301", "302", "307", "308"].contains(&directive.arg(0));
    is_moved && directive.arg(1).starts_with("https://$") && directive.arg(1).ends_with("$request_uri")
}

/// An address of `listen` as it is written here.
fn address(text: &str) -> Option<String> {
    let text = text.strip_prefix("*:").map_or_else(|| text.to_owned(), |port| format!("0.0.0.0:{port}"));
    if text.parse::<u16>().is_ok() {
        return Some(format!("0.0.0.0:{text}"));
    }
    let with_port = text.parse::<std::net::IpAddr>().is_ok() || text.ends_with(']');
    let text = if with_port { format!("{text}:80") } else { text };
    let is_address =
        text.parse::<std::net::SocketAddr>().is_ok() || text.len() > 5 && text.starts_with("unix:");
    is_address.then_some(text)
}

/// A size above zero: nginx's letters are those of this program, which has one for bytes too.
fn size(text: &str) -> Option<String> {
    let digits = text.trim_end_matches(['k', 'K', 'm', 'M', 'g', 'G']);
    let is_size =
        text.len() - digits.len() <= 1 && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let is_some = is_size && digits.bytes().any(|b| b != b'0') && digits.len() < 12;
    is_some.then(|| if digits.len() == text.len() { format!("{text}B") } else { text.to_lowercase() })
}

/// A time with one unit, seconds without.
fn duration(text: &str) -> Option<String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let is_number = !digits.is_empty() && digits.len() < 8 && digits.bytes().all(|b| b.is_ascii_digit());
    match text.get(digits.len()..).filter(|_| is_number && digits.bytes().any(|b| b != b'0'))? {
        "" => Some(format!("{digits}s")),
        "ms" | "s" | "m" | "h" => Some(text.to_owned()),
        _ => None,
    }
}
