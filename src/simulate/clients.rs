//! Who the clients are, and what they ask for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use http::header::HOST;

use super::random::{Random, SizeOf};
use super::source::ResponseSpec;
use super::spec::Group;
use super::totals::Totals;
use super::wire::{Line, Speeds};
use crate::budget::ClientKey;
use crate::tls::ClientCertificate;

/// A group of clients at work.
pub(super) struct RunningGroup {
    pub(super) group: Group,
    pub(super) random: Random,
    pub(super) certificate: Option<ClientCertificate>,
    /// Bytes that the server wrote to them, and read of their content.
    pub(super) moved: Arc<AtomicU64>,
    pub(super) totals: Totals,
}

/// One connection's place of a client: transfers follow one another in it.
pub(super) struct Worker {
    pub(super) running: usize,
    /// The number of the client in its group.
    pub(super) client: usize,
    /// Transfers that it still has; `None`: any number.
    pub(super) left: Option<usize>,
    pub(super) link: Option<Link>,
    /// The number of the transfer under way; 0 if there is none.
    pub(super) transfer: u64,
    pub(super) next_request: NextRequest,
}

/// A connection of a worker.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) line: Line,
    pub(super) peer: SocketAddr,
}

/// A transfer as its client wants it.
#[derive(Clone)]
pub(super) struct NextRequest {
    pub(super) head: Bytes,
    pub(super) content: u64,
    pub(super) response: ResponseSpec,
}

impl RunningGroup {
    pub(super) fn new(group: Group, seed: u64, nth: usize) -> Self {
        let certificate = group.certificate.as_deref().and_then(certificate);
        let totals = Totals::of(group.count);
        let random = Random::new(seed, nth);
        Self { random, certificate, moved: Arc::default(), totals, group }
    }

    pub(super) fn speeds(&self) -> Speeds {
        Speeds { read: self.group.read_rate, send: self.group.send_rate, buffer: self.group.buffer }
    }

    /// What a client of the group asks for next.
    pub(super) fn next_request(&self) -> NextRequest {
        let group = &self.group;
        let target =
            &group.paths[self.random.weighted(group.paths.iter().map(|target| target.weight as u64))];
        let sizes = if target.sizes.is_empty() { &group.sizes } else { &target.sizes };
        let size = self.one_of(sizes).unwrap_or(SizeOf::Fixed(0)).draw(&self.random);
        let content = self.one_of(&group.uploads).and_then(|size| size.draw(&self.random)).unwrap_or(0);
        let head = self.head(&target.path, content);
        NextRequest { head, content, response: ResponseSpec { size, rate: group.source_rate } }
    }

    fn one_of(&self, sizes: &[SizeOf]) -> Option<SizeOf> {
        match sizes {
            [] => None,
            [one] => Some(*one),
            several => Some(several[self.random.below(several.len() as u64) as usize]),
        }
    }

    fn head(&self, path: &str, content: u64) -> Bytes {
        let group = &self.group;
        let mut head = format!("{} {path} HTTP/1.1\r\n", group.method).into_bytes();
        let mut field = |name: &str, value: &[u8]| {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value);
            head.extend_from_slice(b"\r\n");
        };
        if !group.fields.iter().any(|(name, _)| name == HOST) {
            field("Host", b"localhost");
        }
        group.fields.iter().for_each(|(name, value)| field(name.as_str(), value.as_bytes()));
        if !group.uploads.is_empty() {
            field("Content-Length", content.to_string().as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        head.into()
    }
}

impl Worker {
    pub(super) fn new(running: usize, client: usize, left: Option<usize>) -> Self {
        let next_request = NextRequest {
            head: Bytes::new(),
            content: 0,
            response: ResponseSpec { size: Some(0), rate: None },
        };
        Self { running, client, left, link: None, transfer: 0, next_request }
    }
}

/// The certificate of this SHA-256, or of this name.
fn certificate(text: &str) -> Option<ClientCertificate> {
    let name = Arc::new(ClientCertificate::digest_of_name(text)?);
    let fingerprint = match ClientKey::certificate(text) {
        Some(ClientKey::Certificate(fingerprint)) => fingerprint,
        _ => Arc::clone(&name),
    };
    // A common name: one of the DNS would be compared in any case.
    Some(ClientCertificate { fingerprint, name, is_dns: false })
}
