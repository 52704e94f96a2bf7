//! The task that every server gets, and where it gets its configuration.

use std::path::Path;

use crate::site::Site;

/// Where the bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The site's folder.
    File,
    /// A backend on this port.
    Proxied(u16),
}

/// What a server is to do.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    pub site: &'a Site,
    pub source: Source,
    /// The pace of each response, in KiB/s, the unit all four have.
    pub kib_per_second: Option<u64>,
    /// How often Sluicegate sends a chunk, if not each 200 ms. The others have no such setting.
    pub interval: Option<&'static str>,
    /// So many connections at a time.
    pub connections: usize,
    /// With TLS, and the site's certificate.
    pub tls: bool,
}

/// Where a server puts its configuration, and listens.
pub struct Place<'a> {
    /// A folder of its own.
    pub state: &'a Path,
    pub port: u16,
}
