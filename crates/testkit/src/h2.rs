//! A client of HTTP/2 with prior knowledge. Waits for what must come have the limit of all waits.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::rt::Timer;
use sluicegate::rt::{self, Connect, Executor, HyperTimer};

use crate::wait::LIMIT;

/// Sends requests on one connection, by default without bodies.
pub type Sender<B = Empty<Bytes>> = SendRequest<B>;

/// The window of a client that does not hold its streams back.
pub const WIDE: u32 = 2 << 20;

/// A connection with room for `window` bytes of each stream.
pub async fn connect(addr: SocketAddr, window: u32) -> Sender {
    connect_with(addr, window).await
}

/// Like [`connect`], for requests with bodies.
pub async fn connect_with<B>(addr: SocketAddr, window: u32) -> Sender<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: std::error::Error + Send + Sync,
{
    let to = Connect { host: addr.ip().to_string(), port: addr.port(), receive_buffer: None };
    let socket = within("an open connection", rt::connect(&to)).await.unwrap();
    over(socket, window).await
}

/// A client of a connection that is open.
pub async fn over<B, S>(socket: S, window: u32) -> Sender<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: std::error::Error + Send + Sync,
    S: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
{
    let mut builder = Builder::new(Executor);
    builder.initial_stream_window_size(window).initial_connection_window_size(5 << 20);
    let (sender, connection) = within("the handshake of HTTP/2", builder.handshake(socket)).await.unwrap();
    rt::spawn(async {
        // Its streams fail with it.
        let _ = connection.await;
    });
    sender
}

/// Sends a request without a body, and waits for the head of the answer.
pub async fn ask(sender: &mut Sender, method: Method, target: &str) -> Response<Incoming> {
    let request = Request::builder().method(method).uri(format!("http://t{target}"));
    let answer = sender.send_request(request.body(Empty::new()).unwrap());
    within(&format!("the head of the answer to {target}"), answer).await.unwrap()
}

/// Sends a GET, and waits for the head of the answer.
pub async fn get(sender: &mut Sender, target: &str) -> Response<Incoming> {
    ask(sender, Method::GET, target).await
}

/// A body as it came.
pub struct Content {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whether it came to its end; the stream was reset otherwise.
    pub whole: bool,
    /// After each frame: time since the reading began, and bytes so far.
    pub arrivals: Vec<(Duration, usize)>,
}

/// Reads a body to its end, which gives the window back.
pub async fn read(response: Response<Incoming>, began: Instant) -> Content {
    let mut body = response.into_body();
    let mut content = Content { bytes: Vec::new(), whole: false, arrivals: Vec::new() };
    loop {
        let so_far = format!("more of a body after {} bytes", content.bytes.len());
        match within(&so_far, body.frame()).await {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    content.bytes.extend_from_slice(data);
                    content.arrivals.push((began.elapsed(), content.bytes.len()));
                }
            }
            end => {
                content.whole = end.is_none();
                return content;
            }
        }
    }
}

/// Waits for `future`, at most as long as any wait may last.
async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let late = async {
        HyperTimer::new(rt::clock()).sleep(LIMIT).await;
        panic!("waited {LIMIT:?} in vain for {what}");
    };
    futures_lite::future::or(future, late).await
}
