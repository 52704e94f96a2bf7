//! Writes of several pieces.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;

/// Sends bytes as a socket, which costs less than writing them as a file: that takes the file's lock and tells who watches it.
pub(super) fn send(socket: impl AsFd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};
    let sent = match bufs {
        [one] => send(socket, one, SendFlags::NOSIGNAL),
        bufs => sendmsg(socket, bufs, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL),
    };
    sent.map_err(io::Error::from)
}

/// Pieces of one vectored write; further ones wait for the next write.
pub(crate) const MAX_PIECES: usize = 16;

/// The first `most` bytes of `bufs`, without copying, in as many pieces as there is room for.
pub(crate) fn first_bytes<'a, 'b>(
    bufs: &'b [IoSlice<'a>],
    most: usize,
    pieces: &'b mut [IoSlice<'b>; MAX_PIECES],
) -> &'b [IoSlice<'b>] {
    let (mut used, mut left) = (0, most);
    for buf in bufs.iter().filter(|buf| !buf.is_empty()).take(MAX_PIECES) {
        let n = left.min(buf.len());
        if n == 0 {
            break;
        }
        pieces[used] = IoSlice::new(&buf[..n]);
        (used, left) = (used + 1, left - n);
    }
    &pieces[..used]
}
