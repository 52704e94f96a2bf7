//! The directives of nginx that can stand in `http`, in servers and in locations, and backends.

use super::values::{duration, has_pace, is_zero, size, tries_itself};
use super::{Import, Scope};
use crate::import::closed::Closed;
use crate::import::known::{self, ONE_PAGE, Why};
use crate::import::pattern::{self, Place};
use crate::import::syntax::Directive;

impl Import<'_> {
    /// The backends of `proxy_pass` in the location of `at`.
    pub(super) fn backends(
        &mut self,
        directive: &Directive,
        at: &str,
        scope: &mut Scope,
    ) -> Option<Vec<String>> {
        let url = directive.arg(0);
        let (scheme, rest) = match url.split_once("://") {
            Some((scheme @ ("http" | "https"), rest)) if !url.contains('$') => (scheme, rest),
            _ => {
                self.notes.left_out_since(directive, "a backend is http:// or https:// without variables");
                return None;
            }
        };
        let socket = rest.strip_prefix("unix:");
        let (host, path) = match socket {
            Some(socket) => rest.split_at(socket.find(":/").map_or(rest.len(), |end| "unix:".len() + end)),
            None => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        };
        let uri = path.strip_prefix(':').unwrap_or(path);
        if !uri.is_empty() && at.ends_with('/') && !uri.ends_with('/') {
            let why = "nginx puts what follows the location right behind it; end it with a slash";
            self.notes.left_out_since(directive, why);
            return None;
        }
        if uri.ends_with('/') && !at.ends_with('/') {
            self.notes.differs(directive, "nginx asks for a slash more");
        }
        if scheme == "https" {
            self.notes.differs(
                directive,
                "warning: the backend's certificate is verified here: see ca and tls_name",
            );
        }
        if socket.is_some() {
            return Some(vec![format!("{host}{path}").trim_end_matches(':').to_owned()]);
        }
        let Some(urls) = self.names.backends(scheme, host, path) else { return Some(vec![url.to_owned()]) };
        if urls.is_empty() {
            self.notes.left_out_since(directive, "its upstream has no server");
        }
        scope.group = Some(host.to_owned());
        (!urls.is_empty()).then_some(urls)
    }

    /// A directive that can stand in http, server and location.
    pub(super) fn setting(&mut self, directive: &Directive, scope: &mut Scope) {
        let arg = directive.arg(0);
        if let Some(why) = known::by_nginx(directive) {
            scope.closed.insert(directive.name.clone(), why);
        } else if arg == "off" {
            scope.closed.remove(&directive.name);
        }
        if self.elsewhere(directive, scope) {
            return;
        }
        if directive.name == "if" && has_pace(directive) {
            self.notes.differs(directive, "warning: its pace is not kept: it is of some requests only");
        }
        // Folders are not there as files.
        let is_for_missing = directive.name == "if" && directive.args.join(" ").contains("!-f ");
        if is_for_missing && directive.inner().iter().any(|inner| inner.name == "rewrite") {
            scope.has_no_lists = true;
        }
        if directive.name == "index" {
            self.pages(directive, scope);
        }
        let settings = &mut scope.settings;
        let taken = match directive.name.as_str() {
            "root" if !arg.contains('$') => {
                (scope.root, scope.alias) = (Some(arg.to_owned()), None);
                return self.notes.relative(directive, arg, "nginx's prefix");
            }
            "root" => {
                (scope.root, scope.alias) = (None, None);
                false
            }
            "limit_rate" | "limit_rate_after" if arg.starts_with('$') => {
                return self.variable(directive, scope);
            }
            "set"
                if arg == "$limit_rate"
                    && (size(directive.arg(1)).is_some() || is_zero(directive.arg(1))) =>
            {
                scope.rate_set = Some(size(directive.arg(1)).unwrap_or_default());
                true
            }
            "set" => {
                self.names.defaults.insert(arg.to_owned(), directive.arg(1).to_owned());
                false
            }
            "limit_rate" if is_zero(arg) => {
                settings.remove("rate");
                true
            }
            "limit_rate" => settings.set_if("rate", size(arg)),
            "limit_rate_after" if is_zero(arg) => {
                settings.remove("burst");
                true
            }
            "limit_rate_after" => settings.set_if("burst", size(arg)),
            "limit_conn" => return self.limit_conn(directive),
            "set_real_ip_from" => {
                self.site.proxies.push(arg.to_owned());
                false
            }
            "client_max_body_size" if is_zero(arg) => settings.set_if("max_body", Some("off")),
            "client_max_body_size" => settings.set_if("max_body", size(arg)),
            "index" if !arg.is_empty() && !arg.contains(['$', '/']) => settings.set_if("index", Some(arg)),
            "proxy_redirect" if arg == "off" || arg == "default" => {
                settings.set_if("map_location", (arg == "off").then_some(false).or(Some(true)))
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
        if taken {
            return;
        }
        match known::by_nginx(directive) {
            Some(Why::Unknown) => {
                self.notes.differs(directive, "warning: left out, and what is served where it stands is refused here: it may close it there");
            }
            _ => self.notes.left_out(directive),
        }
    }

    /// Reads which pages folders have: several in one block are tried in turn there.
    fn pages(&mut self, index: &Directive, scope: &mut Scope) {
        let before = scope.pages.take().filter(|(within, _)| *within == scope.within);
        let has_common = index.args.iter().any(|page| page.contains(['$', '/']));
        if has_common {
            self.notes.differs(
                index,
                "warning: folders have no list here, since one page is for all of them there",
            );
        }
        if index.args.len() > 1 || before.is_some() {
            self.notes.differs(index, ONE_PAGE);
        }
        let has_common = has_common || before.is_some_and(|(_, has_common)| has_common);
        scope.pages = Some((scope.within.clone(), has_common));
    }

    /// Reads what leads requests elsewhere, and returns whether `directive` does.
    fn elsewhere(&mut self, directive: &Directive, scope: &mut Scope) -> bool {
        match directive.name.as_str() {
            "try_files" if tries_itself(directive) => {
                // Folders are not looked for.
                scope.has_no_lists = !directive.args.iter().any(|file| file == "$uri/");
                let is_same =
                    directive.args.iter().all(|file| ["$uri", "$uri/", "=404"].contains(&file.as_str()));
                if !is_same {
                    self.notes
                        .left_out_since(directive, "a file is served if it is there, else the answer is 404");
                }
                if directive.arg(0) != "$uri" {
                    self.notes.differs(
                        directive,
                        "warning: only $uri is looked for here, not what is tried before it",
                    );
                }
                if scope.has_no_lists {
                    self.notes.differs(
                        directive,
                        "a folder's page is served here; there, folders are not looked for",
                    );
                }
            }
            "try_files" => {
                self.notes.differs(directive, "warning: refused here: something else is served there");
                scope.closed.insert("try_files".to_owned(), Why::Script);
            }
            "rewrite" => {
                let place = match &scope.within {
                    None => pattern::of_regex(directive.arg(0)),
                    Some(_) => Place::Anywhere,
                };
                let mut closed = Closed::by(directive, scope.server, place, Why::Elsewhere);
                let what = match &closed.place {
                    Place::Path(path) => format!("warning: left out: {path} is refused here"),
                    _ => {
                        scope.closed.insert("rewrite".to_owned(), Why::Elsewhere);
                        "warning: left out: what it is for is refused here".to_owned()
                    }
                };
                self.notes.differs(directive, &what);
                closed.is_deep = true;
                if matches!(closed.place, Place::Path(_)) {
                    self.site.closed.push(closed);
                }
            }
            _ => return false,
        }
        true
    }

    /// A pace that a variable gives: the default of its map, if there is one.
    fn variable(&mut self, directive: &Directive, scope: &mut Scope) {
        let key = if directive.name == "limit_rate" { "rate" } else { "burst" };
        let default = self.names.defaults.get(directive.arg(0)).cloned();
        match default {
            Some(ref default) if is_zero(default) => scope.settings.remove(key),
            Some(ref default) if size(default).is_some() => _ = scope.settings.set_if(key, size(default)),
            _ => {
                let what = "warning: left out: its pace is not kept, since a variable gives it";
                return self.notes.differs(directive, what);
            }
        }
        let what = format!("what the variable is by default, {}, holds for all", default.unwrap_or_default());
        self.notes.differs(directive, &what);
    }

    pub(super) fn limit_conn(&mut self, directive: &Directive) {
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
