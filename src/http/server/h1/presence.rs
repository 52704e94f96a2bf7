//! Whether a client is still there while its answer waits.
//!
//! A reset is never ambiguous. A half-close is: the client may still read, or have gone; which of them, the
//! next bytes for it tell, or the settings.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use super::HEAD_PIECE;
use super::input::Input;
use crate::clock::{Clock, Instant, Sleep};
use crate::http::server::HalfClose;
use crate::http::server::connection::Connection;
use crate::sink::{Sink, SinkState, Wire};

/// Bytes that are read while an answer waits: the beginning of the next requests.
const MAX_AHEAD: usize = 2 * HEAD_PIECE;

/// How often a connection is looked at whose socket would say nothing by itself: there is more to read than
/// may be read, or the client has closed its half.
const LOOK: Duration = Duration::from_secs(1);

/// What may be read while an answer waits.
pub(super) enum Reads {
    /// Requests that come ahead of their time.
    Ahead,
    /// Nothing: what comes is content that nobody asked for yet.
    Nothing,
}

/// Looks after one client.
pub(super) struct Presence {
    half_close: HalfClose,
    /// How long a client that has closed its half may get nothing.
    patience: Duration,
    clock: Arc<dyn Clock>,
    state: Arc<SinkState>,
    look: Option<Box<Look>>,
}

/// The next look.
struct Look {
    alarm: Sleep,
    /// Bytes that had been written at the last look, and since when there are no more.
    written: u64,
    since: Instant,
}

impl Presence {
    pub(super) fn new(connection: &Connection) -> Self {
        Self {
            half_close: connection.settings.half_close,
            patience: connection.settings.idle_timeout,
            clock: Arc::clone(&connection.server.clock),
            state: Arc::clone(&connection.sink),
            look: None,
        }
    }

    /// The answer is over.
    pub(super) fn rest(&mut self) {
        self.look = None;
    }

    /// Arranges to be woken when the client goes.
    ///
    /// # Errors
    /// It has gone; then the connection is to end with a reset.
    pub(super) fn notice<W: Wire>(
        &mut self,
        cx: &mut Context<'_>,
        input: &mut Input,
        sink: &mut Sink<W>,
        reads: Reads,
    ) -> io::Result<()> {
        while matches!(reads, Reads::Ahead) && !input.has_ended() && input.len() < MAX_AHEAD {
            if input.poll_more(cx, sink, HEAD_PIECE)?.is_pending() {
                return Ok(());
            }
        }
        if input.has_ended() && self.half_close == HalfClose::Abort {
            self.state.abort();
            return Err(ErrorKind::ConnectionAborted.into());
        }
        if input.has_ended() && self.look.is_none() && sink.get_ref().is_gone() {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let written = self.state.counts().bytes_written();
        let now = self.clock.now();
        let look = self.look.get_or_insert_with(|| {
            let alarm = Sleep::lasting(Arc::clone(&self.clock), LOOK);
            Box::new(Look { alarm, written, since: now })
        });
        while Pin::new(&mut look.alarm).poll(cx).is_ready() {
            if sink.get_ref().is_gone() {
                return Err(ErrorKind::ConnectionReset.into());
            }
            if look.written != written {
                (look.written, look.since) = (written, now);
            }
            if input.has_ended() && now - look.since >= self.patience {
                self.state.abort();
                return Err(ErrorKind::TimedOut.into());
            }
            look.alarm.reset(now + LOOK);
        }
        Ok(())
    }
}
