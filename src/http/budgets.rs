//! The budgets that a server's responses share, and the client whose budget a request is charged to: its class, and its key
//! there.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::classes::{Asked, Asker, Class, ClassInForce, PreparedClass};
use super::limits::{KeySource, SharedLimits};
use super::peer::{ClientAddr, PeerAddr};
use crate::budget::{ClientKey, Clients, IdleBound, Node};
use crate::clock::Clock;
use crate::limit::Limit;
use crate::live_limits::ClientLimit;
use crate::sync::RwLock;
use crate::tls::ClientCertificate;

/// Names of the nodes, as logs and the admin listener show them.
pub(crate) const SERVER: &str = "server";
pub(crate) const CLIENT: &str = "client";
pub(crate) const CLASS: &str = "class";
pub(crate) const CLASS_CLIENT: &str = "class_client";
pub(crate) const ROUTE: &str = "route";
pub(crate) const ROUTE_CLIENT: &str = "route_client";

/// The same for uploads, and the name of the pace of one.
pub(crate) const UPLOAD: &str = "upload";
pub(crate) const UPLOAD_SERVER: &str = "upload_server";
pub(crate) const UPLOAD_CLIENT: &str = "upload_client";
pub(crate) const UPLOAD_CLASS: &str = "upload_class";
pub(crate) const UPLOAD_CLASS_CLIENT: &str = "upload_class_client";
pub(crate) const UPLOAD_ROUTE: &str = "upload_route";
pub(crate) const UPLOAD_ROUTE_CLIENT: &str = "upload_route_client";

/// The server's node, those of its clients below it, the same for uploads, and the limit of each connection.
///
/// ```no_run
/// use sluicegate::http::server::{Server, Settings};
/// use sluicegate::limit::{Budget, Rate};
///
/// let server = Server::new(Settings::default(), vec![], vec![]);
/// let handle = server.handle();
/// // Holds for all transfers under way, at once.
/// handle.budgets().server().set(Budget::of(Rate::mib_per_second(50)));
/// handle.budgets().clients().set(Budget::of(Rate::mib_per_second(1)));
/// ```
pub struct Budgets {
    clients: Clients,
    uploads: Clients,
    /// Of these clients and those of classes, routes and ports.
    idle: IdleBound,
    identity: RwLock<Identity>,
    connection: Limit,
}

opaque!(Budgets);

/// How clients are told apart.
#[derive(Default)]
struct Identity {
    key: KeySource,
    /// The first that has a client is its class.
    classes: Vec<ClassInForce>,
    /// The limits of single clients that the settings have, in each class too.
    own: Arc<[ClientLimit]>,
    /// How often it was decided who a client is.
    #[cfg(test)]
    decisions: std::sync::atomic::AtomicUsize,
}

/// Whose budget a request or a stream of raw TCP is charged to.
#[derive(Clone, Debug)]
pub(crate) struct Charged {
    /// `None` if no class has the client.
    pub(crate) class: Option<Arc<Class>>,
    /// What tells it apart, in its class or among those without one.
    pub(crate) key: ClientKey,
}

impl Charged {
    /// Whether both are one client of one class.
    fn is_same(&self, other: &Self) -> bool {
        let name = |charged: &Self| charged.class.as_ref().map(|class| class.shared_name());
        self.key == other.key && name(self) == name(other)
    }
}

