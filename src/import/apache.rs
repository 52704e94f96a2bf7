//! What Apache's directives mean here.

mod disk;
mod mounts;
mod parts;
mod resolve;
mod rewrite;
mod settings;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use super::closed::Closed;
use super::glob::is_glob;
use super::known::{self, Why};
use super::pattern::{Place, hidden_folder};
use super::servers::Server;
use super::site::{Listen, Settings, Site, Source, with_slash};
use super::syntax::Directive;
use super::{At, Notes, listening};
use mounts::Mount;
use values::{closes, folder, has_rewrites, hidden, names, seconds};

/// What holds for a part of a site.
#[derive(Clone, Default)]
struct Scope {
    settings: Settings,
    /// Whether `RATE_LIMIT` filters its responses, if that is said.
    is_limited: Option<bool>,
    /// `rate-limit` and `rate-initial-burst`, in KiB.
    rate: Option<i64>,
    burst: Option<i64>,
    /// Whether not everyone may have it, if `Require` and the like say so or not.
    is_closed: Option<bool>,
    /// The same of `Order`, `Allow` and `Deny`, which are another module's: who passes one must pass the other too.
    is_denied: Option<bool>,
    /// Whether a program answers, if that is said.
    is_script: Option<bool>,
    /// Whether a directive stands there whose meaning is not known.
    is_unknown: bool,
    /// Whether folders may have rules of their own, if that is said.
    has_rules: Option<bool>,
    /// Whether a folder's page is a program.
    has_program: bool,
    /// Whether one page is there for folders without any, if their pages are named.
    has_common_page: Option<bool>,
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
            is_denied: inner.is_denied.or(self.is_denied),
            is_script: inner.is_script.or(self.is_script),
            is_unknown: self.is_unknown || inner.is_unknown,
            has_rules: inner.has_rules.or(self.has_rules),
            has_common_page: inner.has_common_page.or(self.has_common_page),
            has_program: inner.has_program || self.has_program && !inner.settings.has("index"),
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
        // Each folder has a page there.
        if self.has_common_page == Some(true) {
            self.settings.unlist();
        }
        self.settings
    }

    fn is_empty(&self) -> bool {
        let is_paced = self.is_limited.is_some() || self.rate.is_some() || self.burst.is_some();
        let is_about_access =
            [self.is_closed, self.is_denied, self.is_script, self.has_rules, self.has_common_page]
                .iter()
                .any(Option::is_some);
        self.settings.is_empty() && !is_paced && !is_about_access && !self.is_unknown && !self.has_program
    }

    fn why(&self) -> Option<Why> {
        let is_closed = self.is_closed.max(self.is_denied);
        match (is_closed, self.is_unknown, self.is_script) {
            (Some(true), ..) => Some(Why::Access),
            (_, true, _) => Some(Why::Unknown),
            (.., Some(true)) => Some(Why::Script),
            _ => None,
        }
    }

    /// Takes what `directive` closes or opens.
    fn close(&mut self, directive: &Directive) {
        let access = match directive.name.as_str() {
            "order" | "allow" | "deny" => &mut self.is_denied,
            _ => &mut self.is_closed,
        };
        match known::by_apache(directive) {
            Some(Some(Why::Access)) => *access = Some(true),
            Some(Some(Why::Unknown)) => self.is_unknown = true,
            Some(Some(_)) => self.is_script = Some(true),
            Some(None) if directive.name == "sethandler" => self.is_script = Some(false),
            // What is beside it may close it all the same.
            Some(None) => *access = access.or(Some(false)),
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
    /// What answers paths, each in order.
    proxies: Vec<Mount>,
    /// Those within a `<Location>`, which go before.
    inner_proxies: Vec<Mount>,
    redirects: Vec<Mount>,
    aliases: Vec<Mount>,
    root: Option<Mount>,
    locations: Vec<Section>,
    folders: Vec<Section>,
    certificate: Option<(String, At)>,
    key: Option<String>,
    is_secure: bool,
    /// What must not be served: paths, or what a pattern names.
    closed: Vec<Closed>,
    /// The sections of a pattern that take lists off.
    unlists: Vec<At>,
    /// Whether it sends everyone to https.
    leads_to_https: bool,
    /// Whether its rules of rewriting count.
    rewrites: bool,
    /// The conditions of the next such rule.
    conditions: Vec<Directive>,
}

struct Import<'a> {
    site: Site,
    notes: &'a mut Notes,
    balancers: BTreeMap<String, Vec<String>>,
    /// Whether this is a part of a configuration: what the main file says is not known.
    is_part: bool,
    /// Whether rules of rewriting count in the folders of virtual hosts, since they do in the main server's.
    rewrites: bool,
}

