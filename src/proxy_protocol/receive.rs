//! Reads headers from sockets, in turn.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Announced;
use super::failure::{HeaderFailure, HeaderReason};
use super::partial::{Partial, Progress};
use crate::clock::Clock;
use crate::rt::{Socket, Turns};

/// Headers that are read at a time on one listener: each may hold 4 KiB.
const MAX_HEADERS: usize = 512;

/// Reads the headers of one listener's connections.
#[derive(Debug)]
pub struct HeaderReceiver(Turns);

impl Default for HeaderReceiver {
    fn default() -> Self {
        Self(Turns::new(MAX_HEADERS))
    }
}

impl HeaderReceiver {
    /// Reads a header and no byte of what follows it, within `timeout` once it is its turn. Turns are shared fairly among
    /// proxies: `proxy` is the address, or the network, that counts as one; `None` is all peers of Unix sockets. Returns
    /// `None` if the header names no address: the client is the peer.
    ///
    /// *Cancel safety*: none; drop the socket.
    ///
    /// # Errors
    /// There is no valid header, it came too late, or others had its turn.
    pub async fn receive(
        &self,
        socket: &mut Socket,
        proxy: Option<IpAddr>,
        clock: &Arc<dyn Clock>,
        timeout: Duration,
    ) -> Result<Option<Announced>, HeaderFailure> {
        self.0.run(proxy, clock, timeout, read(socket)).await.unwrap_or_else(|lost| Err(lost.into()))
    }
}

async fn read(socket: &mut Socket) -> Result<Option<Announced>, HeaderFailure> {
    let mut partial = Partial::default();
    loop {
        let needed = match partial.progress()? {
            Progress::Needs(needed) => needed,
            Progress::Whole(announced) => return Ok(announced),
        };
        // A socket that failed has no more bytes than one that was closed.
        let space = partial.space(needed);
        let read = poll_fn(|cx| socket.poll_read_slice(cx, space)).await.unwrap_or(0);
        partial.keep(needed, read);
        if read == 0 {
            return Err(if partial.is_empty() {
                HeaderFailure::new(HeaderReason::Closed, "the peer closed the connection before a byte came")
            } else {
                HeaderFailure::new(
                    HeaderReason::Truncated,
                    "the peer closed the connection within the header",
                )
            });
        }
    }
}
