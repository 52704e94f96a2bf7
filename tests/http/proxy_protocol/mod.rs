//! The PROXY protocol on listeners, and towards the targets of relays and the backends of routes.

mod clients;
mod refusals;
mod relays;
mod upstreams;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use sluicegate::http::route::Route;
use sluicegate::http::server::{Server, Settings};
use sluicegate::proxy_protocol::{ProxyVersion, header};
use sluicegate::rt::Listener;
use sluicegate::tls::ServerTls;
use testkit::backend::{Backend, routed};
use testkit::served::{Served, connect};

const VERSIONS: [ProxyVersion; 2] = [ProxyVersion::V1, ProxyVersion::V2];

fn bind() -> Listener {
    Listener::bind_tcp(([127, 0, 0, 1], 0).into()).unwrap()
}

/// Settings that trust these peers.
fn trusting(networks: &[&str]) -> Settings {
    let networks = networks.iter().map(|network| network.parse().unwrap());
    Settings { trusted: networks.collect(), ..Settings::default() }
}

/// A server whose clients are announced.
fn behind_proxies(settings: Settings, tls: Option<ServerTls>, routes: Vec<Route>) -> Served {
    let server = Server::new(settings, vec![], routes).with_listener(bind(), tls);
    Served::running(server.with_proxy_protocol())
}

/// A route at `/` whose content is the head that a backend was sent.
fn echo() -> Route {
    let backend = Backend::new(|stream, head| {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{head}", head.len());
        let _ = stream.write_all(answer.as_bytes());
    });
    routed("/", backend.source(), None)
}

/// A header that announces `client`, which came to port 443 of a proxy.
fn announcing(version: ProxyVersion, client: &str) -> Vec<u8> {
    let client: SocketAddr = client.parse().unwrap();
    let proxy = if client.is_ipv4() { "198.51.100.7:443" } else { "[2001:db8::7]:443" };
    header(version, Some(client), proxy.parse().ok())
}

/// Connects and sends a header.
fn connect_announcing(addr: SocketAddr, version: ProxyVersion, client: &str) -> TcpStream {
    let mut stream = connect(addr);
    stream.write_all(&announcing(version, client)).unwrap();
    stream
}
