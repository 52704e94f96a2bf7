//! What Apache's directives mean here.

mod settings;

use std::collections::{BTreeMap, BTreeSet};

use super::closed::{self, Closed, Server, Why};
use super::site::{Listen, Route, Settings, Site, Source, below, with_slash};
use super::syntax::Directive;
use super::{At, Notes, listening};

/// What holds for a part of a site.
#[derive(Clone, Default)]
struct Scope {
    settings: Settings,
    /// Whether `RATE_LIMIT` filters its responses, if that is said.
    is_limited: Option<bool>,
    /// `rate-limit` and `rate-initial-burst`, in KiB.
    rate: Option<i64>,
    burst: Option<i64>,
    /// Whether not everyone may have it, if that is said.
    is_closed: Option<bool>,
    /// Whether a program answers, if that is said.
    is_script: Option<bool>,
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
            is_closed: inner.is_closed.or(self.is_closed),
            is_script: inner.is_script.or(self.is_script),
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
        let is_paced = self.is_limited.is_some() || self.rate.is_some() || self.burst.is_some();
        self.settings.is_empty() && !is_paced && self.is_closed.is_none() && self.is_script.is_none()
    }

    fn why(&self) -> Option<Why> {
        match (self.is_closed, self.is_script) {
            (Some(true), _) => Some(Why::Access),
            (_, Some(true)) => Some(Why::Script),
            _ => None,
        }
    }

    /// Takes what `directive` closes or opens.
    fn close(&mut self, directive: &Directive) {
        match closed::by_apache(directive) {
            Some(Some(Why::Access)) => self.is_closed = Some(true),
            Some(Some(_)) => self.is_script = Some(true),
            Some(None) if directive.name == "sethandler" => self.is_script = Some(false),
            // What is beside it may close it all the same.
            Some(None) => self.is_closed = self.is_closed.or(Some(false)),
            None => {}
        }
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
    certificate: Option<(String, At)>,
    key: Option<String>,
    is_secure: bool,
    /// What must not be served: paths, or what a pattern names.
    closed: Vec<Closed>,
    /// Whether it sends everyone to https.
    leads_to_https: bool,
}

struct Import<'a> {
    site: Site,
    notes: &'a mut Notes,
    balancers: BTreeMap<String, Vec<String>>,
}

/// The site of a configuration.
pub(super) fn site(directives: &[Directive], notes: &mut Notes) -> Site {
    let mut import = Import { site: Site::default(), notes, balancers: BTreeMap::new() };
    let mut sections = Vec::new();
    let mut listens = Vec::new();
    let mut main = Host::default();
    import.balancers(directives);
    import.server(directives, &mut main, &mut listens, &mut sections);
    // It answers all hosts, whatever its name.
    main.names.clear();
    import.certificate(&mut main);
    let mut hosts = Vec::new();
    for section in sections {
        let mut host = Host::default();
        import.server(section.inner(), &mut host, &mut listens, &mut Vec::new());
        import.certificate(&mut host);
        hosts.push((section, host));
    }
    import.listeners(&listens, &hosts);
    let all: Vec<String> = import.site.listen.iter().map(|listen| listen.address.clone()).collect();
    let (mut taken, mut plain) = (BTreeSet::new(), BTreeSet::new());
    let mut redirects = Vec::new();
    for (section, host) in &hosts {
        let mut addresses: Vec<String> =
            section.args.iter().flat_map(|arg| listening::of_host(arg, &all)).collect();
        addresses.dedup();
        let mut is_default = false;
        for address in &addresses {
            is_default |= taken.insert(address.clone());
        }
        let is_redirect = host.leads_to_https && !host.is_secure;
        match is_redirect {
            true => redirects.extend(addresses.iter().map(|address| (address.clone(), section.at.clone()))),
            false => plain.extend(addresses.iter().cloned()),
        }
        let at = section.at.clone();
        let server = Server { at, addresses, is_default, says_default: false, is_left_out: false };
        import.site.servers.push(server);
        if !is_redirect {
            import.routes(host, &main);
        }
    }
    // An address of which only redirects are is no other listener.
    import.site.listen.retain(|listen| {
        plain.contains(&listen.address) || !redirects.iter().any(|(address, _)| *address == listen.address)
    });
    for (address, at) in redirects {
        import.site.redirect.push(Listen { address, is_tls: false, proxy_protocol: false, server: None, at });
    }
    let addresses: Vec<String> = all.into_iter().filter(|address| !taken.contains(address)).collect();
    // Where a virtual host is, the main server answers nothing.
    if let Some(first) = directives.first().filter(|_| hosts.is_empty() || !addresses.is_empty()) {
        let at = first.at.clone();
        let is_default = hosts.is_empty();
        let server = Server { at, addresses, is_default, says_default: false, is_left_out: false };
        import.site.servers.push(server);
        import.routes(&main, &Host::default());
    }
    import.site
}

