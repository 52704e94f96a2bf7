//! A server with a port of raw TCP, and what is waited for.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;

use sluicegate::http::route::Route;
use sluicegate::http::server::{Server, Settings};
use sluicegate::rt::Listener;
use sluicegate::tcp::Service;

use testkit::folder::folder;
use testkit::served::{Served, connect};
use testkit::wait::{PATIENCE, until};

/// A file of its own with this content.
pub fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = folder(&[("a", content)]);
    let path = folder.path().join("a");
    (folder, path)
}

/// A server with one port, and maybe routes.
pub struct Ported {
    pub served: Served,
    pub port: SocketAddr,
}

impl Ported {
    pub fn new(service: Service) -> Self {
        Self::with(Settings::default(), service, Vec::new())
    }

    pub fn with(settings: Settings, service: Service, routes: Vec<Route>) -> Self {
        let bind = || Listener::bind_tcp(([127, 0, 0, 1], 0).into()).unwrap();
        Self::of(Server::new(settings, vec![bind()], routes).with_port(bind(), service))
    }

    pub fn of(server: Server) -> Self {
        let port = server.handle().ports()[0].addr();
        Self { served: Served::running(server), port }
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.port)
    }

    /// What the port's streams were counted as: bytes, streams ended, and those aborted of them.
    pub fn counted(&self) -> (u64, u64, u64) {
        let name = format!("tcp:{}", self.port);
        let routes = self.served.handle.telemetry().routes();
        let counts = routes.iter().find(|route| route.path() == Some(&name)).unwrap();
        let ended = counts.durations().buckets().iter().map(|(_, count)| count).sum();
        (counts.bytes(), ended, counts.aborted())
    }

    /// Waits until all connections have gone.
    pub fn quiet(&self) {
        until("connections end", || self.served.handle.connections() == 0);
    }
}

/// An upstream that is one thread for each connection.
pub fn upstream(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let serve = std::sync::Arc::new(serve);
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let serve = std::sync::Arc::clone(&serve);
            std::thread::spawn(move || serve(stream));
        }
    });
    addr
}

pub fn relay_to(addr: SocketAddr) -> Service {
    Service::relay(&addr.ip().to_string(), addr.port())
}

/// Makes the coming close a reset.
pub fn reset(stream: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&stream, Some(std::time::Duration::ZERO)).unwrap();
}

/// Bytes that differ from place to place.
pub fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7 + n / 251) as u8).collect()
}
