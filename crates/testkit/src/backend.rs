//! Backends by script, and routes to them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use sluicegate::config::ProxySource;
use sluicegate::http::proxy::Proxy;
use sluicegate::http::route::Route;
use sluicegate::limit::Rate;
use sluicegate::rt;

use crate::message;
use crate::wait::{PATIENCE, Told, channel};
use crate::wire;

/// A backend that runs a script for each connection, with the head of its first request. The
/// connection is closed when the script ends.
pub struct Backend {
    /// Where it listens.
    pub addr: SocketAddr,
}

impl Backend {
    /// Listens on a free port and runs `script` on a thread for each connection.
    pub fn new(script: impl Fn(&mut TcpStream, &str) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let script = Arc::new(script);
        // Ends with the test process.
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let script = Arc::clone(&script);
                std::thread::spawn(move || {
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    stream.set_nodelay(true).unwrap();
                    // None came if its connection broke.
                    let head = message::read_head(&mut stream).unwrap_or_default();
                    script(&mut stream, &head);
                });
            }
        });
        Self { addr }
    }

    /// One that answers all requests with these bytes.
    pub fn saying(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::new(move |stream, _| {
            let _ = stream.write_all(&answer);
        })
    }

    /// The backend as a proxy's source, with default settings.
    pub fn source(&self) -> ProxySource {
        ProxySource::new(format!("http://{}", self.addr).parse().unwrap())
    }

    /// A route for all paths to this backend, at a pace in bytes per second; 0 is unlimited.
    pub fn route(&self, rate: u64) -> Route {
        routed("/", self.source(), Rate::or_unlimited(rate))
    }
}

/// A backend that takes what comes, and answers after a whole body of `content-length` or chunks. With what it got of each, and how
/// many bytes of bodies it has read so far.
pub fn taking() -> (Backend, Told<Vec<u8>>, Arc<AtomicU64>) {
    let (got, bodies) = channel();
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    let backend = Backend::new(move |stream, head| {
        let length = wire::field(head, "content-length").map(|length| length.parse::<usize>().unwrap());
        let (mut body, mut buf) = (Vec::new(), vec![0; 65_536]);
        loop {
            let is_whole = match length {
                Some(length) => body.len() >= length,
                None => body.ends_with(b"0\r\n\r\n"),
            };
            if is_whole {
                let _ =
                    stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
                break;
            }
            let Ok(n @ 1..) = stream.read(&mut buf) else { break };
            counted.fetch_add(n as u64, Ordering::SeqCst);
            body.extend_from_slice(&buf[..n]);
        }
        let _ = got.send(body);
    });
    (backend, bodies, count)
}

/// A backend for one connection: its URL, and what `script` returns.
pub fn once<T: Send + 'static>(
    script: impl FnOnce(&mut TcpStream) -> T + Send + 'static,
) -> (String, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (url, std::thread::spawn(move || script(&mut listener.accept().unwrap().0)))
}

/// A route to the backend of `source`, at a pace.
pub fn routed(path: &str, source: ProxySource, pace: Option<Rate>) -> Route {
    Route::proxy(path, Proxy::new(source, pace, rt::clock())).rate(pace)
}
