//! The socket below a sink.

use std::fs::File;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::rt::Socket;

/// A socket, or a test's stand-in for one.
pub trait Wire: Unpin {
    /// Reads what is available into `buf`; returns the number of bytes, 0 at the end of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Reads what is available, at most `want` bytes; empty at the end of the stream. Holds no memory while it waits.
    fn poll_read_bytes(&mut self, cx: &mut Context<'_>, want: usize) -> Poll<io::Result<Bytes>>;

    /// Whether the connection is over in both directions, as after a reset. Arranges no wake-up.
    fn is_gone(&self) -> bool;

    /// Bytes that it holds in memory: on their way to the kernel, or read and not taken. None by default.
    fn held(&self) -> usize {
        0
    }

    /// Writes what can be written now. `Pending` arranges a wake-up; the next write must begin with the same bytes.
    fn poll_write(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Whether [`try_send_file`](Self::try_send_file) can send anything. Not by default.
    fn sends_files(&self) -> bool {
        false
    }

    /// Sends at most `len` bytes of `file` from `offset` without reading them; returns how many were taken. 0: nothing can be
    /// sent this way; read and write them.
    ///
    /// # Errors
    /// The socket's; `WouldBlock` if it is full. Arranges no wake-up.
    fn try_send_file(&mut self, file: &File, offset: u64, len: usize) -> io::Result<usize> {
        let _ = (file, offset, len);
        Ok(0)
    }

    /// Ready when bytes may be taken, perhaps without reason. `Pending` arranges a wake-up.
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }

    /// Has the processor fetch what the next write uses. Does nothing by default.
    fn prefetch(&self) {}

    /// Has the kernel send no faster than `rate`, in bytes per second; `None`: as fast as it can. Nothing by default.
    fn set_pacing_rate(&self, rate: Option<u64>) {
        let _ = rate;
    }

    /// Ready when the kernel has sent everything.
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Shuts down the sending half.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Turns the close into a reset.
    fn reset_on_close(&self);
}

impl Wire for Socket {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_read_slice(cx, buf)
    }

    fn poll_read_bytes(&mut self, cx: &mut Context<'_>, want: usize) -> Poll<io::Result<Bytes>> {
        Self::poll_read_bytes(self, cx, want)
    }

    fn prefetch(&self) {
        Self::prefetch(self);
    }

    fn is_gone(&self) -> bool {
        Self::is_gone(self)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll_write_slices(cx, bufs)
    }

    fn sends_files(&self) -> bool {
        Self::sends_files(self)
    }

    fn try_send_file(&mut self, file: &File, offset: u64, len: usize) -> io::Result<usize> {
        Self::try_send_file(self, file, offset, len)
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_writable(self, cx)
    }

    fn set_pacing_rate(&self, rate: Option<u64>) {
        Self::set_pacing_rate(self, rate);
    }

    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Self::poll_sent(self, cx)
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown_write())
    }

    fn reset_on_close(&self) {
        Self::reset_on_close(self);
    }
}

#[cfg(feature = "tls")]
impl Wire for crate::tls::TlsSocket {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_read_slice(cx, buf)
    }

    fn poll_read_bytes(&mut self, cx: &mut Context<'_>, want: usize) -> Poll<io::Result<Bytes>> {
        Self::poll_read_bytes(self, cx, want)
    }

    fn is_gone(&self) -> bool {
        self.socket().is_gone()
    }

    fn held(&self) -> usize {
        Self::held(self)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Self::poll_write(self, cx, bufs)
    }

    fn set_pacing_rate(&self, rate: Option<u64>) {
        self.socket().set_pacing_rate(rate);
    }

    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Self::poll_sent(self, cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_shutdown(self, cx)
    }

    fn reset_on_close(&self) {
        Self::reset_on_close(self);
    }
}
