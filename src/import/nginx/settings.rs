//! The directives of nginx that can stand in `http`, in servers and in locations, and backends.

use super::values::{duration, size};
use super::{Import, Scope};
use crate::import::closed;
use crate::import::syntax::Directive;

impl Import<'_> {
    /// The backends of `proxy_pass`.
    pub(super) fn backends(&mut self, directive: &Directive) -> Option<Vec<String>> {
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
    pub(super) fn setting(&mut self, directive: &Directive, scope: &mut Scope) {
        let arg = directive.arg(0);
        if let Some(why) = closed::by_nginx(directive) {
            scope.closed.insert(directive.name.clone(), why);
        } else if arg == "off" {
            scope.closed.remove(&directive.name);
        }
        let settings = &mut scope.settings;
        let taken = match directive.name.as_str() {
            "root" if !arg.contains('$') => {
                scope.root = Some(arg.to_owned());
                true
            }
            "root" => {
                scope.root = None;
                false
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
