//! Settings of a route to a backend.

use std::time::Duration;

use super::url::{HostPolicy, UpstreamUrl};
use crate::address::MAX_UNIX_PATH_LEN;
use crate::http::field_changes::{FieldChanges, Side};
use crate::keys::{Keys, MAX_COUNT};
use crate::limit::Size;
use crate::proxy_protocol::ProxyVersion;
use crate::tls::{ClientTlsSettings, can_be_certified};

/// A backend that speaks HTTP/1.1, and how requests are forwarded to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxySource {
    /// The backend's URL.
    pub upstream: UpstreamUrl,
    /// Further backends that requests may go to instead, with the path of the first; at most
    /// [`MAX_UPSTREAMS`](Self::MAX_UPSTREAMS) together with that, and the rest is ignored. Default: none.
    pub others: Vec<UpstreamUrl>,
    /// TLS to those whose URL is `https`.
    pub tls: Box<ClientTlsSettings>,
    /// The version of the PROXY header with the client's address that each connection to a backend begins with. Such a
    /// connection serves one request: it is that client's. Default: none is sent.
    pub send_proxy: Option<ProxyVersion>,
    /// The `Host` that is sent.
    pub host: HostPolicy,
    /// Changes of the fields of requests. Default: none but the proxy's own.
    pub request_headers: Box<FieldChanges>,
    /// Timeout of resolving and connecting. Default 5 s: a backend is near.
    pub connect_timeout: Duration,
    /// Timeout from an open connection, the last piece of the request, or the last interim response (such as
    /// 102 Processing), to the response's head, and of the client between two pieces of its request's body. Default
    /// 60 s, as in nginx and Apache httpd.
    pub response_timeout: Duration,
    /// Timeout between two pieces of the response's body while they are waited for. Default 60 s.
    pub read_timeout: Duration,
    /// Idle connections kept for later requests. Default 64.
    pub idle_connections: usize,
    /// How long a connection may be idle. Default 4 s: below the 5 s after which Apache httpd and Node close theirs,
    /// so that a request seldom meets a connection that is just being closed.
    pub idle_connection_timeout: Duration,
    /// Whether the backend's `X-Accel-Limit-Rate` and `X-Accel-Buffering` are honoured. They are removed in any case.
    /// Default true, as in nginx.
    pub honour_accel: bool,
    /// Whether the backend's own origin in `Location`, `Content-Location` and `Refresh` is mapped to the route's
    /// path. Default true, like nginx's `proxy_redirect default`.
    pub map_location: bool,
    /// Whether `Via` names this hop, in requests and responses (RFC 9110, section 7.6.3). Without it loops are harder
    /// to see, but nginx, for one, does not compress responses to requests with a `Via`. Default true.
    pub via: bool,
    /// Largest head of a response in bytes, start line and end included; also of all interim responses before it
    /// together. A larger one is 502. Default 32 KiB, as for requests; nginx's `proxy_buffer_size` is 4 or 8 KiB,
    /// which large cookies exceed.
    pub max_response_head: usize,
    /// Most fields of a response's head. Default 128.
    pub max_response_fields: usize,
    /// How long a tunnel (a connection after a change of protocols, such as WebSocket) may be without traffic in
    /// either direction. Default 1 h: such protocols are quiet for long, and few implementations ping.
    pub tunnel_timeout: Duration,
}

impl ProxySource {
    /// The most backends of a route.
    pub const MAX_UPSTREAMS: usize = 64;

    /// The backends: the first, and the others.
    pub fn upstreams(&self) -> impl Iterator<Item = &UpstreamUrl> {
        std::iter::once(&self.upstream).chain(&self.others).take(Self::MAX_UPSTREAMS)
    }