impl Budgets {
    pub(crate) fn new(limits: &SharedLimits, connection: Limit, clock: Arc<dyn Clock>) -> Self {
        let server = Node::root(SERVER, limits.server, Arc::clone(&clock));
        let uploads = Node::root(UPLOAD_SERVER, limits.upload.server, clock);
        let (clients, uploads) = (
            Clients::new(server, CLIENT, limits.client),
            Clients::new(uploads, UPLOAD_CLIENT, limits.upload.client),
        );
        let idle = IdleBound::default();
        clients.share(&idle);
        uploads.share(&idle);
        let identity =
            Identity { key: limits.key.clone(), own: limits.own.as_slice().into(), ..Identity::default() };
        let budgets = Self { clients, uploads, idle, identity: RwLock::new(identity), connection };
        budgets.set_clients(limits);
        budgets
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

    /// The bound of all clients that the server remembers, wherever they have a limit.
    pub(crate) fn idle(&self) -> &IdleBound {
        &self.idle
    }

    /// The limit of each connection.
    pub fn connection(&self) -> &Limit {
        &self.connection
    }

    /// What identifies a client.
    pub fn key(&self) -> KeySource {
        self.identity.read().key.clone()
    }

    /// The classes of clients, in order.
    pub fn classes(&self) -> Vec<Arc<Class>> {
        self.identity.read().classes.iter().map(|found| Arc::clone(&found.class)).collect()
    }

    /// The class of this name.
    pub fn class(&self, name: &str) -> Option<Arc<Class>> {
        let classes = &self.identity.read().classes;
        classes.iter().map(|found| &found.class).find(|class| class.name() == name).cloned()
    }

    /// The nodes of clients of `class`, or of those without one.
    pub(crate) fn clients_of<'a>(&'a self, class: Option<&'a Class>) -> &'a Clients {
        class.map_or(&self.clients, Class::clients)
    }

    /// The same for uploads.
    pub(crate) fn uploads_of<'a>(&'a self, class: Option<&'a Class>) -> &'a Clients {
        class.map_or(&self.uploads, Class::uploads)
    }

    /// Describes what the keys of `prepared` change of those of the classes in force; shows none of them.
    pub(crate) fn key_changes(&self, prepared: &[PreparedClass]) -> Vec<String> {
        let classes = &self.identity.read().classes;
        let change = |prepared: &PreparedClass| {
            classes.iter().find(|found| found.class.name() == prepared.name())?.key_changes(prepared)
        };
        prepared.iter().filter_map(change).collect()
    }

    /// Puts `prepared` in the place of all classes, for requests that come. One of a name that is known goes on with its nodes,
    /// whose limits are set, also for what is under way; of the others what is under way ends as it began.
    pub(crate) fn set_classes(&self, prepared: Vec<PreparedClass>) {
        // Requests wait for neither the limits of all nodes to be set nor the old nodes and keys to be dropped.
        let old = self.classes();
        let own = Arc::clone(&self.identity.read().own);
        let make = |prepared: PreparedClass| {
            let old = old.iter().find(|class| class.name() == prepared.name()).cloned();
            let made = ClassInForce::new(prepared, [self.clients.parent(), self.uploads.parent()], &own, old);
            made.class.clients().share(&self.idle);
            made.class.uploads().share(&self.idle);
            made
        };
        let new = prepared.into_iter().map(make).collect();
        let _replaced = std::mem::replace(&mut self.identity.write().classes, new);
    }

    /// Sets all limits, also for responses under way, and the key for new requests.
    pub(crate) fn set(&self, limits: &SharedLimits) {
        self.server().set(limits.server);
        self.uploads.parent().set(limits.upload.server);
        self.set_own(&limits.own);
        self.set_clients(limits);
        self.identity.write().key = limits.key.clone();
    }

    /// Has classes that are set from now on give single clients their limits.
    pub(crate) fn set_own(&self, own: &[ClientLimit]) {
        self.identity.write().own = own.into();
    }

    /// Sets the limits of clients without a class, and of single ones of them.
    fn set_clients(&self, limits: &SharedLimits) {
        let (each, each_upload) = (limits.client, limits.upload.client);
        self.clients.reset_with(each, ClientLimit::all_of(&limits.own, false));
        self.uploads.reset_with(each_upload, ClientLimit::all_of(&limits.own, true));
    }

    /// Whose budget a request of `client` is charged to, on a connection whose end showed `certificate`. That of a proxy
    /// which names another client says nothing of that client.
    pub(in crate::http) fn charged(
        &self,
        request: Asked<'_>,
        client: &ClientAddr,
        certificate: Option<&ClientCertificate>,
    ) -> Charged {
        let certificate = certificate.filter(|_| matches!(client, ClientAddr::Peer(_)));
        self.identity.read().charged(&Asker::new(client.ip(), certificate, Some(request)))
    }

    /// Whether the same request would be charged to another where its path is read in one of the ways of `others`.
    pub(in crate::http) fn differs<'a>(
        &self,
        charged: &Charged,
        (request, others): (Asked<'a>, impl IntoIterator<Item = Option<&'a str>>),
        client: &ClientAddr,
        certificate: Option<&ClientCertificate>,
    ) -> bool {
        let mut others = others.into_iter().map(|path| Asked { path, ..request });
        others.any(|request| !self.charged(request, client, certificate).is_same(charged))
    }

    /// Whose budget a request is charged to whose client is not known, since the proxy at `proxy` contradicts itself: the
    /// proxy's, and no class's. What makes it contradict itself may be the client's own words.
    pub(in crate::http) fn charged_to_proxy(
        &self,
        request: Asked<'_>,
        proxy: &ClientAddr,
        certificate: Option<&ClientCertificate>,
    ) -> Charged {
        let key = self.identity.read().key(&Asker::new(proxy.ip(), certificate, Some(request)));
        Charged { class: None, key }
    }

