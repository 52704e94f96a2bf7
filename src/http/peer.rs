//! Who is on the other end of a connection, and whether it is believed.

use std::net::IpAddr;
use std::sync::Arc;

use crate::config::Network;

pub use crate::rt::PeerAddr;

/// The peers whose word about their own clients is believed: proxies of ours in front of this server.
#[derive(Clone, Debug, Default)]
pub struct TrustedPeers(Arc<[Network]>);

impl TrustedPeers {
    /// Whether a peer with this address is believed.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(ip))
    }
}

impl FromIterator<Network> for TrustedPeers {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}