    /// Reads the backends that `key` names: one, or a list. `None` if there is none, or one cannot be read.
    pub(crate) fn read_upstreams(keys: &Keys<'_>, key: &'static str) -> Option<Vec<UpstreamUrl>> {
        let mut read: Vec<UpstreamUrl> = Vec::new();
        let given: Vec<(_, UpstreamUrl)> = keys.list(key)?;
        let count = given.len();
        for (at, url) in given {
            let url = match keys.folder_of(&at) {
                Some(folder) => url.relative_to(folder),
                None => url,
            };
            if let Some(path) = url.socket().filter(|path| path.as_os_str().len() > MAX_UNIX_PATH_LEN) {
                let path = path.display();
                let text = format!(
                    "the path {path} is longer than {MAX_UNIX_PATH_LEN} bytes, which a socket's cannot be"
                );
                keys.fault_at(at, key, text);
            } else if url.is_tls() && !keys.has("tls_name") && !can_be_certified(url.host()) {
                let (host, flag) = (url.host(), keys.flag_or("tls_name", "tls_name"));
                let text = format!("{url}: no certificate can be for {host}; correct it, or set {flag}");
                keys.fault_at(at, key, text);
            } else if read.contains(&url) {
                keys.fault_at(at, key, format!("{url} stands here twice; leave one out"));
            } else if read.first().is_some_and(|first| first.base() != url.base()) {
                let text = "all backends of a route have the same path behind their address; write that of the first";
                keys.fault_at(at, key, format!("the path of {url} is another: {text}"));
            } else {
                read.push(url);
            }
        }
        if count == 0 && !keys.failed(&[key]) {
            keys.fault(key, "is empty; name a backend such as \"http://127.0.0.1:9000\"");
        } else if count > Self::MAX_UPSTREAMS {
            keys.fault(key, format!("has {count} backends; {} are the most", Self::MAX_UPSTREAMS));
        }
        Some(read).filter(|read| !read.is_empty() && !keys.failed(&[key]))
    }

    pub(crate) fn read(keys: &Keys<'_>, upstreams: Option<Vec<UpstreamUrl>>) -> Self {
        // Without backends that can be read another reason says why a key does nothing, or none is needed.
        let is_unread = upstreams.is_none();
        let mut upstreams = upstreams.unwrap_or_default().into_iter();
        let default = Self::new(upstreams.next().unwrap_or_else(UpstreamUrl::unknown));
        let default = Self { others: upstreams.collect(), ..default };
        let is_tls = is_unread || default.upstreams().any(UpstreamUrl::is_tls);
        let plain = || keys.without_effect("does nothing without an https:// backend; leave it out");
        let send_proxy: Option<ProxyVersion> = keys.parse("send_proxy");
        let idle = match send_proxy {
            None => keys.clone(),
            Some(_) => {
                let flag = keys.flag_or("send_proxy", "send_proxy");
                let text = format!("does nothing with {flag}: a connection is for one request; leave it out");
                keys.without_effect(&text)
            }
        };
        let head_bounds = Size::new(1 << 10)..=Size::new(1 << 20);
        Self {
            tls: Box::new(ClientTlsSettings::read(&if is_tls { keys.clone() } else { plain() })),
            send_proxy,
            host: keys.parse("upstream_host").unwrap_or(default.host),
            request_headers: Box::new(FieldChanges::read(
                &keys.table("request_headers", " such as { set = { X-A = \"b\" } }"),
                Side::Request,
            )),
            connect_timeout: keys.timeout("connect_timeout").unwrap_or(default.connect_timeout),
            response_timeout: keys.timeout("response_timeout").unwrap_or(default.response_timeout),
            read_timeout: keys.timeout("read_timeout").unwrap_or(default.read_timeout),
            idle_connections: idle
                .number("idle_connections", 0..=MAX_COUNT)
                .unwrap_or(default.idle_connections),
            idle_connection_timeout: idle
                .timeout("idle_connection_timeout")
                .unwrap_or(default.idle_connection_timeout),
            honour_accel: keys.switch("honour_accel").unwrap_or(default.honour_accel),
            map_location: keys.switch("map_location").unwrap_or(default.map_location),
            via: keys.switch("via").unwrap_or(default.via),
            max_response_head: keys
                .size("max_response_head", head_bounds)
                .unwrap_or(default.max_response_head),
            max_response_fields: keys
                .number("max_response_fields", 1..=4096)
                .unwrap_or(default.max_response_fields),
            tunnel_timeout: keys.timeout("tunnel_timeout").unwrap_or(default.tunnel_timeout),
            upstream: default.upstream,
            others: default.others,
        }
    }

    /// The backend `upstream`, with defaults.
    pub fn new(upstream: UpstreamUrl) -> Self {
        Self {
            upstream,
            others: Vec::new(),
            tls: Box::default(),
            send_proxy: None,
            host: HostPolicy::default(),
            request_headers: Box::default(),
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(60),
            read_timeout: Duration::from_secs(60),
            idle_connections: 64,
            idle_connection_timeout: Duration::from_secs(4),
            honour_accel: true,
            map_location: true,
            via: true,
            max_response_head: 32 * 1024,
            max_response_fields: 128,
            tunnel_timeout: Duration::from_secs(60 * 60),
        }
    }
}
