//! A header that comes in pieces.
//!
//! At each point it says how many bytes must still come at least, so that its reader takes none of what follows it. Version 2
//! has its length in front; a line of version 1 has what its missing fields need.

use proxy_header::{ParseConfig, ProxyHeader};

use super::Announced;
use super::failure::{HeaderFailure, HeaderReason};

const V1: &[u8] = b"PROXY ";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The shortest header: `PROXY UNKNOWN` and a line end. Version 2 has one more byte.
const SHORTEST: usize = 15;

/// The longest line of version 1, its end included.
const MAX_V1: usize = 107;

/// Bytes of version 2 before what its length counts.
const V2_HEAD: usize = 16;

/// The longest header of version 2, as in nginx. Addresses need 36 bytes of it, those of Unix sockets 216; the rest are extensions,
/// which nothing here needs.
const MAX_V2: usize = 4096;

/// `LOCAL`: the proxy connected for itself, as for a health check.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

/// The bytes of a header so far.
#[derive(Debug, Default)]
pub(super) struct Partial(Vec<u8>);

/// What a header needs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// At least so many bytes more; never 0.
    Needs(usize),
    /// Nothing: it is whole. `None`: it names no address, so the client is the peer.
    Whole(Option<Announced>),
}

const MALFORMED: HeaderFailure =
    HeaderFailure::new(HeaderReason::Malformed, "it is not a header of version 1 or 2");
const MISSING: HeaderFailure = HeaderFailure::new(
    HeaderReason::Missing,
    "something else came first: have the proxy send its header (HAProxy: send-proxy-v2, nginx: proxy_protocol on)",
);
const TOO_LONG_V1: HeaderFailure =
    HeaderFailure::new(HeaderReason::TooLong, "a line of version 1 has at most 107 bytes");
const TOO_LONG_V2: HeaderFailure =
    HeaderFailure::new(HeaderReason::TooLong, "a header of version 2 may have 4096 bytes here");

impl Partial {
    /// Whether no byte has come.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Room for the next `len` bytes, of which [`keep`](Self::keep) tells how many came.
    pub(super) fn space(&mut self, len: usize) -> &mut [u8] {
        let at = self.0.len();
        self.0.resize(at + len, 0);
        &mut self.0[at..]
    }

    /// Keeps the first `read` of `len` bytes of room.
    pub(super) fn keep(&mut self, len: usize, read: usize) {
        self.0.truncate(self.0.len() - len + read);
    }

    /// What is still needed.
    ///
    /// # Errors
    /// It cannot become a header.
    pub(super) fn progress(&self) -> Result<Progress, HeaderFailure> {
        let bytes = self.0.as_slice();
        let begins = |with: &[u8]| {
            let common = bytes.len().min(with.len());
            bytes[..common] == with[..common]
        };
        match (begins(V1), begins(V2)) {
            (false, false) => Err(MISSING),
            _ if bytes.len() < SHORTEST => Ok(Progress::Needs(SHORTEST - bytes.len())),
            (true, _) => v1(bytes),
            _ => v2(bytes),
        }
    }
}

fn v1(line: &[u8]) -> Result<Progress, HeaderFailure> {
    if line.len() > MAX_V1 {
        return Err(TOO_LONG_V1);
    }
    match line.iter().position(|byte| *byte == b'\n') {
        Some(at) if at + 1 == line.len() => return whole(line),
        Some(_) => return Err(MALFORMED),
        None if line.len() == MAX_V1 => return Err(TOO_LONG_V1),
        None => {}
    }
    // The protocol, two addresses and two ports follow a space each, and have a byte at least.
    let names_addresses = line[V1.len()..].starts_with(b"TCP");
    let spaces = line.iter().filter(|byte| **byte == b' ').count();
    let missing = if names_addresses { 5_usize.saturating_sub(spaces) } else { 0 };
    let needed = match line.last() {
        Some(b'\r') => 1,
        _ => 2 * missing + 2,
    };
    Ok(Progress::Needs(needed.min(MAX_V1 - line.len())))
}

fn v2(bytes: &[u8]) -> Result<Progress, HeaderFailure> {
    let (Some(command), Some(&[high, low])) = (bytes.get(V2.len()), bytes.get(V2_HEAD - 2..V2_HEAD)) else {
        return Ok(Progress::Needs(V2_HEAD - bytes.len()));
    };
    if ![LOCAL, PROXY].contains(command) {
        return Err(MALFORMED);
    }
    let len = V2_HEAD + usize::from(u16::from_be_bytes([high, low]));
    if len > MAX_V2 {
        return Err(TOO_LONG_V2);
    }
    match len - bytes.len() {
        // Section 2.2: the block of addresses, and their family, are to be ignored.
        0 if *command == LOCAL => Ok(Progress::Whole(None)),
        0 => whole(bytes),
        needed => Ok(Progress::Needs(needed)),
    }
}

fn whole(bytes: &[u8]) -> Result<Progress, HeaderFailure> {
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    match ProxyHeader::parse(bytes, config) {
        Ok((header, len)) if len == bytes.len() => {
            let announced = header
                .proxied_address()
                .map(|given| Announced { source: given.source, destination: given.destination });
            Ok(Progress::Whole(announced))
        }
        Ok(_) | Err(_) => Err(MALFORMED),
    }
}

#[cfg(test)]
mod tests;
