//! Clients that ask without a pause while servers come and go.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{Builder, SendRequest};
use sluicegate::rt::{self, Connect, Executor};
use sluicegate::tls::ClientTls;

/// What the clients share with the test.
#[derive(Default)]
pub struct Load {
    pub done: AtomicBool,
    answered: [AtomicUsize; 6],
}

impl Load {
    /// The answers that each client has had.
    pub fn answered(&self) -> [usize; 6] {
        self.answered.each_ref().map(|answered| answered.load(Ordering::Relaxed))
    }

    fn is_done(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }

    fn count(&self, number: usize) {
        self.answered[number].fetch_add(1, Ordering::Relaxed);
    }
}

/// What a client saw.
#[derive(Debug, Default)]
pub struct Tally {
    pub answered: usize,
    /// Requests sent again, as HTTP allows: a kept connection was closed without a byte of the answer, or a stream was
    /// not begun when GOAWAY came.
    pub repeated: usize,
    pub connections: usize,
    /// Requests without an answer, and wrong ones.
    pub failed: Vec<String>,
}

/// What is asked for, and its body.
pub const TARGET: &str = "/a.txt";
pub fn body() -> Vec<u8> {
    "the secret text\n".repeat(100).into_bytes()
}

/// An exchange that came to nothing.
struct Broken {
    /// Nothing of the answer came.
    unanswered: bool,
    why: String,
}

/// Asks over HTTP/1, on connections that are kept as long as the server keeps them, or on one for each request.
pub fn http1<S: Read + Write>(
    open: &impl Fn() -> io::Result<S>,
    keep: bool,
    load: &Load,
    number: usize,
) -> Tally {
    let (mut tally, mut kept): (Tally, Option<S>) = (Tally::default(), None);
    while !load.is_done() {
        loop {
            let is_reused = kept.is_some();
            let stream = match kept.take() {
                Some(stream) => Ok(stream),
                None => {
                    tally.connections += 1;
                    open()
                }
            };
            let result = stream
                .map_err(|error| Broken { unanswered: false, why: format!("connecting: {error}") })
                .and_then(|mut stream| exchange(&mut stream, keep).map(|keeps| keeps.then_some(stream)));
            match result {
                Ok(stream) => {
                    tally.answered += 1;
                    load.count(number);
                    kept = stream;
                }
                Err(broken) if broken.unanswered && is_reused => {
                    tally.repeated += 1;
                    continue;
                }
                Err(broken) => tally.failed.push(broken.why),
            }
            break;
        }
    }
    tally
}

/// Asks once. Whether the connection may be used again.
fn exchange(stream: &mut (impl Read + Write), keep: bool) -> Result<bool, Broken> {
    let close = if keep { "" } else { "Connection: close\r\n" };
    let request = format!("GET {TARGET} HTTP/1.1\r\nHost: localhost\r\n{close}\r\n");
    let (mut raw, mut piece) = (Vec::new(), [0; 4096]);
    let broken = |raw: &[u8], why: String| Broken {
        unanswered: raw.is_empty(),
        why: format!("{why} after {} bytes", raw.len()),
    };
    if let Err(error) = stream.write_all(request.as_bytes()).and_then(|()| stream.flush()) {
        return Err(broken(&raw, format!("writing: {error}")));
    }
    let body = body();
    loop {
        if let Some(at) = raw.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&raw[..at]).to_ascii_lowercase();
            if !head.starts_with("http/1.1 200") {
                return Err(broken(&raw, head));
            }
            if raw.len() >= at + 4 + body.len() {
                let is_right = raw[at + 4..] == body;
                return is_right
                    .then(|| keep && !head.contains("connection: close"))
                    .ok_or_else(|| broken(&raw, "another body".to_owned()));
            }
        }
        match stream.read(&mut piece) {
            Ok(0) => return Err(broken(&raw, "the end".to_owned())),
            Ok(n) => raw.extend_from_slice(&piece[..n]),
            Err(error) => return Err(broken(&raw, format!("reading: {error}"))),
        }
    }
}

/// Asks over HTTP/2, on a connection until the server sends GOAWAY; inside TLS, if there is an authority.
pub fn http2(addr: SocketAddr, authority: Option<&Path>, load: &Load, number: usize) -> Tally {
    let tls = authority.map(|authority| ClientTls::new(authority, None).unwrap());
    rt::block_on(async {
        let (mut tally, mut kept): (Tally, Option<SendRequest<Empty<Bytes>>>) = (Tally::default(), None);
        while !load.is_done() {
            let mut sender = match kept.take() {
                Some(sender) => sender,
                None => {
                    tally.connections += 1;
                    match connect(addr, tls.as_ref()).await {
                        Ok(sender) => sender,
                        Err(why) => {
                            tally.failed.push(format!("connecting: {why}"));
                            continue;
                        }
                    }
                }
            };
            if sender.ready().await.is_err() {
                continue;
            }
            let request = Request::get(format!("https://localhost{TARGET}")).body(Empty::new()).unwrap();
            match sender.send_request(request).await {
                Ok(response) if response.status() == 200 => {
                    match response.into_body().collect().await.map(|body| body.to_bytes() == body_bytes()) {
                        Ok(true) => {
                            tally.answered += 1;
                            load.count(number);
                        }
                        other => tally.failed.push(format!("the body: {other:?}")),
                    }
                    kept = Some(sender);
                }
                Ok(response) => tally.failed.push(response.status().to_string()),
                Err(error) if error.is_canceled() || is_refused(&error) => tally.repeated += 1,
                Err(error) => tally.failed.push(format!("{error:?}")),
            }
        }
        tally
    })
}

fn body_bytes() -> Bytes {
    body().into()
}

/// The server said that it had not begun the stream (RFC 9113, section 8.7).
pub fn is_refused(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| {
        cause.reason() == Some(h2::Reason::REFUSED_STREAM)
            || cause.is_go_away() && cause.is_remote() && cause.reason() == Some(h2::Reason::NO_ERROR)
    })
}

async fn connect(addr: SocketAddr, tls: Option<&ClientTls>) -> Result<SendRequest<Empty<Bytes>>, String> {
    let to = Connect { host: addr.ip().to_string(), port: addr.port(), receive_buffer: None };
    let socket = rt::connect(&to).await.map_err(|error| error.to_string())?;
    let stream = match tls {
        Some(tls) => tls.connect("127.0.0.1", socket).await.map_err(|error| error.to_string())?,
        None => sluicegate::tls::Stream::Plain(socket),
    };
    let (sender, connection) =
        Builder::new(Executor).handshake(stream).await.map_err(|error| error.to_string())?;
    rt::spawn(async {
        // Its streams fail with it.
        let _ = connection.await;
    });
    Ok(sender)
}
