//! The runtime that a client's tasks and sockets live on: ours, or the one that the program has.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_lite::io::{AsyncRead, AsyncWrite};
use hyper::rt::ReadBufCursor;
use tokio::io::ReadBuf;

use crate::rt;

/// A task of a client.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An attempt to connect.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Io>> + Send>>;

/// What a client needs of the program's runtime, so that it starts none of its own.
///
/// A client on such a runtime starts the thread of the process's [clock](rt::clock), and where its token or its certificates are
/// files, a thread that reads them again after they changed. On tokio:
///
/// ```ignore
/// // These lines are compiled and run in examples/tokio, where there is a tokio with a runtime.
/// #[derive(Debug)]
/// struct Tokio;
///
/// impl Runtime for Tokio {
///     fn spawn(&self, task: Task) {
///         tokio::spawn(task);
///     }
///
///     fn connect(&self, host: String, port: u16) -> Connecting {
///         Box::pin(async move { Ok(Io::tokio(tokio::net::TcpStream::connect((host, port)).await?)) })
///     }
/// }
/// ```
///
/// `QuotaClientSettings::run_in(Tokio)` has a client use it, inside of tokio.
pub trait Runtime: fmt::Debug + Send + Sync + 'static {
    /// Runs `task` to its end, detached. Called inside of the runtime, or where the client is started.
    fn spawn(&self, task: Task);

    /// Connects to a TCP port of `host`, a name or an address without brackets. Dropping the future must end the attempt.
    fn connect(&self, host: String, port: u16) -> Connecting;
}

/// A connected socket of any runtime.
pub struct Io(Pin<Box<dyn Duplex>>);

trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

impl Io {
    /// A socket by the traits of futures-io.
    pub fn new(socket: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        Self(Box::pin(socket))
    }

    /// A socket by tokio's traits.
    pub fn tokio(socket: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + 'static) -> Self {
        Self::new(ByTokio(Box::pin(socket)))
    }
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Io").finish_non_exhaustive()
    }
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.as_mut().poll_read(cx, buf)
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.0.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_close(cx)
    }
}

impl hyper::rt::Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        crate::tls::read_into(&mut buf, |buf| self.0.as_mut().poll_read(cx, buf)).map_ok(drop)
    }
}

impl hyper::rt::Write for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.0.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_close(cx)
    }
}

/// Has futures-io's traits by tokio's.
struct ByTokio<T>(Pin<Box<T>>);

impl<T: tokio::io::AsyncRead> AsyncRead for ByTokio<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        self.0.as_mut().poll_read(cx, &mut buf).map_ok(|()| buf.filled().len())
    }
}

impl<T: tokio::io::AsyncWrite> AsyncWrite for ByTokio<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.0.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_shutdown(cx)
    }
}

/// Spawns on a runtime; `None` is ours.
#[derive(Clone, Debug)]
pub(super) struct Spawner(pub(super) Option<Arc<dyn Runtime>>);

impl Spawner {
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match &self.0 {
            Some(runtime) => runtime.spawn(Box::pin(task)),
            None => rt::spawn(task),
        }
    }
}

impl<F> hyper::rt::Executor<F> for Spawner
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, future: F) {
        self.spawn(async move {
            future.await;
        });
    }
}
