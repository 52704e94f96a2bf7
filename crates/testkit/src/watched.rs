//! A server with an admin listener, and a client for it.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;

use sluicegate::admin::Admin;
use sluicegate::http::route::Route;
use sluicegate::http::server::Settings;
use sluicegate::rt::{self, Listener};
use sluicegate::token::Token;

use crate::exposition::Exposition;
use crate::folder;
use crate::served::{Served, connect};
use crate::wait;
use crate::wire::{self, Answer};

/// A token, as good as any.
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A running server and its admin listener. Dropping it stops both and checks that they end.
pub struct Watched {
    /// The server.
    pub served: Served,
    /// Where its admin listener is.
    pub admin: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Watched {
    /// Serves `routes`, with an admin listener that needs no token.
    pub fn new(routes: Vec<Route>) -> Self {
        Self::with(Settings::default(), routes)
    }

    /// Serves `routes` with these settings, and an admin listener that needs no token.
    pub fn with(settings: Settings, routes: Vec<Route>) -> Self {
        Self::made(settings, routes, |listener, handle| Admin::new(vec![listener], None, handle).unwrap())
    }

    /// Serves `routes`, with an admin listener that wants [`TOKEN`].
    pub fn with_token(routes: Vec<Route>) -> Self {
        Self::made(Settings::default(), routes, |listener, handle| {
            Admin::new(vec![listener], Some(Token::new(TOKEN).unwrap()), handle).unwrap()
        })
    }

    /// Serves `routes`, with the admin listener that `make` makes of a socket and the server's handle.
    pub fn made(
        settings: Settings,
        routes: Vec<Route>,
        make: impl FnOnce(Listener, sluicegate::http::server::Handle) -> Admin,
    ) -> Self {
        let served = Served::with(settings, routes);
        let admin = make(Listener::bind_tcp(([127, 0, 0, 1], 0).into()).unwrap(), served.handle.clone());
        let addr = admin.local_addrs()[0];
        let thread = std::thread::spawn(move || rt::block_on(admin.run()));
        Self { served, admin: addr, thread: Some(thread) }
    }

    /// Sends `request` to the admin listener, on a connection of its own.
    pub fn ask(&self, request: &str) -> Answer {
        ask(self.admin, request)
    }

    /// GETs a page of the admin listener, with further header lines (each with its CRLF).
    pub fn get(&self, path: &str, fields: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"))
    }

    /// The metrics now, in OpenMetrics, checked to the letter.
    pub fn metrics(&self) -> Exposition {
        Exposition::parse(&text(self.get("/metrics", "Accept: application/openmetrics-text\r\n")))
    }

    /// The metrics as soon as they are as wished. What ends is counted a moment after its last byte.
    pub fn metrics_when(&self, wished: impl Fn(&Exposition) -> bool) -> Exposition {
        wait::soon("metrics as wished", || Some(self.metrics()).filter(&wished))
    }

    /// Waits for the admin listener's own end.
    pub fn join(mut self) {
        wait::joined("the end of the admin listener", self.thread.take().unwrap());
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.served.handle.stop();
        if let Some(thread) = self.thread.take() {
            let ended = wait::ended(thread);
            if !std::thread::panicking() {
                ended.expect("the admin listener does not end").unwrap();
                // A process that another test begins meanwhile has all our sockets for a moment.
                wait::until("the end of the admin listener", || TcpStream::connect(self.admin).is_err());
            }
        }
    }
}

/// Sends `request` to `addr`, on a connection of its own, and reads the response.
pub fn ask(addr: SocketAddr, request: &str) -> Answer {
    let mut stream = connect(addr);
    stream.write_all(request.as_bytes()).unwrap();
    wire::answer_to(stream, request.split(' ').next().unwrap())
}

/// The text of a page of the admin listener at `addr`, on a connection of its own.
pub fn page(addr: SocketAddr, path: &str) -> String {
    text(ask(addr, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")))
}

/// The value of a metric, with its labels if it has any; `None` if the admin listener at `addr` has none such.
pub fn metric(addr: SocketAddr, name: &str) -> Option<u64> {
    let page = page(addr, "/metrics");
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    // Some gauges are written with a point.
    Some(value.parse::<f64>().unwrap() as u64)
}

/// The body of a response with status 200.
pub fn text(response: Answer) -> String {
    assert_eq!(response.status(), 200, "{response:?}");
    String::from_utf8(response.body).unwrap()
}

/// A folder with a file of 1 000 bytes and one of a million.
pub fn folder() -> tempfile::TempDir {
    folder::folder(&[("small.bin", &[b'x'; 1000]), ("large.bin", &[b'y'; 1_000_000])])
}
