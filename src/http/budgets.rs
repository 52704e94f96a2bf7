//! The budgets that a server's responses share, and the client whose budget a request is charged to.

use std::sync::Arc;

use http::HeaderMap;

use super::limits::{KeySource, SharedLimits};
use super::peer::{ClientAddr, PeerAddr};
use crate::budget::{ClientKey, Clients, Node};
use crate::clock::Clock;
use crate::limit::Limit;
use crate::sync::RwLock;
use crate::tls::ClientCertificate;

/// Names of the nodes, as logs and the admin listener show them.
pub(crate) const SERVER: &str = "server";
pub(crate) const CLIENT: &str = "client";
pub(crate) const ROUTE: &str = "route";
pub(crate) const ROUTE_CLIENT: &str = "route_client";

/// The same for uploads, and the name of the pace of one.
pub(crate) const UPLOAD: &str = "upload";
pub(crate) const UPLOAD_SERVER: &str = "upload_server";
pub(crate) const UPLOAD_CLIENT: &str = "upload_client";
pub(crate) const UPLOAD_ROUTE: &str = "upload_route";
pub(crate) const UPLOAD_ROUTE_CLIENT: &str = "upload_route_client";

/// The server's node, those of its clients below it, the same for uploads, and the limit of each connection.
pub struct Budgets {
    clients: Clients,
    uploads: Clients,
    key: RwLock<KeySource>,
    connection: Limit,
}

impl Budgets {
    pub(crate) fn new(limits: &SharedLimits, connection: Limit, clock: Arc<dyn Clock>) -> Self {
        let server = Node::root(SERVER, limits.server, Arc::clone(&clock));
        let uploads = Node::root(UPLOAD_SERVER, limits.upload.server, clock);
        Self {
            clients: Clients::new(server, CLIENT, limits.client),
            uploads: Clients::new(uploads, UPLOAD_CLIENT, limits.upload.client),
            key: RwLock::new(limits.key.clone()),
            connection,
        }
    }

    /// The node of the server, which all its responses share.
    pub fn server(&self) -> &Node {
        self.clients.parent()
    }

    /// The nodes of clients, by key.
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// The nodes of clients' uploads, by key, below the node that all uploads of the server share.
    pub fn uploads(&self) -> &Clients {
        &self.uploads
    }

    /// The limit of each connection.
    pub fn connection(&self) -> &Limit {
        &self.connection
    }

    /// What identifies a client.
    pub fn key(&self) -> KeySource {
        self.key.read().clone()
    }

    /// Sets all limits, also for responses under way, and the key for new requests.
    pub(crate) fn set(&self, limits: &SharedLimits) {
        self.server().set(limits.server);
        self.clients.reset(limits.client);
        self.uploads.parent().set(limits.upload.server);
        self.uploads.reset(limits.upload.client);
        *self.key.write() = limits.key.clone();
    }

    /// The key that a request of `client` with these fields is charged to, on a connection whose end showed
    /// `certificate`. That of a proxy which names another client says nothing of that client.
    pub(crate) fn key_of(
        &self,
        fields: &HeaderMap,
        client: &ClientAddr,
        certificate: Option<&ClientCertificate>,
    ) -> ClientKey {
        let certificate = certificate.filter(|_| matches!(client, ClientAddr::Peer(_)));
        let key = match &*self.key.read() {
            KeySource::Address => None,
            KeySource::Header(name) => fields.get(name).and_then(|value| ClientKey::header(value.as_bytes())),
            KeySource::Certificate => certificate.map(|certificate| &certificate.fingerprint).map(of_digest),
            KeySource::CertificateName => certificate.map(|certificate| &certificate.name).map(of_digest),
        };
        key.unwrap_or_else(|| client.ip().map_or(ClientKey::Local, ClientKey::address))
    }

    /// The key that a stream of raw TCP is charged to, on a connection whose client showed `certificate`.
    pub(crate) fn key_of_stream(
        &self,
        client: PeerAddr,
        certificate: Option<&ClientCertificate>,
    ) -> ClientKey {
        // There are no fields.
        self.key_of(&HeaderMap::new(), &ClientAddr::Peer(client), certificate)
    }
}

fn of_digest(digest: &Arc<[u8; 32]>) -> ClientKey {
    ClientKey::Certificate(Arc::clone(digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn a_request_is_charged_to_its_header_or_else_to_its_address() {
        let limits = SharedLimits { key: "header:x-key".parse().unwrap(), ..SharedLimits::default() };
        let budgets = Budgets::new(&limits, Limit::unlimited(), Arc::new(ManualClock::new()));
        let client = ClientAddr::Named("192.0.2.1".parse().unwrap());
        let of = |value: &str| {
            let mut fields = HeaderMap::new();
            fields.insert("x-key", value.parse().unwrap());
            budgets.key_of(&fields, &client, None)
        };
        let address = ClientKey::V4("192.0.2.1".parse().unwrap());
        assert_eq!(of("a"), ClientKey::Header("a".into()));
        assert_eq!(of(""), address);
        assert_eq!(of(&"k".repeat(ClientKey::MAX_HEADER + 1)), address);
        assert_eq!(budgets.key_of(&HeaderMap::new(), &client, None), address);
        budgets.set(&SharedLimits::default());
        assert_eq!(of("a"), address, "the key was changed");
    }

    #[test]
    fn a_connection_is_charged_to_its_clients_certificate_and_a_proxys_says_nothing_of_others() {
        let limits = |key: &str| SharedLimits { key: key.parse().unwrap(), ..SharedLimits::default() };
        let budgets = Budgets::new(&limits("address"), Limit::unlimited(), Arc::new(ManualClock::new()));
        let shown = ClientCertificate { fingerprint: Arc::new([1; 32]), name: Arc::new([2; 32]) };
        let (peer, named) =
            ("192.0.2.1:5".parse().map(PeerAddr::Tcp).unwrap(), ClientAddr::Named([192, 0, 2, 2].into()));
        let [address, other] = [1, 2].map(|last| ClientKey::V4([192, 0, 2, last].into()));
        for (key, expected) in [
            ("address", address.clone()),
            ("header:x-key", address.clone()),
            ("certificate", ClientKey::Certificate(Arc::new([1; 32]))),
            ("certificate_name", ClientKey::Certificate(Arc::new([2; 32]))),
        ] {
            budgets.set(&limits(key));
            let of = |client: &ClientAddr, shown| budgets.key_of(&HeaderMap::new(), client, shown);
            assert_eq!(of(&ClientAddr::Peer(peer), Some(&shown)), expected, "{key}");
            assert_eq!(of(&ClientAddr::Peer(peer), None), address, "{key}");
            assert_eq!(of(&named, Some(&shown)), other, "{key}");
            assert_eq!(budgets.key_of_stream(peer, Some(&shown)), expected, "{key}");
            let unix = budgets.key_of_stream(PeerAddr::Unix, None);
            assert_eq!(unix, ClientKey::Local, "{key}");
        }
    }
}
