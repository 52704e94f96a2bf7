//! Settings of a route to a backend.

use std::time::Duration;

use super::upstream::{HostPolicy, UpstreamUrl};
use crate::limit::Size;

/// A backend that speaks HTTP/1.1, and how requests are passed on to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxySource {
    /// Where requests go.
    pub upstream: UpstreamUrl,
    /// Which `Host` the backend sees.
    pub host: HostPolicy,
    /// For resolving and connecting. Default 5 s: a backend is near.
    pub connect_timeout: Duration,
    /// From the last piece of the request, or the last interim response (102 Processing, say), to the response's
    /// head. Default 60 s, as in nginx and Apache httpd. The same time is given to the client between two pieces of its request's body.
    pub response_timeout: Duration,
    /// Between two pieces of the response's body, as long as they are waited for. Default 60 s.
    pub read_timeout: Duration,
    /// How many unused connections are kept for later requests. Default 64.
    pub idle_connections: usize,
    /// How long an unused connection is kept. Default 4 s: below the 5 s after which Apache httpd and
    /// Node close theirs, so that a request seldom meets a connection that is just being closed.
    pub idle_connection_timeout: Duration,
    /// Whether `X-Accel-Limit-Rate` and `X-Accel-Buffering` from the backend count. Default yes, as in
    /// nginx; where they do not, the fields are removed all the same.
    pub honour_accel: bool,
    /// Whether the backend's own origin in `Location`, `Content-Location` and `Refresh` is mapped back to the
    /// route's path. Default yes, as nginx's `proxy_redirect default`.
    pub map_location: bool,
    /// Whether `Via` names this hop, in requests and responses (RFC 9110, section 7.6.3). Default yes. Without
    /// it loops are harder to see; but nginx, say, does not compress what it answers to a `Via`.
    pub via: bool,
    /// The most bytes of a response's head, start line and end included; also of all interim responses before
    /// it together. A larger one is 502. Default 32 KiB, as for requests; nginx's `proxy_buffer_size` is 4 or
    /// 8 KiB, which large cookies outgrow.
    pub max_response_head: usize,
    /// The most fields of a response's head. Default 128.
    pub max_response_fields: usize,
    /// How long a tunnel, which a connection becomes by a change of protocols (WebSocket), may be without
    /// traffic in either direction. Default 1 h: the protocols inside are quiet for long, and few of their
    /// implementations ping.
    pub tunnel_timeout: Duration,
}

impl ProxySource {
    /// Whether `size` can bound a response's head: 1 KiB to 1 MiB.
    ///
    /// # Errors
    /// It cannot; the text says what could.
    pub fn check_response_head(size: Size) -> Result<usize, String> {
        let (least, most) = (Size::new(1024), Size::new(1024 * 1024));
        let bytes = usize::try_from(size.bytes()).ok().filter(|_| (least..=most).contains(&size));
        bytes.ok_or_else(|| format!("{size} is not a size from {least} to {most}"))
    }

    /// Whether `number` can bound the fields of a response's head: 1 to 4096.
    ///
    /// # Errors
    /// It cannot; the text says what could.
    pub fn check_response_fields(number: i64) -> Result<usize, String> {
        let fields = usize::try_from(number).ok().filter(|fields| (1..=4096).contains(fields));
        fields.ok_or_else(|| format!("{number} is not a number from 1 to 4096"))
    }

    /// The backend `upstream`, everything else by default.
    pub fn new(upstream: UpstreamUrl) -> Self {
        Self {
            upstream,
            host: HostPolicy::default(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_head_is_bounded_within_bounds() {
        for (bytes, good) in
            [(0, false), (1023, false), (1024, true), (1 << 20, true), ((1 << 20) + 1, false)]
        {
            assert_eq!(ProxySource::check_response_head(Size::new(bytes)).is_ok(), good, "{bytes}");
        }
        for (fields, good) in [(-1, false), (0, false), (1, true), (4096, true), (4097, false)] {
            assert_eq!(ProxySource::check_response_fields(fields).is_ok(), good, "{fields}");
        }
    }
}
