//! What Apache's directives set, send elsewhere or close, and where it listens.

use super::{Host, Import, Scope, closes, seconds};
use crate::import::closed::{self, Why};
use crate::import::listening;
use crate::import::site::{Listen, Source, with_slash};
use crate::import::syntax::Directive;

impl Import<'_> {
    pub(super) fn redirect(&mut self, directive: &Directive, host: &mut Host) {
        let (path, to) = match &directive.args[..] {
            [_, path, to] => (path.as_str(), to.as_str()),
            [status, path] if !status.starts_with('/') => (path.as_str(), ""),
            [path, to] => (path.as_str(), to.as_str()),
            _ => ("/", ""),
        };
        if path == "/" && to.starts_with("https://") {
            host.leads_to_https = true;
            let what = "a virtual host without TLS sends everyone to https, at the same host";
            return self.notes.differs(directive, what);
        }
        self.notes.left_out(directive);
        host.close(directive, Some(path), if to.is_empty() { Why::Access } else { Why::Script });
    }

    /// Takes what a directive or section closes that names no path, and returns whether it is one.
    pub(super) fn pattern(&mut self, directive: &Directive, host: &mut Host) -> bool {
        let (why, path) = match directive.name.as_str() {
            "scriptalias" | "wsgiscriptalias" => (Some(Why::Script), Some(directive.arg(0))),
            "addhandler" | "addtype" | "action" | "rewriterule" => {
                (closed::by_apache(directive).flatten(), None)
            }
            "proxypassmatch" | "scriptaliasmatch" | "wsgiscriptaliasmatch" => (Some(Why::Script), None),
            "redirectmatch" if directive.args.len() < 3 && !directive.arg(1).contains(['/', '$']) => {
                (Some(Why::Access), None)
            }
            "redirectmatch" if directive.arg(0).starts_with('4') => (Some(Why::Access), None),
            "files" | "filesmatch" | "locationmatch" | "directorymatch" | "if" | "elseif" | "else"
            | "ifmodule" | "ifdefine" | "ifversion" | "location" | "directory" => (closes(directive), None),
            "proxy" | "proxymatch" => (closes(directive).map(|_| Why::Unproxied), None),
            _ => return false,
        };
        self.notes.left_out(directive);
        if let Some(why) = why {
            self.notes.differs(directive, "warning: what it closes or runs is left out");
            host.close(directive, path, why);
        }
        true
    }

    pub(super) fn proxy(&mut self, directive: &Directive, path: &str, url: &str, host: &mut Host) {
        if url == "!" {
            host.close(directive, Some(path), Why::Unproxied);
            return self.notes.differs(directive, "no route passes it on");
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
        if urls.is_empty() || !urls.iter().all(is_known) || !path.starts_with('/') {
            host.close(directive, Some(path).filter(|path| path.starts_with('/')), Why::Script);
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
    pub(super) fn setting(&mut self, directive: &Directive, scope: &mut Scope) {
        let arg = directive.arg(0);
        scope.close(directive);
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
                let is = |word: &str, name: &str| word.eq_ignore_ascii_case(name);
                let says = |name: &str| directive.args.iter().any(|word| is(word, name));
                let is_relative = directive.args.iter().any(|word| word.starts_with(['+', '-']));
                if !is_relative || says("+Indexes") || says("-Indexes") {
                    settings.set("list", says("Indexes") || says("All") || says("+Indexes"));
                }
                let is_known = |word: &String| is(word.trim_start_matches(['+', '-']), "Indexes");
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
        if !taken {
            self.notes.left_out(directive);
        }
    }

    /// The listeners, of `Listen` or else of the addresses of hosts.
    pub(super) fn listeners(&mut self, listens: &[&Directive], hosts: &[(&Directive, Host)]) {
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
                let is_tls =
                    secure.contains(&port) || directive.name == "listen" && directive.arg(1) == "https";
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
