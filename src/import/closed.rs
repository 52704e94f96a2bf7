//! What an import must not open: paths that were closed, run as scripts, or reached at fewer addresses.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::site::{Site, Source};
use super::syntax::Directive;
use super::{At, Notes};

/// Why something must not be served; of several, the first here counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    /// Not everyone may have it.
    Access,
    /// It is run, or asked of another program: its files are not what clients get.
    Script,
    /// It is not passed on to a backend.
    Unproxied,
}

/// Something that must not be served.
#[derive(Clone, Debug)]
pub(super) struct Closed {
    pub(super) server: usize,
    /// A prefix, or without it whatever may lie at any path of the server.
    pub(super) path: Option<String>,
    pub(super) why: Why,
    /// Names that begin with a dot, which routes of files do not serve in any case.
    pub(super) is_hidden: bool,
    pub(super) at: At,
    pub(super) what: String,
}

impl Closed {
    /// What `from` closes: `path`, or what its `pattern` names.
    pub(super) fn by(from: &Directive, server: usize, path: Option<&str>, pattern: &str, why: Why) -> Self {
        Self {
            server,
            path: path.map(str::to_owned),
            why,
            is_hidden: path.is_none() && is_hidden(pattern),
            at: from.at.clone(),
            what: from.to_string(),
        }
    }
}

/// A server or virtual host, as it was.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) at: At,
    pub(super) addresses: Vec<String>,
    /// Whether it is, at one of them, for the hosts that no other names.
    pub(super) is_default: bool,
    /// Whether it says so itself.
    pub(super) says_default: bool,
    pub(super) is_left_out: bool,
}

impl Site {
    /// Leaves out the routes that would serve what is closed. Without one of them, what covers it would serve it instead.
    pub(super) fn close(&mut self, notes: &mut Notes) {
        for closed in std::mem::take(&mut self.closed) {
            let is_covered = |begin: &str, path: &str| {
                let begin = begin.trim_end_matches('/');
                path.strip_prefix(begin).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            let mut left_out: BTreeSet<String> = closed.path.iter().cloned().collect();
            loop {
                let before = self.routes.len();
                self.routes.retain(|route| {
                    let can_serve = match (&route.source, closed.why) {
                        (Source::Redirect(_), _) => false,
                        (Source::Files(_), Why::Unproxied) | (Source::Proxy(_), Why::Script) => false,
                        (Source::Files(_), _) => !closed.is_hidden,
                        (Source::Proxy(_), _) => true,
                    };
                    let anywhere = closed.path.is_none() && !route.is_before_patterns;
                    let is_hit = route.server == closed.server
                        && can_serve
                        && (anywhere || left_out.iter().any(|path| is_covered(&route.path, path)));
                    if is_hit {
                        left_out.insert(route.path.clone());
                        let text = format!(
                            "warning: {} is left out here, since it would open what is {} there: {} at {}",
                            route.path,
                            closed.why.told(),
                            closed.what,
                            closed.at
                        );
                        notes.add(&route.at, text);
                    }
                    !is_hit
                });
                if self.routes.len() == before {
                    break;
                }
            }
        }
    }

    /// Leaves out servers that were reached at private addresses only, if there are others: each listener answers for all.
    pub(super) fn leave_out_private(&mut self, notes: &mut Notes) {
        let reach = |addresses: &[String]| addresses.iter().map(|address| reach(address)).max();
        let serving: Vec<bool> = (0..self.servers.len()).map(|nth| self.serves(nth)).collect();
        let kept = self.servers.iter().zip(&serving).filter(|(_, serves)| **serves);
        let widest = kept.filter_map(|(server, _)| reach(&server.addresses)).max();
        for (server, serves) in self.servers.iter_mut().zip(serving) {
            let own = reach(&server.addresses);
            if serves && own.is_some() && own < widest {
                server.is_left_out = true;
                let text = format!(
                    "warning: this server is left out: it is reached at {} only, and here the public listeners would \
                     answer for it too; run it on its own",
                    server.addresses.join(", ")
                );
                notes.add(&server.at, text);
            }
        }
        let servers = &self.servers;
        self.routes.retain(|route| !servers[route.server].is_left_out);
        let is_kept = |server: Option<usize>| server.is_none_or(|nth| !servers[nth].is_left_out);
        self.listen.retain(|listen| is_kept(listen.server));
        self.redirect.retain(|listen| is_kept(listen.server));
    }

    fn serves(&self, server: usize) -> bool {
        !self.servers[server].is_left_out && self.routes.iter().any(|route| route.server == server)
    }

    /// The one server that is for all hosts that no other names; there, it is one per address.
    pub(super) fn choose_default(&mut self, notes: &mut Notes) {
        let can_be = |nth: &usize| self.serves(*nth) && self.servers[*nth].is_default;
        let able: Vec<usize> = (0..self.servers.len()).filter(can_be).collect();
        let says = able.iter().find(|nth| self.servers[**nth].says_default);
        let Some(chosen) = says.or(able.first()).copied() else { return };
        for nth in able.iter().filter(|nth| **nth != chosen) {
            let server = &self.servers[*nth];
            let text = format!(
                "this server is the default of {} there; here the one at {} is for all hosts that no other names",
                server.addresses.join(", "),
                self.servers[chosen].at
            );
            notes.add(&server.at, text);
        }
        for route in self.routes.iter_mut().filter(|route| route.server == chosen) {
            route.hosts.clear();
        }
    }

    /// Tells of servers that are answered at more addresses than there.
    pub(super) fn tell_of_wider(&self, notes: &mut Notes) {
        for nth in (0..self.servers.len()).filter(|nth| self.serves(*nth)) {
            let server = &self.servers[nth];
            let is_new = |address: &str| !server.addresses.iter().any(|own| own == address);
            let new: Vec<_> = self.listen.iter().filter(|listen| is_new(&listen.address)).collect();
            if new.is_empty() || server.addresses.is_empty() {
                continue;
            }
            let own = || self.listen.iter().filter(|listen| !is_new(&listen.address));
            let was_secure = own().next().is_some() && own().all(|listen| listen.is_tls);
            let clear = was_secure && new.iter().any(|listen| !listen.is_tls);
            let new: Vec<&str> = new.iter().map(|listen| listen.address.as_str()).collect();
            let clear = if clear { ", and there in the clear, without TLS" } else { "" };
            let text = format!("warning: this server is answered at {} too here{clear}", new.join(", "));
            notes.add(&server.at, text);
        }
    }
}

impl Why {
    fn told(self) -> &'static str {
        match self {
            Self::Access => "closed",
            Self::Script => "run by another program",
            Self::Unproxied => "kept from the backend",
        }
    }
}