impl Import<'_> {
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
                _ if self.place(directive, host) => {}
                "proxy" if arg.starts_with("balancer://") => {}
                "sslengine" => host.is_secure = arg.eq_ignore_ascii_case("on"),
                "sslcertificatefile" => host.certificate = Some((arg.to_owned(), directive.at.clone())),
                "sslcertificatekeyfile" => host.key = Some(arg.to_owned()),
                "keepalivetimeout" => match seconds(arg) {
                    Some(time) => self.site.top.set("idle_timeout", time),
                    None => self.notes.left_out(directive),
                },
                "rewriterule" if leads_to_https(directive) => {
                    host.leads_to_https = true;
                    self.notes.differs(directive, "a virtual host without TLS sends everyone to https");
                }
                _ if self.pattern(directive, host) => {}
                _ => self.setting(directive, &mut host.scope),
            }
        }
    }

    /// Reads what says which content is where. Returns whether `directive` does.
    fn place(&mut self, directive: &Directive, host: &mut Host) -> bool {
        let arg = directive.arg(0);
        match directive.name.as_str() {
            "documentroot" | "alias" if directive.args.iter().any(|arg| arg.contains("${")) => {
                self.notes.left_out_since(directive, "a folder has no variables here");
                let path = if directive.name == "alias" { arg } else { "/" };
                host.close(directive, Some(path), Why::Script);
            }
            "documentroot" => host.mount("/", Source::Files(arg.to_owned()), &directive.at),
            "alias" if arg.starts_with('/') => {
                let folder = Source::Files(directive.arg(1).to_owned());
                host.mount(&with_slash(arg), folder, &directive.at);
            }
            "proxypass" => {
                self.only_first(directive, 2);
                self.proxy(directive, arg, directive.arg(1), host);
            }
            "redirect" | "redirectpermanent" | "redirecttemp" => self.redirect(directive, host),
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
            _ => return false,
        }
        true
    }

    /// Reads a `<Location>` of `path` or a `<Directory>`.
    fn section(&mut self, section: &Directive, path: &str, host: &mut Host) -> Scope {
        let mut scope = Scope::default();
        for directive in section.inner() {
            match directive.name.as_str() {
                "proxypass" if section.name == "location" => {
                    self.only_first(directive, 1);
                    self.proxy(directive, path, directive.arg(0), host);
                }
                "proxypassreverse" => {}
                _ if self.pattern(directive, host) => {}
                _ => self.setting(directive, &mut scope),
            }
        }
        scope
    }

    /// What is mounted in `host` or `main`, and the sections within that have settings, with their paths, each path once.
    fn parts(&mut self, host: &Host, main: &Host) -> Vec<(String, Source, At)> {
        let sections = |sections: fn(&Host) -> &Vec<Section>| sections(main).iter().chain(sections(host));
        let mounts = host.with_mounts_of(main);
        let mut parts = mounts.clone();
        // A section within what a mount serves is a route of its own.
        for section in sections(|host| &host.locations).filter(|section| !section.scope.is_empty()) {
            let path = with_slash(&section.begin);
            let mount = mounts.iter().filter(|(begin, ..)| path.starts_with(&with_slash(begin)));
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
            for (begin, source, _) in &mounts {
                let Source::Files(folder) = source else { continue };
                if let Some(rest) = with_slash(&section.begin).strip_prefix(&with_slash(folder)) {
                    let path = format!("{}{rest}", with_slash(begin));
                    parts.push((path, Source::Files(below(folder, rest)), section.at.clone()));
                }
            }
        }
        let mut paths = BTreeSet::new();
        parts.retain(|(path, ..)| paths.insert(with_slash(path)));
        parts
    }

    /// Makes the routes of `host`, in the place of whose own settings are those of `main`.
    fn routes(&mut self, host: &Host, main: &Host) {
        let scope = main.scope.with(&host.scope);
        let sections = |sections: fn(&Host) -> &Vec<Section>| sections(main).iter().chain(sections(host));
        let server = self.site.servers.len() - 1;
        let closed = main.closed.iter().chain(&host.closed).cloned();
        self.site.closed.extend(closed.map(|closed| Closed { server, ..closed }));
        let parts = self.parts(host, main);
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
            if let Some(why) = scope.why() {
                let what = "warning: left out: access rules and programs are not taken over";
                self.notes.add(&at, format!("{path}: {what}"));
                let (path, is_hidden) = (Some(path), false);
                let what = "its section".to_owned();
                self.site.closed.push(Closed { server, path, why, is_hidden, at, what });
                continue;
            }
            self.site.routes.push(Route {
                hosts: host.names.clone(),
                path,
                source,
                settings: scope.paced(),
                server,
                is_before_patterns: false,
                at,
            });
        }
    }
}

