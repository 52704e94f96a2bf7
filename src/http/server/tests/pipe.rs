//! A connection in memory: a wire for the server, and the client at its other end.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;

use crate::sink::Wire;

/// What all buffers between the server and its client are taken for: one of so many bytes, of which one
/// write or read moves so many at most.
#[derive(Clone, Copy)]
pub(super) struct Road {
    pub(super) capacity: usize,
    pub(super) step: usize,
}

impl Road {
    pub(super) const WIDE: Self = Self { capacity: usize::MAX, step: usize::MAX };
}

/// How the connection ended for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The server said that nothing more comes.
    Clean,
    /// It reset the connection.
    Reset,
}

/// The server's end. Dropping it closes the connection.
pub(super) struct Pipe(Shared);

/// The client's end. Dropping it does nothing.
#[derive(Clone)]
pub(super) struct Client(Shared);

type Shared = Arc<Mutex<State>>;

struct State {
    road: Road,
    to_server: VecDeque<u8>,
    to_client: VecDeque<u8>,
    /// How the client's half ended; the error, or none for a half-close.
    closed: Option<Option<ErrorKind>>,
    /// From now on writes write nothing.
    writes_nothing: bool,
    linger: bool,
    end: Option<End>,
    refusals: u64,
    /// What the kernel would have been asked for.
    pacing_rates: Vec<Option<u64>>,
    writes: u64,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Both ends of a connection.
pub(super) fn pipe(road: Road) -> (Pipe, Client) {
    let state = State {
        road,
        to_server: VecDeque::new(),
        to_client: VecDeque::new(),
        closed: None,
        writes_nothing: false,
        linger: true,
        end: None,
        refusals: 0,
        pacing_rates: Vec::new(),
        writes: 0,
        reader: None,
        writer: None,
    };
    let state = Arc::new(Mutex::new(state));
    (Pipe(Arc::clone(&state)), Client(state))
}

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap()
}

impl State {
    fn error(&self) -> Option<io::Error> {
        self.closed.flatten().map(io::Error::from)
    }

    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }
}

impl Client {
    pub(super) fn send(&self, bytes: &[u8]) {
        let mut state = lock(&self.0);
        state.to_server.extend(bytes);
        state.wake();
    }

    /// Takes at most `most` bytes of what lies there.
    pub(super) fn read(&self, most: usize) -> Vec<u8> {
        let mut state = lock(&self.0);
        let most = most.min(state.to_client.len());
        let read = state.to_client.drain(..most).collect();
        state.wake();
        read
    }

    /// Sends nothing more, and still listens.
    pub(super) fn half_close(&self) {
        let mut state = lock(&self.0);
        state.closed = Some(None);
        state.wake();
    }

    /// Is gone: what is written now, or read, fails.
    pub(super) fn reset(&self) {
        let mut state = lock(&self.0);
        state.to_server.clear();
        state.closed = Some(Some(ErrorKind::ConnectionReset));
        state.wake();
    }

    /// Makes each write say that it wrote nothing, which no socket does.
    pub(super) fn write_nothing(&self) {
        let mut state = lock(&self.0);
        state.writes_nothing = true;
        state.wake();
    }

    /// Bytes that lie there to be read.
    pub(super) fn unread(&self) -> usize {
        lock(&self.0).to_client.len()
    }

    /// Bytes that were sent and not taken by the server.
    pub(super) fn untaken(&self) -> usize {
        lock(&self.0).to_server.len()
    }

    /// How often something was written.
    pub(super) fn writes(&self) -> u64 {
        lock(&self.0).writes
    }

    /// How often a write was refused.
    pub(super) fn refusals(&self) -> u64 {
        lock(&self.0).refusals
    }

    /// The paces that were set for what is sent.
    pub(super) fn pacing_rates(&self) -> Vec<Option<u64>> {
        lock(&self.0).pacing_rates.clone()
    }

    pub(super) fn end(&self) -> Option<End> {
        lock(&self.0).end
    }
}

impl Wire for Pipe {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.0);
        if let Some(error) = state.error() {
            return Poll::Ready(Err(error));
        }
        let n = state.to_server.len().min(state.road.step).min(buf.len());
        if n == 0 && state.closed.is_none() {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        for (place, byte) in buf.iter_mut().zip(state.to_server.drain(..n)) {
            *place = byte;
        }
        Poll::Ready(Ok(n))
    }

    fn poll_read_bytes(&mut self, cx: &mut Context<'_>, want: usize) -> Poll<io::Result<Bytes>> {
        let mut buf = vec![0; want];
        let read = ready!(self.poll_read(cx, &mut buf))?;
        buf.truncate(read);
        Poll::Ready(Ok(buf.into()))
    }

    fn is_gone(&self) -> bool {
        lock(&self.0).error().is_some()
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.0);
        if let Some(error) = state.error() {
            return Poll::Ready(Err(error));
        }
        if state.writes_nothing {
            return Poll::Ready(Ok(0));
        }
        let most = state.road.step.min(state.road.capacity - state.to_client.len());
        if most == 0 {
            state.refusals += 1;
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let before = state.to_client.len();
        let bytes = bufs.iter().flat_map(|buf| buf.iter().copied()).take(most);
        state.to_client.extend(bytes);
        state.writes += 1;
        Poll::Ready(Ok(state.to_client.len() - before))
    }

    fn set_pacing_rate(&self, rate: Option<u64>) {
        lock(&self.0).pacing_rates.push(rate);
    }

    fn poll_sent(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.0).end = Some(End::Clean);
        Poll::Ready(Ok(()))
    }

    fn reset_on_close(&self) {
        lock(&self.0).linger = false;
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        if !state.linger {
            state.end = Some(End::Reset);
        }
        // As of a socket: whoever does not ask for a reset ends cleanly.
        state.end.get_or_insert(End::Clean);
    }
}