/// How far an address reaches: this machine, a private network, everyone.
fn reach(address: &str) -> u8 {
    let Ok(address) = address.parse::<SocketAddr>() else { return 0 };
    match address.ip() {
        ip if ip.is_loopback() => 0,
        IpAddr::V4(ip) if ip.is_private() || ip.is_link_local() => 1,
        IpAddr::V6(ip) if ip.is_unique_local() || ip.is_unicast_link_local() => 1,
        _ => 2,
    }
}

/// What a directive of nginx closes where it stands.
pub(super) fn by_nginx(directive: &Directive) -> Option<Why> {
    let name = directive.name.as_str();
    let is_off = directive.arg(0) == "off";
    match name {
        "deny" | "internal" | "limit_except" => Some(Why::Access),
        "auth_basic" | "auth_request" | "auth_jwt" | "ssl_verify_client" | "secure_link" if !is_off => {
            Some(Why::Access)
        }
        "access_by_lua_block" | "access_by_lua_file" | "access_by_lua" => Some(Why::Access),
        "if" => directive.inner().iter().find_map(|inner| match inner.name.as_str() {
            "return" if inner.arg(0).starts_with(['4', '5']) => Some(Why::Access),
            _ => by_nginx(inner),
        }),
        "perl" | "js_content" | "content_by_lua_block" | "content_by_lua_file" | "content_by_lua" => {
            Some(Why::Script)
        }
        _ if name.ends_with("_pass") && name != "proxy_pass" => Some(Why::Script),
        _ => None,
    }
}

/// What a directive of Apache closes where it stands, or `Some(None)` if it opens it.
pub(super) fn by_apache(directive: &Directive) -> Option<Option<Why>> {
    let is = |nth: usize, text: &str| directive.arg(nth).eq_ignore_ascii_case(text);
    match directive.name.as_str() {
        "require" if is(0, "all") && is(1, "granted") => Some(None),
        "allow" if is(0, "from") && is(1, "all") => Some(None),
        "require" | "deny" | "authtype" | "requireall" | "requireany" | "requirenone" | "limit"
        | "limitexcept" => Some(Some(Why::Access)),
        "sslverifyclient" if !is(0, "none") => Some(Some(Why::Access)),
        "sethandler" if is(0, "none") || is(0, "default-handler") => Some(None),
        "sethandler" | "addhandler" | "action" | "wsgiscriptalias" => Some(Some(Why::Script)),
        "addtype" if directive.arg(0).contains("httpd-php") => Some(Some(Why::Script)),
        "rewriterule" => {
            let flags = directive.arg(2).trim_matches(['[', ']']).to_ascii_lowercase();
            let mut flags = flags.split(',').map(str::trim);
            flags.find_map(|flag| match flag {
                "f" | "forbidden" | "g" | "gone" => Some(Some(Why::Access)),
                "p" | "proxy" => Some(Some(Why::Script)),
                _ if flag.starts_with("h=") || flag.starts_with("r=4") => Some(Some(Why::Access)),
                _ => None,
            })
        }
        _ => None,
    }
}

/// Whether a pattern names only what begins with a dot: `/\.`, `/\.ht`, `^\.ht`, `.ht*`.
fn is_hidden(pattern: &str) -> bool {
    let pattern = pattern.trim_start_matches(['^', '(']);
    let rest = pattern.strip_prefix("/\\.").or_else(|| pattern.strip_prefix("\\."));
    // `|` in brackets chooses between what follows the dot.
    let outside = match (pattern.find('('), pattern.rfind(')')) {
        (Some(begin), Some(end)) if begin < end => format!("{}{}", &pattern[..begin], &pattern[end..]),
        _ => pattern.to_owned(),
    };
    if outside.contains('|') {
        return false;
    }
    match rest {
        // `\.php$` names what ends with it.
        Some(rest) => pattern.starts_with('/') || rest.starts_with("ht") && !rest.starts_with("htm"),
        None => pattern.starts_with(".ht") && !pattern.starts_with(".htm"),
    }
}
