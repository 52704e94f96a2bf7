//! What Apache's directives mean here.

use std::collections::BTreeMap;

use super::site::{Listen, Route, Settings, Site, Source, below, with_slash};
use super::syntax::Directive;
use super::{At, Notes};

/// What holds for a part of a site.
#[derive(Clone, Default)]
struct Scope {
    settings: Settings,
    /// Whether `RATE_LIMIT` filters its responses, if that is said.
    is_limited: Option<bool>,
    /// `rate-limit` and `rate-initial-burst`, in KiB.
    rate: Option<i64>,
    burst: Option<i64>,
}

impl Scope {
    /// This with what `inner` says too.
    fn with(&self, inner: &Self) -> Self {
        let mut settings = self.settings.clone();
        settings.extend(&inner.settings);
        Self {
            settings,
            is_limited: inner.is_limited.or(self.is_limited),
            rate: inner.rate.or(self.rate),
            burst: inner.burst.or(self.burst),
        }
    }

    /// The settings, with the pace that mod_ratelimit would give.
    fn paced(mut self) -> Settings {
        if let Some(rate) = self.rate.filter(|rate| *rate > 0 && self.is_limited == Some(true)) {
            self.settings.set("rate", rate);
            if let Some(burst) = self.burst.filter(|burst| *burst > 0) {
                self.settings.set("burst", burst);
            }
        }
        self.settings
    }

    fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.is_limited.is_none() && self.rate.is_none() && self.burst.is_none()
    }
}

/// A part of a site: paths, or folders.
struct Section {
    begin: String,
    scope: Scope,
    at: At,
}

/// A host, or what holds for all.
#[derive(Default)]
struct Host {
    names: Vec<String>,
    scope: Scope,
    /// Paths with what is there, in order.
    mounts: Vec<(String, Source, At)>,
    locations: Vec<Section>,
    folders: Vec<Section>,
    certificate: Option<String>,
    key: Option<String>,
    is_secure: bool,
}

struct Import<'a> {
    site: Site,
    notes: &'a mut Notes,
    balancers: BTreeMap<String, Vec<String>>,
}

/// The site of a configuration.
pub(super) fn site(directives: &[Directive], notes: &mut Notes) -> Site {
    let mut import = Import { site: Site::default(), notes, balancers: BTreeMap::new() };
    let mut hosts = Vec::new();
    let mut listens = Vec::new();
    let mut main = Host::default();
    import.balancers(directives);
    import.server(directives, &mut main, &mut listens, &mut hosts);
    let mut secure = Vec::new();
    let mut addresses = Vec::new();
    for (nth, virtual_host) in hosts.iter().enumerate() {
        let mut host = Host::default();
        import.server(virtual_host.inner(), &mut host, &mut listens, &mut Vec::new());
        for arg in &virtual_host.args {
            addresses.push((arg.clone(), virtual_host.at.clone()));
            if host.is_secure {
                secure.push(arg.rsplit(':').next().unwrap_or(arg).to_owned());
            }
        }
        // The first is for all hosts that no other names.
        if nth == 0 {
            host.names.clear();
        }
        import.routes(&host, &main);
    }
    if hosts.is_empty() || !main.mounts.is_empty() {
        import.routes(&main, &Host::default());
    }
    import.listeners(&listens, &addresses, &secure);
    import.site
}

