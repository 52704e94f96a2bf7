//! A client of HTTP/2 with prior knowledge, whose streams can be kept short.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http2::{Builder, SendRequest};
use sluicegate::rt::{self, Connect, Executor};

/// Sends requests without bodies on one connection.
pub type Sender = SendRequest<Empty<Bytes>>;

/// A connection whose streams may have `window` bytes on the way each.
pub async fn connect(addr: SocketAddr, window: u32) -> Sender {
    let to = Connect { host: addr.ip().to_string(), port: addr.port(), receive_buffer: None };
    let socket = rt::connect(&to).await.unwrap();
    let mut builder = Builder::new(Executor);
    builder.initial_stream_window_size(window).initial_connection_window_size(1 << 20);
    let (sender, connection) = builder.handshake(socket).await.unwrap();
    rt::spawn(async {
        // What ends it, its streams tell.
        let _ = connection.await;
    });
    sender
}