/// The site of a configuration.
pub(super) fn site(directives: &[Directive], notes: &mut Notes) -> Site {
    let directives = &resolve::resolve(directives, notes)[..];
    let is_part = !directives.iter().any(|directive| directive.name == "listen");
    if let Some(first) = directives.first().filter(|_| is_part) {
        let text = "this is no whole configuration: no Listen is in it. What the main file says (access, programs, limits) is not \
                    known here; import that";
        notes.add(&first.at, text.to_owned());
    }
    let mut import = Import {
        site: Site::default(),
        notes,
        balancers: BTreeMap::new(),
        is_part,
        rewrites: has_rewrites(directives),
    };
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
    import.listeners(&listens, &hosts, main.is_secure);
    import.hosts(directives, &main, &hosts);
    import.site
}

impl Import<'_> {
    /// Makes the servers and their routes.
    fn hosts(&mut self, directives: &[Directive], main: &Host, hosts: &[(&Directive, Host)]) {
        let all: Vec<String> = self.site.listen.iter().map(|listen| listen.address.clone()).collect();
        let (mut taken, mut plain) = (BTreeSet::new(), BTreeSet::new());
        let mut redirects = Vec::new();
        let named = listening::named(hosts.iter().flat_map(|(section, _)| &section.args), &all);
        for (section, host) in hosts {
            let mut addresses: Vec<String> =
                section.args.iter().flat_map(|arg| listening::of_host(arg, &all, &named)).collect();
            addresses.dedup();
            let is_redirect = host.leads_to_https && !host.is_secure;
            match is_redirect {
                true => {
                    redirects.extend(addresses.iter().map(|address| (address.clone(), section.at.clone())));
                }
                false => plain.extend(addresses.iter().cloned()),
            }
            let mut server = Server::new(&section.at, host.names.clone(), addresses.clone());
            server.default_at =
                addresses.into_iter().filter(|address| taken.insert(address.clone())).collect();
            server.leads_to_https = is_redirect;
            self.site.servers.push(server);
            self.routes(host, main);
        }
        let addresses: Vec<String> = all.into_iter().filter(|address| !taken.contains(address)).collect();
        // Where a virtual host is, the main server answers nothing.
        if let Some(first) = directives.first().filter(|_| hosts.is_empty() || !addresses.is_empty()) {
            let mut server = Server::new(&first.at, Vec::new(), addresses.clone());
            server.leads_to_https = main.leads_to_https && !main.is_secure;
            match server.leads_to_https {
                true => redirects.extend(addresses.iter().map(|address| (address.clone(), first.at.clone()))),
                false => plain.extend(addresses.iter().cloned()),
            }
            server.default_at = addresses;
            self.site.servers.push(server);
            self.routes(main, &Host::default());
        }
        self.redirects(redirects, &plain);
    }

    /// Makes listeners of the addresses that lead to https; one that has `plain` servers too stays.
    fn redirects(&mut self, redirects: Vec<(String, At)>, plain: &BTreeSet<String>) {
        // An address of which only redirects are is no other listener.
        self.site.listen.retain(|listen| {
            plain.contains(&listen.address)
                || !redirects.iter().any(|(address, _)| *address == listen.address)
        });
        for (address, at) in redirects {
            self.site.redirect.push(Listen {
                address,
                is_tls: false,
                proxy_protocol: false,
                server: None,
                at,
            });
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
        let is_on = |directive: &Directive, name: &str| {
            directive.name == name && directive.arg(0).eq_ignore_ascii_case("on")
        };
        host.is_secure |= directives.iter().any(|directive| is_on(directive, "sslengine"));
        host.rewrites = has_rewrites(directives);
        host.names = directives.iter().flat_map(names).collect();
        for directive in directives {
            let arg = directive.arg(0);
            match directive.name.as_str() {
                "virtualhost" => hosts.push(directive),
                "listen" => listens.push(directive),
                "servername" | "serveralias" | "sslengine" => {}
                _ if self.place(directive, host) => {}
                "proxy" if arg.starts_with("balancer://") && closes(directive).is_none() => {}
                "sslcertificatefile" => host.certificate = Some((arg.to_owned(), directive.at.clone())),
                "sslcertificatekeyfile" => host.key = Some(arg.to_owned()),
                "keepalivetimeout" => match seconds(arg) {
                    Some(time) => self.site.top.set("idle_timeout", time),
                    None => self.notes.left_out(directive),
                },
                _ if self.rewrite(directive, host, false) => {}
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
                host.close(directive, Place::Path(path.to_owned()), Why::Script);
            }
            "documentroot" => {
                self.notes.relative(directive, arg, "ServerRoot");
                host.root = Some(Mount::new("/", Source::Files(folder(arg)), &directive.at));
            }
            "alias" if arg.starts_with('/') && arg.ends_with('/') && !directive.arg(1).ends_with('/') => {
                self.notes.left_out_since(
                    directive,
                    "Apache puts what follows the path right behind it; end it with a slash",
                );
                host.close(directive, Place::Path(arg.to_owned()), Why::Script);
            }
            "alias" if arg.starts_with('/') => {
                self.notes.relative(directive, directive.arg(1), "ServerRoot");
                let folder = Source::Files(folder(directive.arg(1)));
                host.aliases.push(Mount::new(&with_slash(arg), folder, &directive.at));
            }
            "proxypass" => {
                self.only_first(directive, 2);
                if let Some(mount) = self.proxy(directive, arg, directive.arg(1), host) {
                    host.proxies.push(mount);
                }
            }
            "redirect" | "redirectpermanent" | "redirecttemp" => self.redirect(directive, host),
            // Addresses of backends in Location are mapped as they are.
            "proxypassreverse" => {}
            "location" if arg.starts_with('/') && !is_glob(arg) => {
                let scope = self.section(directive, arg, host);
                host.locations.push(Section { begin: arg.to_owned(), scope, at: directive.at.clone() });
            }
            "directory" if arg.starts_with('/') && !is_glob(arg) => {
                let scope = self.section(directive, arg, host);
                host.folders.push(Section { begin: folder(arg), scope, at: directive.at.clone() });
            }
            _ => return false,
        }
        true
    }

    /// Reads a `<Location>` of `path` or a `<Directory>`.
    fn section(&mut self, section: &Directive, path: &str, host: &mut Host) -> Scope {
        let mut scope = Scope::default();
        let says = |name: &str, text: &str| {
            let is_it = |directive: &Directive| directive.args.concat().eq_ignore_ascii_case(text);
            section.inner().iter().any(|directive| directive.name == name && is_it(directive))
        };
        // Who is not allowed is refused.
        if says("order", "allow,deny") && !says("allow", "fromall") || says("order", "mutual-failure") {
            scope.is_denied = Some(true);
        }
        for directive in section.inner() {
            match directive.name.as_str() {
                "proxypass" if section.name == "location" => {
                    self.only_first(directive, 1);
                    if let Some(mount) = self.proxy(directive, path, directive.arg(0), host) {
                        host.inner_proxies.push(mount);
                    }
                }
                "redirect" | "redirectpermanent" | "redirecttemp" | "redirectmatch" => {
                    self.notes.left_out(directive);
                    scope.is_script = Some(true);
                }
                "proxypassreverse" => {}
                // All that is said of the kind around it counts no more.
                "order" => scope.is_denied = scope.is_denied.or(Some(false)),
                _ if self.rewrite(directive, host, true) => {}
                _ if self.pattern(directive, host) => {}
                _ => self.setting(directive, &mut scope),
            }
        }
        scope
    }
}

impl Host {
    fn close(&mut self, from: &Directive, place: Place, why: Why) {
        // Its server is known when its routes are made.
        let mut closed = Closed::by(from, 0, place, why);
        closed.is_deep = true;
        closed.hidden = hidden(from);
        closed.in_folder = (from.name == "directorymatch").then(|| hidden_folder(from.arg(0)));
        self.closed.push(closed);
    }
}
