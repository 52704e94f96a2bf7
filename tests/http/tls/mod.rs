//! TLS on listeners: what clients see of certificates, handshakes, ends and paces.

mod carried;
mod certificates;
mod client_keys;
mod ends;
mod handshakes;
mod relayed;

use std::net::SocketAddr;

use sluicegate::http::route::Route;
use sluicegate::http::server::{Server, Settings};
use sluicegate::rt::Listener;
use sluicegate::tls::{Identity, ServerTls, TlsSettings};
use testkit::certificates::Certificates;
use testkit::served::Served;

fn bind() -> Listener {
    Listener::bind_tcp(([127, 0, 0, 1], 0).into()).unwrap()
}

/// Settings with the certificates of these names.
fn settings(certificates: &Certificates, names: &[&str]) -> TlsSettings {
    let identity = |name: &&str| Identity {
        certificate: certificates.at(&format!("{name}.pem")),
        key: certificates.at(&format!("{name}.key")),
    };
    TlsSettings::of(names.iter().map(identity).collect())
}

/// A server with TLS alone.
struct Secured {
    served: Served,
    tls: ServerTls,
}

impl Secured {
    fn new(settings: &TlsSettings, routes: Vec<Route>) -> Self {
        Self::with(Settings::default(), settings, routes)
    }

    fn with(server: Settings, settings: &TlsSettings, routes: Vec<Route>) -> Self {
        let tls = ServerTls::from_settings("main", settings).unwrap();
        let server = Server::new(server, vec![], routes).with_listener(bind(), Some(tls.clone()));
        Self { served: Served::running(server), tls }
    }

    fn addr(&self) -> SocketAddr {
        self.served.addr
    }
}
