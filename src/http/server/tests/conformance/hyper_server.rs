//! hyper's HTTP/1 server on a wire in memory.

use std::convert::Infallible;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;

use super::super::pipe::{Pipe, Road, pipe};
use super::{MARK, Outcome, Readings, note};
use crate::sink::Wire;
use crate::wake_count::WakeCount;

/// A wire as hyper takes it.
struct Io(Pipe);

impl Read for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = ready!(self.get_mut().0.poll_read_bytes(cx, buf.remaining()))?;
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl Write for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().0.poll_write(cx, &[IoSlice::new(buf)])
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().0.poll_shutdown(cx)
    }
}

/// Has hyper read `pieces`, each before the next is sent.
pub(super) fn read_by_hyper(pieces: &[&[u8]]) -> Outcome {
    let readings = Readings::default();
    let noted = Arc::clone(&readings);
    let service = service_fn(move |request| {
        let noted = note(request, Arc::clone(&noted));
        async move {
            let response = Response::builder().header(MARK, noted.await);
            Ok::<_, Infallible>(response.body(Full::new(Bytes::from_static(b"ok"))).unwrap())
        }
    });
    let (wire, client) = pipe(Road::WIDE);
    let mut connection = Some(Box::pin(
        // Like this server: as many fields, and a client that closed its half is still answered.
        http1::Builder::new().half_close(true).max_headers(128).serve_connection(Io(wire), service),
    ));
    let wakes = WakeCount::default();
    let mut settle = || {
        let mut seen = None;
        while let Some(task) = &mut connection
            && seen.replace(wakes.get()) != Some(wakes.get())
        {
            if task.as_mut().poll(&mut Context::from_waker(&wakes.waker())).is_ready() {
                connection = None;
            }
        }
        connection.is_some()
    };
    let mut lives = settle();
    for piece in pieces {
        client.send(piece);
        lives = settle();
    }
    let is_kept = lives && client.end().is_none();
    client.half_close();
    assert!(!settle(), "hyper outlives its client");
    Outcome::new(&client.read(usize::MAX), &readings, is_kept)
}
