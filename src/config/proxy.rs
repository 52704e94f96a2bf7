//! The keys of a route to a backend.

use toml::Spanned;

use super::raw::{RawRoute, Timeout};
use super::resolve::Resolver;
use super::route::Source;
use crate::http::proxy::{HostPolicy, ProxySource, UpstreamUrl};

impl Resolver<'_> {
    /// The source that `proxy` and the keys beside it in the route `name` make.
    pub(super) fn proxy(&mut self, name: &str, proxy: &Spanned<String>, raw: &RawRoute) -> Source {
        self.misplaced(name, "proxy", raw);
        let upstream = proxy.get_ref().parse::<UpstreamUrl>().unwrap_or_else(|error| {
            self.problem(proxy.span(), format!("proxy in {name}: {error}"));
            UpstreamUrl::unknown()
        });
        let default = ProxySource::new(upstream);
        let host = match raw.host.as_ref().map(|host| (host.span(), host.get_ref().parse::<HostPolicy>())) {
            None => default.host,
            Some((_, Ok(host))) => host,
            Some((at, Err(error))) => {
                self.problem(at, format!("host in {name}: {error}"));
                default.host
            }
        };
        let switch =
            |value: &Option<Spanned<bool>>, default| value.as_ref().map_or(default, |on| *on.get_ref());
        let mut bounds = (default.max_response_head, default.max_response_fields);
        if let Some(size) = &raw.max_response_head {
            match ProxySource::check_response_head(*size.get_ref()) {
                Ok(bytes) => bounds.0 = bytes,
                Err(error) => self.problem(size.span(), format!("max_response_head in {name}: {error}")),
            }
        }
        if let Some(number) = &raw.max_response_fields {
            match ProxySource::check_response_fields(*number.get_ref()) {
                Ok(fields) => bounds.1 = fields,
                Err(error) => self.problem(number.span(), format!("max_response_fields in {name}: {error}")),
            }
        }
        let mut timeout = |key, value: &Option<Spanned<Timeout>>, default| {
            self.timeout(&format!("{key} in {name}"), value.clone(), default)
        };
        Source::Proxy(ProxySource {
            connect_timeout: timeout("connect_timeout", &raw.connect_timeout, default.connect_timeout),
            response_timeout: timeout("response_timeout", &raw.response_timeout, default.response_timeout),
            read_timeout: timeout("read_timeout", &raw.read_timeout, default.read_timeout),
            tunnel_timeout: timeout("tunnel_timeout", &raw.tunnel_timeout, default.tunnel_timeout),
            idle_connection_timeout: timeout(
                "idle_connection_timeout",
                &raw.idle_connection_timeout,
                default.idle_connection_timeout,
            ),
            idle_connections: self.count(
                &format!("idle_connections in {name}"),
                raw.idle_connections.clone(),
                default.idle_connections,
                0,
            ),
            honour_accel: switch(&raw.honour_accel, default.honour_accel),
            map_location: switch(&raw.map_location, default.map_location),
            via: switch(&raw.via, default.via),
            max_response_head: bounds.0,
            max_response_fields: bounds.1,
            host,
            upstream: default.upstream,
        })
    }
}
