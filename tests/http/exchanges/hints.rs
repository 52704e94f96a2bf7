//! Interim responses over HTTP/1, and over HTTP/2 as a client of the `h2` crate sees them.

use std::io;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll, ready};

use futures_lite::io::{AsyncRead as _, AsyncWrite as _};
use http::{HeaderMap, Request};
use sluicegate::rt::{self, Connect, Socket};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use testkit::backend::Backend;
use testkit::served::Served;
use testkit::wire::Client;

/// A socket by tokio's traits.
struct Io(Socket);

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.0).poll_read(cx, buf.initialize_unfilled()))?;
        buf.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

/// The heads that come for a GET, interim ones first, each given to `seen`; and the content.
fn heads(served: &Served, mut seen: impl FnMut(u16, &HeaderMap)) -> Vec<u8> {
    rt::block_on(async {
        let to = Connect { host: "127.0.0.1".into(), port: served.addr.port(), receive_buffer: None };
        let socket = rt::connect(&to).await.unwrap();
        let (mut sender, connection) = h2::client::handshake(Io(socket)).await.unwrap();
        rt::spawn(async {
            let _ = connection.await;
        });
        let request = Request::get("http://t/").body(()).unwrap();
        let (mut answer, _) = sender.send_request(request, true).unwrap();
        while let Some(interim) = std::future::poll_fn(|cx| answer.poll_informational(cx)).await {
            let (head, ()) = interim.unwrap().into_parts();
            seen(head.status.as_u16(), &head.headers);
        }
        let (head, mut content) = answer.await.unwrap().into_parts();
        seen(head.status.as_u16(), &head.headers);
        let mut came = Vec::new();
        while let Some(data) = content.data().await {
            came.extend_from_slice(&data.unwrap());
        }
        came
    })
}

pub const HINTS: &str =
    "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\nconnection: x-hop\r\nx-hop: 1\r\n\r\n";

/// Serves a backend that hints, hints again once it may, and answers.
fn hinting() -> (Served, mpsc::SyncSender<()>) {
    let (seen, may_answer) = mpsc::sync_channel::<()>(0);
    let may_answer = std::sync::Mutex::new(may_answer);
    let backend = Backend::new(move |stream, _| {
        use std::io::Write;
        stream.write_all(HINTS.as_bytes()).unwrap();
        // Not before the client has the hints.
        may_answer.lock().unwrap().recv().unwrap();
        write!(stream, "{HINTS}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
    });
    (Served::new(vec![backend.route(0)]), seen)
}

#[test]
fn hints_of_a_backend_go_ahead_of_its_answer() {
    let (served, seen) = hinting();
    let mut client = Client::new(served.connect());
    let hints = client.get("/", "");
    assert_eq!(hints.head, "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n");
    seen.send(()).unwrap();
    assert_eq!(client.answer().head, hints.head, "each");
    let answer = client.answer();
    assert_eq!((answer.status(), answer.field("link"), answer.body.as_slice()), (200, None, &b"ok"[..]));
}

#[test]
fn over_http2_too_hints_of_a_backend_go_ahead_of_its_answer() {
    let (served, seen) = hinting();
    let mut statuses = Vec::new();
    let content = heads(&served, |status, fields| {
        if status == 103 {
            let fields: Vec<_> =
                fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
            assert_eq!(fields, [("link", &b"</a>; rel=preload"[..])]);
            if statuses.is_empty() {
                seen.send(()).unwrap();
            }
        } else {
            assert_eq!(fields.get("link"), None);
        }
        statuses.push(status);
    });
    assert_eq!((statuses, content), (vec![103, 103, 200], b"ok".to_vec()));
}
