//! The plan of a run, and the request that it sends.

use std::time::Duration;

use crate::limit::Rate;
use crate::probe::target::Target;
use crate::tls::ClientTls;

/// What a run requests, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// One URL, or two that are requested at the same time.
    pub targets: Vec<Target>,
    /// Connections to each.
    pub connections: usize,
    /// Longest time to read, from the requests on; connecting comes before that.
    pub lasting: Duration,
    /// If set, each connection is read no faster than this, with a small receive buffer.
    pub slow: Option<Rate>,
    /// Whether to repeat the request on the same connection when a response has ended.
    pub repeat: bool,
    /// Fields of the request's head. `Host`, `User-Agent`, `Accept` and `Accept-Encoding` are added if missing.
    pub fields: Vec<(String, String)>,
    /// Required for `https`.
    pub tls: Option<ClientTls>,
}

impl Plan {
    /// Returns the bytes of a request for `target`.
    pub(super) fn request(&self, target: &Target) -> Vec<u8> {
        let usual = [
            ("Host", target.authority()),
            ("User-Agent", concat!("sluicegate-probe/", env!("CARGO_PKG_VERSION"))),
            ("Accept", "*/*"),
            // Rates count bytes on the wire; a coding would hide how much content they are.
            ("Accept-Encoding", "identity"),
        ];
        let given = |name: &str| self.fields.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
        let mut text = format!("GET {} HTTP/1.1\r\n", target.path());
        let usual = usual.into_iter().filter(|(name, _)| !given(name));
        let own = self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in usual.chain(own) {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}
