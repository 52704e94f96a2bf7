//! An event server by the configuration of the page, on an address that stays its own when it is killed, and a plain client of it.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use testkit::wait::until;
use testkit::wire::{Client, End};

use super::PAGE;
use crate::haproxy::{blocks, with};
use crate::sluicegate::Sluicegate;

/// Connections are made from 127.0.0.1: what listens here loses its port to none of them while it is away.
pub const HOST: &str = "127.0.18.1";

/// What publishers send.
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// An answer may be late: the store is away.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct EventServer {
    pub addr: SocketAddr,
    config: PathBuf,
    server: Option<Sluicegate>,
    _folder: TempDir,
}

/// An address that nobody has.
pub fn free() -> SocketAddr {
    TcpListener::bind((HOST, 0)).unwrap().local_addr().unwrap()
}

impl EventServer {
    pub fn start(store: &str, nth: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join(format!("server-{nth}.toml"));
        let addr = free();
        let token = folder.path().join("token");
        fs::write(&token, TOKEN).unwrap();
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
        let keys = blocks(PAGE, "The servers", "toml")[0];
        let keys = with(
            keys,
            &[
                ("listen = \"0.0.0.0:8080\"\n", &format!("listen = \"{addr}\"\nlog_level = \"warn\"\n")),
                ("trusted_proxies = [\"10.0.0.9\"]\n", "trusted_proxies = [\"127.0.0.1\"]\n"),
                ("publish-token", token.to_str().unwrap()),
                ("names = \"news\"", "names = \"s\""),
                ("redis://127.0.0.1:6380/0", store),
            ],
        );
        fs::write(&config, format!("{keys}log = 1_000_000\nlog_bytes = \"1g\"\nretry = \"10ms\"\n")).unwrap();
        let server = Some(Sluicegate::run_as_told(&config));
        Self { addr, config, server, _folder: folder }
    }

    /// Kills it, and starts it again after a while.
    pub fn is_killed(&mut self, away: Duration) {
        self.server = None;
        sleep(away);
        until("its port", || TcpListener::bind(self.addr).is_ok());
        self.server = Some(Sluicegate::run_as_told(&self.config));
    }

    /// Kills it for good.
    pub fn dies(&mut self) {
        self.server = None;
    }

    pub fn begins(&mut self) {
        self.is_killed(Duration::ZERO);
    }
}

fn ask(at: SocketAddr, method: &str, request: &str) -> Option<testkit::wire::Answer> {
    let mut stream = TcpStream::connect(at).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).ok()?;
    Client::new(stream).try_answer_to(method).ok().filter(|answer| answer.end == End::Complete)
}

/// The status of a publication; `None` if there was no whole answer.
pub fn post(at: SocketAddr, content: &str) -> Option<u16> {
    posted(at, content).map(|(status, _)| status)
}

/// Status and content of the answer to a publication.
pub fn posted(at: SocketAddr, content: &str) -> Option<(u16, Value)> {
    let fields = "Host: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n";
    let length = content.len();
    let request = format!(
        "POST /events/s HTTP/1.1\r\n{fields}Authorization: Bearer {TOKEN}\r\nContent-Length: {length}\r\n\r\n{content}"
    );
    let answer = ask(at, "POST", &request)?;
    Some((answer.status(), serde_json::from_slice(&answer.body).unwrap_or_default()))
}

/// Whether an acknowledgement was answered 204.
pub fn acknowledged(at: SocketAddr, content: &str) -> bool {
    let fields = "Host: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n";
    let length = content.len();
    let request = format!("POST /events/s/ack HTTP/1.1\r\n{fields}Content-Length: {length}\r\n\r\n{content}");
    ask(at, "POST", &request).is_some_and(|answer| answer.status() == 204)
}

/// The answer to a poll, if it is one.
pub fn polled(at: SocketAddr, query: &str) -> Option<Value> {
    let request =
        format!("GET /events/s/poll?{query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let answer = ask(at, "GET", &request).filter(|answer| answer.status() == 200)?;
    serde_json::from_slice(&answer.body).ok()
}

/// Whether the event that ends it all has come here.
pub fn has_end(at: SocketAddr) -> bool {
    // What is asked is whether the id is known.
    polled(at, "max=1&after=end&wait=0s").is_some_and(|answer| answer["gap"].is_null())
}

/// What comes at once of a stream.
pub fn first_bytes(at: SocketAddr, target: &str) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(at).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").ok()?;
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    while !bytes.windows(3).any(|end| end == b"}\n\n") {
        let len = stream.read(&mut piece).ok().filter(|len| *len > 0)?;
        bytes.extend_from_slice(&piece[..len]);
    }
    bytes.starts_with(b"HTTP/1.1 200 ").then_some(bytes)
}