    /// How often it was decided in which class a client is.
    #[cfg(test)]
    pub(in crate::http) fn decisions(&self) -> usize {
        self.identity.read().decisions.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Whose budget a stream of raw TCP is charged to, on a connection whose client showed `certificate`.
    pub(crate) fn charged_stream(
        &self,
        client: PeerAddr,
        certificate: Option<&ClientCertificate>,
    ) -> Charged {
        self.identity.read().charged(&Asker::new(client.ip(), certificate, None))
    }
}

impl Identity {
    fn charged(&self, asker: &Asker<'_>) -> Charged {
        #[cfg(test)]
        self.decisions.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let found = self.classes.iter().find_map(|found| Some((&found.class, found.find(asker)?)));
        let (class, key) = found.map_or((None, None), |(class, key)| (Some(Arc::clone(class)), key));
        Charged { class, key: key.unwrap_or_else(|| self.key(asker)) }
    }

    /// What tells a client apart where its class does not.
    fn key(&self, asker: &Asker<'_>) -> ClientKey {
        let (certificate, fields) = (asker.certificate, asker.request.map(|request| request.fields));
        let key = match &self.key {
            KeySource::Address => None,
            KeySource::Header(name) => fields.and_then(|fields| self.header_key(name, fields)),
            KeySource::Certificate => certificate.map(|certificate| &certificate.fingerprint).map(of_digest),
            KeySource::CertificateName => certificate.map(|certificate| &certificate.name).map(of_digest),
        };
        key.unwrap_or_else(|| asker.ip.map_or(ClientKey::Local, ClientKey::address))
    }

    /// The key of the header `name`. Where a class requires known keys, no other is one, nor is one of several.
    fn header_key(&self, name: &HeaderName, fields: &HeaderMap) -> Option<ClientKey> {
        let mut values = fields.get_all(name).iter().map(HeaderValue::as_bytes);
        let value = values.next()?;
        let mut is_known =
            || values.next().is_none() && self.classes.iter().any(|class| class.knows(name, value));
        let counts = !self.classes.iter().any(|class| class.requires(name)) || is_known();
        counts.then(|| ClientKey::header(value)).flatten()
    }
}

fn of_digest(digest: &Arc<[u8; 32]>) -> ClientKey {
    ClientKey::Certificate(Arc::clone(digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::http::request_path::RequestPath;

    /// The key of a request with these fields.
    fn key_of(
        budgets: &Budgets,
        fields: &HeaderMap,
        client: &ClientAddr,
        certificate: Option<&ClientCertificate>,
    ) -> ClientKey {
        let mut request = http::Request::new(());
        request.headers_mut().clone_from(fields);
        budgets.charged(Asked::of(&request, &RequestPath::new("/")), client, certificate).key
    }

    #[test]
    fn a_request_is_charged_to_its_header_or_else_to_its_address() {
        let limits = SharedLimits { key: "header:x-key".parse().unwrap(), ..SharedLimits::default() };
        let budgets = Budgets::new(&limits, Limit::unlimited(), Arc::new(ManualClock::new()));
        let client = ClientAddr::Named("192.0.2.1".parse().unwrap());
        let of = |value: &str| {
            let mut fields = HeaderMap::new();
            fields.insert("x-key", value.parse().unwrap());
            key_of(&budgets, &fields, &client, None)
        };
        let address = ClientKey::V4("192.0.2.1".parse().unwrap());
        assert_eq!(of("a"), ClientKey::header(b"a").unwrap());
        assert_eq!(of(""), address);
        assert_eq!(of(&"k".repeat(ClientKey::MAX_HEADER + 1)), address);
        assert_eq!(key_of(&budgets, &HeaderMap::new(), &client, None), address);
        budgets.set(&SharedLimits::default());
        assert_eq!(of("a"), address, "the key was changed");
    }

    #[test]
    fn a_connection_is_charged_to_its_clients_certificate_and_a_proxys_says_nothing_of_others() {
        let limits = |key: &str| SharedLimits { key: key.parse().unwrap(), ..SharedLimits::default() };
        let budgets = Budgets::new(&limits("address"), Limit::unlimited(), Arc::new(ManualClock::new()));
        let shown =
            ClientCertificate { fingerprint: Arc::new([1; 32]), name: Arc::new([2; 32]), is_dns: false };
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
            let of = |client: &ClientAddr, shown| key_of(&budgets, &HeaderMap::new(), client, shown);
            assert_eq!(of(&ClientAddr::Peer(peer), Some(&shown)), expected, "{key}");
            assert_eq!(of(&ClientAddr::Peer(peer), None), address, "{key}");
            assert_eq!(of(&named, Some(&shown)), other, "{key}");
            assert_eq!(budgets.charged_stream(peer, Some(&shown)).key, expected, "{key}");
            let unix = budgets.charged_stream(PeerAddr::Unix, None).key;
            assert_eq!(unix, ClientKey::Local, "{key}");
        }
    }
}