impl Host {
    fn mount(&mut self, path: &str, source: Source, at: &At) {
        self.mounts.push((path.to_owned(), source, at.clone()));
    }

    fn close(&mut self, from: &Directive, path: Option<&str>, why: Why) {
        // Its server is known when its routes are made.
        self.closed.push(Closed::by(from, 0, path, from.arg(0), why));
    }

    /// Its mounts, with those of the main server at other paths. A backend comes before a folder.
    fn with_mounts_of(&self, main: &Self) -> Vec<(String, Source, At)> {
        let mut mounts = self.mounts.clone();
        let is_new = |path: &str| !self.mounts.iter().any(|(own, ..)| with_slash(own) == with_slash(path));
        mounts.extend(main.mounts.iter().filter(|(path, ..)| is_new(path)).cloned());
        let proxied: BTreeSet<String> = mounts
            .iter()
            .filter(|(_, source, _)| matches!(source, Source::Proxy(_)))
            .map(|(path, ..)| with_slash(path))
            .collect();
        mounts.retain(|(path, source, _)| {
            matches!(source, Source::Proxy(_)) || !proxied.contains(&with_slash(path))
        });
        mounts
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

/// Whether a rule sends everyone to https.
fn leads_to_https(rule: &Directive) -> bool {
    let is_all = ["^", ".*", "(.*)", "^(.*)", "^(.*)$", "^.*$", "^/?(.*)", "^/?(.*)$", "^/(.*)$"];
    is_all.contains(&rule.arg(0)) && rule.arg(1).starts_with("https://") && !rule.arg(2).contains('P')
}

/// What the directives in a section close or run, those in one another too.
fn closes(section: &Directive) -> Option<Why> {
    let why = |directive: &Directive| match directive.name.as_str() {
        "proxypass" | "scriptalias" => Some(Why::Script),
        _ => closed::by_apache(directive).flatten().or_else(|| closes(directive)),
    };
    section.inner().iter().filter_map(why).min()
}