impl Import<'_> {
    /// Finds balancers, which may stand behind what uses them.
    fn balancers(&mut self, directives: &[Directive]) {
        for directive in directives {
            if directive.name == "proxy" && directive.arg(0).starts_with("balancer://") {
                let members: Vec<_> =
                    directive.inner().iter().filter(|inner| inner.name == "balancermember").collect();
                let urls =
                    members.iter().map(|member| member.arg(0).trim_end_matches('/').to_owned()).collect();
                self.balancers.insert(directive.arg(0).trim_end_matches('/').to_owned(), urls);
                for other in directive.inner().iter().filter(|inner| inner.name != "balancermember") {
                    self.notes.left_out(other);
                }
            } else {
                self.balancers(directive.inner());
            }
        }
    }

    /// Reads what holds for a host, or outside of hosts.
    fn server<'d>(
        &mut self,
        directives: &'d [Directive],
        host: &mut Host,
        listens: &mut Vec<&'d Directive>,
        hosts: &mut Vec<&'d Directive>,
    ) {
        for directive in directives {
            let arg = directive.arg(0);
            match directive.name.as_str() {
                "virtualhost" => hosts.push(directive),
                "listen" => listens.push(directive),
                // That a module is there is supposed, as the file does.
                "ifmodule" if !arg.starts_with('!') => self.server(directive.inner(), host, listens, hosts),
                "servername" | "serveralias" => {
                    let bare = |name: &String| {
                        let name = name.split_once("://").map_or(name.as_str(), |(_, name)| name);
                        name.split(':').next().unwrap_or(name).to_owned()
                    };
                    host.names.extend(directive.args.iter().map(bare));
                }
                "documentroot" => host.mount("/", Source::Files(arg.to_owned()), &directive.at),
                "alias" if arg.starts_with('/') => {
                    let folder = Source::Files(directive.arg(1).to_owned());
                    host.mount(&with_slash(arg), folder, &directive.at);
                }
                "proxypass" => self.proxy(directive, arg, directive.arg(1), host),
                // Addresses of backends in Location are mapped as they are.
                "proxypassreverse" => {}
                "location" if arg.starts_with('/') => {
                    let scope = self.section(directive, arg, host);
                    host.locations.push(Section { begin: arg.to_owned(), scope, at: directive.at.clone() });
                }
                "directory" if arg.starts_with('/') && !arg.contains(['*', '?', '[']) => {
                    let scope = self.section(directive, arg, host);
                    host.folders.push(Section { begin: arg.to_owned(), scope, at: directive.at.clone() });
                }
                "proxy" if arg.starts_with("balancer://") => {}
                "sslengine" => host.is_secure = arg.eq_ignore_ascii_case("on"),
                "sslcertificatefile" => host.certificate = Some(arg.to_owned()),
                "sslcertificatekeyfile" => host.key = Some(arg.to_owned()),
                "keepalivetimeout" => match seconds(arg) {
                    Some(time) => self.site.top.set("idle_timeout", time),
                    None => self.notes.left_out(directive),
                },
                _ => self.setting(directive, &mut host.scope),
            }
        }
        if let (Some(certificate), Some(key)) = (host.certificate.take(), host.key.take()) {
            self.site.certificates.push((certificate, key));
        }
    }

    /// Reads a `<Location>` of `path` or a `<Directory>`.
    fn section(&mut self, section: &Directive, path: &str, host: &mut Host) -> Scope {
        let mut scope = Scope::default();
        for directive in section.inner() {
            match directive.name.as_str() {
                "proxypass" if section.name == "location" => {
                    self.proxy(directive, path, directive.arg(0), host)
                }
                "proxypassreverse" => {}
                _ => self.setting(directive, &mut scope),
            }
        }
        scope
    }

    fn proxy(&mut self, directive: &Directive, path: &str, url: &str, host: &mut Host) {
        let url = url.trim_end_matches('|');
        let begin = self.balancers.keys().find(|name| {
            url.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        let urls = match begin {
            Some(name) => {
                let rest = &url[name.len()..];
                self.balancers[name].iter().map(|member| format!("{member}{rest}")).collect()
            }
            None => vec![url.to_owned()],
        };
        let is_known = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        if urls.is_empty() || !urls.iter().all(is_known) || !path.starts_with('/') {
            return self.notes.left_out_since(directive, "a backend is http:// or https://");
        }
        let path = if urls.iter().all(|url| url.ends_with('/')) { with_slash(path) } else { path.to_owned() };
        // Apache takes the path off even if the URL has none; here a URL without a path leaves it on.
        let whole = |url: String| {
            let is_bare = url.split_once("://").is_some_and(|(_, rest)| !rest.contains('/'));
            if is_bare && path != "/" { format!("{url}/") } else { url }
        };
        let urls: Vec<String> = urls.into_iter().map(whole).collect();
        let path = if urls.iter().all(|url| url.ends_with('/')) { with_slash(&path) } else { path };
        host.mount(&path, Source::Proxy(urls), &directive.at);
    }

    /// A directive that can stand outside of hosts, in them and in their sections.
    fn setting(&mut self, directive: &Directive, scope: &mut Scope) {
        let arg = directive.arg(0);
        let settings = &mut scope.settings;
        let kib = || directive.arg(1).parse::<i64>().ok().filter(|kib| *kib < 1 << 40);
        let taken = match directive.name.as_str() {
            "setoutputfilter" => {
                scope.is_limited =
                    Some(arg.split(';').any(|filter| filter.eq_ignore_ascii_case("RATE_LIMIT")));
                let others = arg.split(';').any(|filter| !filter.eq_ignore_ascii_case("RATE_LIMIT"));
                if others {
                    self.notes.differs(directive, "only RATE_LIMIT is taken over");
                }
                true
            }
            "setenv" if arg == "rate-limit" => {
                scope.rate = kib().or(scope.rate);
                kib().is_some()
            }
            "setenv" if arg == "rate-initial-burst" => {
                scope.burst = kib().or(scope.burst);
                kib().is_some()
            }
            "directoryindex" if !arg.is_empty() && !arg.contains('/') => {
                if directive.args.len() > 1 {
                    self.notes.differs(directive, "a folder has one page: the first is taken over");
                }
                settings.set_if("index", Some(arg))
            }
            "options" => {
                let is = |word: &str, name: &str| word.trim_start_matches('+').eq_ignore_ascii_case(name);
                let lists = directive.args.iter().any(|word| is(word, "Indexes") || is(word, "All"));
                settings.set("list", lists);
                if directive.args.iter().any(|word| !is(word, "Indexes") && !is(word, "-Indexes")) {
                    self.notes.differs(directive, "only Indexes is taken over");
                }
                true
            }
            "limitrequestbody" if arg == "0" => settings.set_if("max_body", Some("off")),
            "limitrequestbody" => {
                settings.set_if("max_body", arg.parse::<u32>().ok().map(|most| format!("{most}B")))
            }
            "proxytimeout" => {
                settings.set_if("response_timeout", seconds(arg))
                    && settings.set_if("read_timeout", seconds(arg))
            }
            "proxypreservehost" => {
                let host = if arg.eq_ignore_ascii_case("on") { "client" } else { "upstream" };
                settings.set_if("upstream_host", Some(host))
            }
            _ => false,
        };
        if !taken {
            self.notes.left_out(directive);
        }
    }

    /// Makes the routes of `host`, in the place of whose own settings are those of `main`.
    fn routes(&mut self, host: &Host, main: &Host) {
        let scope = main.scope.with(&host.scope);
        let sections = |sections: fn(&Host) -> &Vec<Section>| sections(main).iter().chain(sections(host));
        let mut parts: Vec<(String, Source, At)> = host.mounts.clone();
        // A section within what a mount serves is a route of its own.
        for section in sections(|host| &host.locations).filter(|section| !section.scope.is_empty()) {
            let path = with_slash(&section.begin);
            let mount = host.mounts.iter().filter(|(begin, ..)| path.starts_with(&with_slash(begin)));
            match mount.max_by_key(|(begin, ..)| begin.len()) {
                Some((begin, source, _)) => {
                    let rest = &path[with_slash(begin).len()..];
                    let source = match source {
                        Source::Files(folder) => Source::Files(below(folder, rest)),
                        Source::Proxy(urls) => {
                            Source::Proxy(urls.iter().map(|url| within(url, rest)).collect())
                        }
                        other => other.clone(),
                    };
                    parts.push((path, source, section.at.clone()));
                }
                None => self
                    .notes
                    .add(&section.at, format!("<location {}>: left out: nothing is there", section.begin)),
            }
        }
        for section in sections(|host| &host.folders).filter(|section| !section.scope.is_empty()) {
            for (begin, source, _) in &host.mounts {
                let Source::Files(folder) = source else { continue };
                if let Some(rest) = with_slash(&section.begin).strip_prefix(&with_slash(folder)) {
                    let path = format!("{}{rest}", with_slash(begin));
                    parts.push((path, Source::Files(below(folder, rest)), section.at.clone()));
                }
            }
        }
        let mut paths = std::collections::BTreeSet::new();
        parts.retain(|(path, ..)| paths.insert(with_slash(path)));
        for (path, source, at) in parts {
            let mut scope = scope.clone();
            if let Source::Files(folder) = &source {
                let holds = |section: &&Section| with_slash(folder).starts_with(&with_slash(&section.begin));
                let mut above: Vec<_> = sections(|host| &host.folders).filter(holds).collect();
                above.sort_by_key(|section| section.begin.len());
                scope = above.iter().fold(scope, |scope, section| scope.with(&section.scope));
            }
            for section in sections(|host| &host.locations) {
                if with_slash(&path).starts_with(&with_slash(&section.begin)) {
                    scope = scope.with(&section.scope);
                }
            }
            self.site.routes.push(Route {
                hosts: host.names.clone(),
                path,
                source,
                settings: scope.paced(),
                at,
            });
        }
    }

    /// The listeners, of `Listen` or else of the addresses of hosts. `secure` are the ports of hosts with TLS.
    fn listeners(&mut self, listens: &[&Directive], addresses: &[(String, At)], secure: &[String]) {
        let named = listens.iter().map(|listen| (listen.arg(0), listen.at.clone(), Some(*listen)));
        let mut given: Vec<_> = named.collect();
        if given.is_empty() {
            given = addresses.iter().map(|(address, at)| (address.as_str(), at.clone(), None)).collect();
        }
        for (text, at, directive) in given {
            let address = match text.strip_prefix("*:") {
                Some(port) => format!("0.0.0.0:{port}"),
                None if text.parse::<u16>().is_ok() => format!("0.0.0.0:{text}"),
                None => text.to_owned(),
            };
            if address.parse::<std::net::SocketAddr>().is_err() {
                match directive {
                    Some(listen) => self.notes.left_out_since(listen, "an address is ADDRESS:PORT"),
                    None => self.notes.add(&at, format!("{text}: left out: an address is ADDRESS:PORT")),
                }
                continue;
            }
            let port = address.rsplit(':').next().unwrap_or_default().to_owned();
            let is_tls = secure.contains(&port) || directive.is_some_and(|listen| listen.arg(1) == "https");
            self.site.listen.push(Listen { address, is_tls, proxy_protocol: false, at });
        }
    }
}

impl Host {
    fn mount(&mut self, path: &str, source: Source, at: &At) {
        self.mounts.push((path.to_owned(), source, at.clone()));
    }
}

/// The URL of what is at `rest` below the route of `url`. A URL without a path is sent the whole path in any case.
fn within(url: &str, rest: &str) -> String {
    let has_path = url.split_once("://").is_some_and(|(_, after)| after.contains('/'));
    if has_path { format!("{}{rest}", with_slash(url)) } else { url.to_owned() }
}

/// Whole seconds above zero.
fn seconds(text: &str) -> Option<String> {
    let seconds: u32 = text.parse().ok()?;
    (1..=31_536_000).contains(&seconds).then(|| format!("{seconds}s"))
}
