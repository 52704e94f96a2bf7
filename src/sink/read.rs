//! Reads through a sink: counted, never held back.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_lite::io::AsyncRead;

use super::{Sink, Wire};

/// Bytes of one read of [`Sink::begins_with`]: enough for the heads of most requests.
const READ_AHEAD: usize = 2048;

impl<W: Wire> Sink<W> {
    /// Whether the peer's first bytes are `preface`. They are read again by the next reader.
    ///
    /// Reads a whole head at once if it has arrived.
    ///
    /// # Errors
    /// The socket's; `UnexpectedEof` if the peer closed before that was decided.
    pub async fn begins_with(&mut self, preface: &'static [u8]) -> io::Result<bool> {
        let mut seen = Vec::new();
        let begins = loop {
            if seen.starts_with(preface) {
                break true;
            }
            let n = std::future::poll_fn(|cx| {
                // On the stack, not in the future, where it would take memory for every connection.
                let mut buf = [0; READ_AHEAD];
                let n = self.wire.poll_read(cx, &mut buf);
                self.charge_wire();
                let n = ready!(n)?;
                seen.extend_from_slice(&buf[..n]);
                Poll::Ready(io::Result::Ok(n))
            })
            .await?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.state.note_read(n);
            let known = seen.len().min(preface.len());
            if seen[..known] != preface[..known] {
                break false;
            }
        };
        self.prefix = seen.into();
        Ok(begins)
    }
}

impl<W: Wire> Sink<W> {
    /// Reads what is available, about `want` bytes at most; empty at the end of the stream. Holds no memory while it
    /// waits.
    pub fn poll_read_bytes(&mut self, cx: &mut Context<'_>, want: usize) -> Poll<io::Result<Bytes>> {
        if !self.prefix.is_empty() {
            return Poll::Ready(Ok(std::mem::take(&mut self.prefix)));
        }
        let read = self.wire.poll_read_bytes(cx, want);
        self.charge_wire();
        let bytes = ready!(read)?;
        self.state.note_read(bytes.len());
        Poll::Ready(Ok(bytes))
    }
}

/// For tunnels, relays and framing that brings its own buffer.
impl<W: Wire> AsyncRead for Sink<W> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.prefix.has_remaining() {
            let n = self.prefix.len().min(buf.len());
            self.prefix.copy_to_slice(&mut buf[..n]);
            return Poll::Ready(Ok(n));
        }
        let this = &mut *self;
        let read = this.wire.poll_read(cx, buf);
        this.charge_wire();
        let n = ready!(read)?;
        this.state.note_read(n);
        Poll::Ready(Ok(n))
    }
}
