//! What Apache's directives set, send elsewhere or close, and where it listens.

use super::mounts::Mount;
use super::values::{closes, lists, seconds, unlists};
use super::{Host, Import, Scope};
use crate::import::known::{self, ONE_PAGE, Why};
use crate::import::listening;
use crate::import::pattern::{self, Place};
use crate::import::site::{Listen, Source};
use crate::import::syntax::Directive;

impl Import<'_> {
    pub(super) fn redirect(&mut self, directive: &Directive, host: &mut Host) {
        let default = if directive.name == "redirectpermanent" { "permanent" } else { "temp" };
        let (status, path, to) = match &directive.args[..] {
            [status, path, to] => (status.as_str(), path.as_str(), to.as_str()),
            [status, path] if !status.starts_with('/') => (status.as_str(), path.as_str(), ""),
            [path, to] => (default, path.as_str(), to.as_str()),
            _ => (default, "/", ""),
        };
        let status = match status.to_ascii_lowercase().as_str() {
            "permanent" | "301" => 301,
            "temp" | "302" => 302,
            "seeother" | "303" => 303,
            "307" => 307,
            "308" => 308,
            _ => 410,
        };
        let url = to.split_once("://");
        let place = url.map_or("", |(_, rest)| rest.split(['/', ':']).next().unwrap_or(rest));
        let is_own = host.names.is_empty() || host.names.iter().any(|name| name.eq_ignore_ascii_case(place));
        if path == "/" && to.starts_with("https://") && is_own && !host.is_secure && host.proxies.is_empty() {
            host.leads_to_https = true;
            let what = "a virtual host without TLS sends everyone to https, at the same host";
            return self.notes.differs(directive, what);
        }
        // A URL without a path has an empty one, to which the rest is appended.
        let to =
            if url.is_some_and(|(_, rest)| !rest.contains('/')) { format!("{to}/") } else { to.to_owned() };
        let is_like = !path.ends_with('/') || to.ends_with('/');
        if status == 410 || to == "/" || !is_like || path.contains("${") || to.contains(['?', '#']) {
            self.notes.differs(directive, "warning: left out, and refused here");
            let why = if status == 410 { Why::Access } else { Why::Elsewhere };
            return host.close(directive, Place::Path(path.to_owned()), why);
        }
        if !path.ends_with('/') && to.ends_with('/') && url.is_none_or(|(_, rest)| rest.contains('/')) {
            self.notes.differs(directive, "Apache puts a slash more before what follows");
        }
        let mut mount = Mount::new(path, Source::Redirect(to), &directive.at);
        mount.status = Some(status);
        host.redirects.push(mount);
    }

    /// Takes what a directive or section closes that names no path, and returns whether it is one.
    pub(super) fn pattern(&mut self, directive: &Directive, host: &mut Host) -> bool {
        let at = |pattern: &str| pattern::of_regex(pattern);
        let arg = directive.arg(0);
        let (why, place) = match directive.name.as_str() {
            "scriptalias" | "wsgiscriptalias" => (Some(Why::Script), Place::Path(arg.to_owned())),
            "addhandler" | "addtype" | "action" => (known::by_apache(directive).flatten(), Place::Anywhere),
            "proxypassmatch" => (Some(Why::Elsewhere), at(arg)),
            "aliasmatch" | "scriptaliasmatch" | "wsgiscriptaliasmatch" => (Some(Why::Script), at(arg)),
            "redirectmatch" => {
                let is_status = directive.args.len() == 3 || !directive.arg(1).contains(['/', '$']);
                let pattern = if is_status { directive.arg(1) } else { arg };
                // The page of a folder, not what is below it.
                match pattern == "^/$" {
                    true => (None, Place::Anywhere),
                    false => {
                        (Some(if arg.starts_with('4') { Why::Access } else { Why::Elsewhere }), at(pattern))
                    }
                }
            }
            "locationmatch" => (closes(directive), at(arg)),
            "files" | "filesmatch" | "directorymatch" | "if" | "elseif" | "else" | "ifmodule"
            | "ifdefine" | "ifversion" | "iffile" | "ifdirective" | "ifsection" | "location"
            | "directory" => (closes(directive), Place::Anywhere),
            "proxy" | "proxymatch" => (closes(directive).map(|_| Why::Unproxied), Place::Anywhere),
            _ => return false,
        };
        if unlists(directive) {
            host.unlists.push(directive.at.clone());
        }
        let Some(why) = why else {
            let is_pace =
                |inner: &Directive| inner.args.iter().any(|arg| arg.to_ascii_lowercase().contains("rate"));
            let pace = directive.inner().iter().any(is_pace);
            match pace {
                true => self
                    .notes
                    .left_out_since(directive, "warning: its pace is not kept: a route's path is a prefix"),
                false => self.notes.left_out(directive),
            }
            return true;
        };
        self.notes.left_out(directive);
        let what = if place == Place::Anywhere { "" } else { " there" };
        self.notes.differs(directive, &format!("warning: what it closes or runs is refused here{what}"));
        host.close(directive, place, why);
        true
    }

    pub(super) fn proxy(
        &mut self,
        directive: &Directive,
        path: &str,
        url: &str,
        host: &mut Host,
    ) -> Option<Mount> {
        if url == "!" {
            self.notes.differs(directive, "no route passes it on");
            return Some(Mount {
                path: path.to_owned(),
                source: None,
                status: None,
                at: directive.at.clone(),
            });
        }
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
        let is_bare = |url: &str| url.split_once("://").is_some_and(|(_, rest)| !rest.contains('/'));
        let is_whole = |url: &String| url.ends_with('/') || path == "/" && is_bare(url);
        let is_joined = path.ends_with('/') && !urls.iter().all(is_whole);
        if urls.is_empty() || !urls.iter().all(is_known) || !path.starts_with('/') || is_joined {
            let place = if path.starts_with('/') { Place::Path(path.to_owned()) } else { Place::Anywhere };
            host.close(directive, place, Why::Elsewhere);
            self.notes.left_out_since(
                directive,
                match is_joined {
                    true => "Apache puts what follows the path right behind the URL; end both with a slash",
                    false => "a backend is http:// or https://",
                },
            );
            return None;
        }
        if urls.iter().any(|url| url.starts_with("https://")) {
            self.notes.differs(
                directive,
                "warning: the backend's certificate is verified here: see ca and tls_name",
            );
        }
        // Apache takes the path off even if the URL has none; here a URL without a path leaves it on.
        if !path.ends_with('/') && urls.iter().any(|url| url.ends_with('/')) {
            self.notes.differs(directive, "Apache asks for a slash more");
        }
        let whole = |url: String| if is_bare(&url) && path != "/" { format!("{url}/") } else { url };
        let urls: Vec<String> = urls.into_iter().map(whole).collect();
        Some(Mount::new(path, Source::Proxy(urls), &directive.at))
    }

    /// A directive that can stand outside of hosts, in them and in their sections.
    pub(super) fn setting(&mut self, directive: &Directive, scope: &mut Scope) {
        let arg = directive.arg(0);
        scope.close(directive);
        let settings = &mut scope.settings;
        let kib = || kib(directive.arg(1));
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
            "addoutputfilter" if arg.to_ascii_uppercase().contains("RATE_LIMIT") => {
                return self
                    .notes
                    .left_out_since(directive, "warning: its pace is not kept: it is of some files only");
            }
            "setenvif" | "setenvifnocase" | "setenvifexpr" | "browsermatch"
                if directive.args.iter().any(|arg| arg.contains("rate-")) =>
            {
                return self
                    .notes
                    .left_out_since(directive, "warning: its pace is not kept: it is of some requests only");
            }
            "unsetenv" => {
                let says = |name: &str| directive.args.iter().any(|arg| arg == name);
                (scope.rate, scope.burst) = (
                    if says("rate-limit") { Some(0) } else { scope.rate },
                    if says("rate-initial-burst") { Some(0) } else { scope.burst },
                );
                says("rate-limit") || says("rate-initial-burst")
            }
            "allowoverride" => {
                scope.has_rules = Some(!arg.eq_ignore_ascii_case("none"));
                true
            }
            "allowoverridelist" if !arg.eq_ignore_ascii_case("none") => {
                scope.has_rules = Some(true);
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
            "directoryindex" | "fallbackresource" if directive.args.iter().any(|page| page.contains('/')) => {
                scope.has_common_page = Some(true);
                let what =
                    "warning: left out: folders have no list here, since one page is for all of them there";
                return self.notes.differs(directive, what);
            }
            "directoryindex" if !arg.is_empty() => {
                let is_program =
                    |name: &String| [".php", ".cgi", ".pl", ".shtml"].iter().any(|end| name.ends_with(end));
                scope.has_program = directive.args.iter().any(is_program);
                // Those of one section add up.
                if directive.args.len() > 1 || settings.has("index") {
                    self.notes.differs(directive, ONE_PAGE);
                }
                scope.has_common_page = scope.has_common_page.or(Some(false));
                settings.set_if("index", Some(arg))
            }
            "options" => {
                settings.set_if("list", lists(directive));
                let is_known =
                    |word: &String| word.trim_start_matches(['+', '-']).eq_ignore_ascii_case("Indexes");
                if !directive.args.iter().all(is_known) {
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
        match known::by_apache(directive) {
            Some(Some(Why::Unknown)) => {
                let what = "warning: left out, and what is served where it stands is refused here: it may close it there";
                self.notes.differs(directive, what);
            }
            _ if !taken => self.notes.left_out(directive),
            _ => {}
        }
    }

    /// The listeners, of `Listen` or else of the addresses of hosts.
    pub(super) fn listeners(
        &mut self,
        listens: &[&Directive],
        hosts: &[(&Directive, Host)],
        is_secure: bool,
    ) {
        let named = listens.iter().map(|listen| (listen.arg(0), *listen));
        let mut given: Vec<_> = named.collect();
        if given.is_empty() {
            let args = hosts.iter().flat_map(|(host, _)| host.args.iter().map(|arg| (arg.as_str(), *host)));
            given = args.collect();
        }
        let secure = hosts.iter().filter(|(_, host)| host.is_secure).flat_map(|(host, _)| &host.args);
        let secure: Vec<&str> = secure.map(|arg| arg.rsplit(':').next().unwrap_or(arg)).collect();
        for (text, directive) in given {
            let addresses = listening::apache(text);
            if addresses.is_empty() {
                let text = format!("{text}: left out: an address is ADDRESS:PORT");
                self.notes.add(&directive.at, format!("{} {text}", directive.name));
            }
            for address in addresses {
                let port = address.rsplit(':').next().unwrap_or_default();
                let is_tls = is_secure
                    || secure.contains(&port)
                    || directive.name == "listen" && directive.arg(1) == "https";
                if !self.site.listen.iter().any(|listen| listen.address == address) {
                    let at = directive.at.clone();
                    let listen = Listen { address, is_tls, proxy_protocol: false, server: None, at };
                    self.site.listen.push(listen);
                }
            }
        }
    }

    /// Finds balancers, which may stand behind what uses them.
    pub(super) fn balancers(&mut self, directives: &[Directive]) {
        for directive in directives {
            if directive.name == "proxy" && directive.arg(0).starts_with("balancer://") {
                let members: Vec<_> =
                    directive.inner().iter().filter(|inner| inner.name == "balancermember").collect();
                let mut urls = Vec::new();
                for member in members {
                    let has = |flag: char| {
                        let status = member.args.iter().filter_map(|arg| arg.strip_prefix("status="));
                        status.into_iter().any(|status| !status.starts_with('-') && status.contains(flag))
                    };
                    if has('D') || has('S') {
                        self.notes.left_out_since(member, "it is out of service");
                        continue;
                    }
                    self.only_first(member, 1);
                    urls.push(member.arg(0).trim_end_matches('/').to_owned());
                }
                self.balancers.insert(directive.arg(0).trim_end_matches('/').to_owned(), urls);
                for other in directive.inner().iter().filter(|inner| inner.name != "balancermember") {
                    self.notes.left_out(other);
                }
            } else {
                self.balancers(directive.inner());
            }
        }
    }

    /// The certificate of a host, all of which is read.
    pub(super) fn certificate(&mut self, host: &mut Host) {
        match (host.certificate.take(), host.key.take()) {
            (Some((certificate, _)), Some(key)) => self.site.certificate(certificate, key),
            (Some((certificate, at)), None) => {
                self.notes.add(&at, format!("sslcertificatefile {certificate}: its key is in the same file"));
                self.site.certificate(certificate.clone(), certificate);
            }
            _ => {}
        }
    }

    /// Says that only the first words of a directive are taken over, if there are more.
    pub(super) fn only_first(&mut self, directive: &Directive, words: usize) {
        if directive.args.len() > words {
            let rest = directive.args[words..].join(" ");
            self.notes.differs(directive, &format!("left out of it: {rest}"));
        }
    }
}

/// A number as Apache reads it: the digits that it begins with.
fn kib(text: &str) -> Option<i64> {
    let end = text.find(|next: char| !next.is_ascii_digit() && next != '-').unwrap_or(text.len());
    text[..end].parse::<i64>().ok().filter(|kib| *kib < 1 << 40)
}
