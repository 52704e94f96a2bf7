//! The content of a request on its way to the source that reads it: counted, bounded, and read at its pace.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};

use super::connection::Connection;
use super::h2::UPLOAD_WINDOW;
use super::upload_record::UploadRecord;
use crate::body::PacedBody;
use crate::brigade::{Brigade, Bucket, SourceError};
use crate::budget::{FlowWatch, Gate};
use crate::clock::{Instant, Sleep};
use crate::filter::Chain;
use crate::generator::Generator;
use crate::http::body::{BodyFailure, Managed, RequestBody, RequestBodyError};
use crate::sink::{Charge, HeldAs};

/// The most bytes that are taken before they may pass, beside what is left of the frame that they came in.
const MAX_AHEAD: u64 = 16 * 1024;

/// How often a client that is waited for is looked at in its time. If its connection's window is full then, it could send
/// nothing, and has all its time anew.
const LOOKS: u32 = 4;

/// What a connection's window must have left for the silence to be the client's: a frame of the usual size (RFC 9113, section
/// 4.2). Some clients wait for that much.
const MIN_WINDOW: usize = 16 * 1024;

/// A frame of content, or why there is none.
type Polled = Poll<Option<Result<Frame<Bytes>, RequestBodyError>>>;

/// The bounds of a request's content.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// The most bytes; `None` without a bound.
    pub(super) max: Option<u64>,
    /// How long the client may send nothing while its content is waited for.
    pub(super) timeout: Duration,
}

/// A request's content on its way to its source.
pub(super) struct Upload<G: Generator> {
    body: PacedBody<G>,
    record: Arc<UploadRecord>,
    connection: Arc<Connection>,
    charge: Option<Charge>,
    /// The flow that was published.
    flow: Option<FlowWatch>,
    /// How long the client may send nothing while it is waited for; `None` for as long as it likes.
    timeout: Option<Duration>,
    /// While the client is waited for.
    patience: Option<Box<Patience>>,
    /// Pending for a limit, not for the client.
    is_held: bool,
    /// An error was returned, and nothing follows.
    is_failed: bool,
}

/// How long a client was waited for.
struct Patience {
    began: Instant,
    /// Looks that found that it could send.
    looks: u32,
    next: Sleep,
}

impl Upload<Incoming> {
    /// The content of a request.
    pub(super) fn of_request(
        content: RequestBody,
        way: (Chain, Gate),
        bounds: Bounds,
        connection: &Arc<Connection>,
        record: &Arc<UploadRecord>,
    ) -> Self {
        let incoming = Incoming::new(content, bounds.max, Arc::clone(record));
        let mut upload = Self::new(incoming, way, connection, record);
        upload.timeout = Some(bounds.timeout);
        upload
    }
}

impl<G: Generator + Unpin> Upload<G> {
    /// Whatever a client sends.
    pub(super) fn new(
        generator: G,
        (chain, gate): (Chain, Gate),
        connection: &Arc<Connection>,
        record: &Arc<UploadRecord>,
    ) -> Self {
        let clock = Arc::clone(&connection.server.clock);
        let mut body = PacedBody::new(generator, chain, clock).with_gate(gate);
        body.set_max_frame(MAX_AHEAD);
        Self {
            body,
            record: Arc::clone(record),
            connection: Arc::clone(connection),
            charge: None,
            flow: None,
            timeout: None,
            patience: None,
            is_held: false,
            is_failed: false,
        }
    }

    /// Pending, or ready with an error when the client was waited for too long.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Polled {
        let Some(timeout) = self.timeout else { return Poll::Pending };
        // A time of nothing would look without end.
        let timeout = timeout.max(Duration::from_millis(1));
        let clock = &self.connection.server.clock;
        let patience = self.patience.get_or_insert_with(|| {
            let began = clock.now();
            let next = Sleep::until(Arc::clone(clock), began + timeout / LOOKS);
            Box::new(Patience { began, looks: 0, next })
        });
        loop {
            ready!(Pin::new(&mut patience.next).poll(cx));
            patience.looks += 1;
            if self.connection.unread.bytes() + MIN_WINDOW > UPLOAD_WINDOW as usize {
                (patience.began, patience.looks) = (clock.now(), 0);
            }
            if patience.looks == LOOKS {
                break;
            }
            patience.next.reset(patience.began + timeout * (patience.looks + 1) / LOOKS);
        }
        self.record.fail(RequestBodyError::of(BodyFailure::TimedOut));
        Poll::Ready(Some(Err(self.fail())))
    }

    fn fail(&mut self) -> RequestBodyError {
        (self.is_failed, self.patience) = (true, None);
        self.record.wait.set(None);
        self.record.take_error()
    }

    /// Charges the connection for what was read and waits, and publishes what it waits for.
    fn publish(&mut self) {
        let held = self.body.bytes_held() + self.record.resting();
        if held > 0 || self.charge.is_some() {
            let charge = || Charge::new(&self.connection.sink, HeldAs::Request);
            self.charge.get_or_insert_with(charge).set(held);
        }
        self.record.wait.set_past(self.body.waits(), self.body.gate());
        let held = self.body.held();
        self.is_held = held.as_ref().is_some_and(|held| held.by.is_limit());
        let Some(flow) = self.body.gate().watch() else { return self.record.wait.set(held.as_ref()) };
        if self.flow.as_ref() != Some(&flow) {
            self.flow = Some(flow);
            self.record.wait.set_flow(self.flow.clone());
        }
        self.record.wait.set_turn();
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Polled {
        if self.is_failed {
            return Poll::Ready(None);
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.publish();
        // What is too much is an error at once, and not when the bytes before it are due.
        if self.record.failure() == Some(BodyFailure::TooLarge) {
            return Poll::Ready(Some(Err(self.fail())));
        }
        if polled.is_pending() && !self.is_held {
            return self.poll_patience(cx);
        }
        self.patience = None;
        Poll::Ready(match ready!(polled) {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.record.pass(bytes, self.connection.now());
                Some(Ok(frame))
            }
            Some(Err(_)) => Some(Err(self.fail())),
            None => None,
        })
    }
}

impl<G: Generator + Unpin + Send> Managed for Upload<G> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        self.poll(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.is_failed || self.body.is_end_stream()
    }

    fn left(&self) -> Option<u64> {
        self.record.length.map(|length| length.saturating_sub(self.record.bytes()))
    }

    fn is_held(&self) -> bool {
        self.is_held
    }
}

impl<G: Generator + Unpin> Body for Upload<G> {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        self.get_mut().poll(cx)
    }
}

impl<G: Generator> Drop for Upload<G> {
    fn drop(&mut self) {
        let turns = self.body.gate().waited().cloned().collect();
        self.record.end(self.body.waits().pace, turns, self.connection.now());
    }
}

/// Takes content from the connection, frame by frame, up to its bounds.
pub(super) struct Incoming {
    content: RequestBody,
    /// The part of the last frame that there was no room for.
    rest: Bytes,
    /// Bytes that may still come.
    allowed: u64,
    record: Arc<UploadRecord>,
}

impl Incoming {
    fn new(content: RequestBody, max: Option<u64>, record: Arc<UploadRecord>) -> Self {
        Self { content, rest: Bytes::new(), allowed: max.unwrap_or(u64::MAX), record }
    }

    fn fail(&mut self, error: RequestBodyError, brigade: &mut Brigade) {
        brigade.push(Bucket::Error(SourceError::new(error.to_string())));
        self.record.fail(error);
    }

    fn push_rest(&mut self, brigade: &mut Brigade) {
        let room = usize::try_from(brigade.room().max(1)).unwrap_or(usize::MAX);
        brigade.push(self.rest.split_to(room.min(self.rest.len())));
        self.record.set_resting(self.rest.len());
        if self.rest.is_empty() {
            // An empty slice would keep the frame's memory.
            self.rest = Bytes::new();
            // Known, so that the end is seen with the last bytes.
            if self.content.is_end_stream() {
                brigade.push(Bucket::Eos);
            }
        }
    }

    fn take(&mut self, frame: Frame<Bytes>, brigade: &mut Brigade) {
        match frame.into_data() {
            Ok(data) => {
                let Some(allowed) = self.allowed.checked_sub(data.len() as u64) else {
                    return self.fail(RequestBodyError::of(BodyFailure::TooLarge), brigade);
                };
                self.allowed = allowed;
                self.rest = data;
                self.push_rest(brigade);
            }
            Err(frame) => {
                if let Ok(fields) = frame.into_trailers() {
                    brigade.push(Bucket::Trailers(Box::new(fields)));
                }
            }
        }
    }
}

impl Generator for Incoming {
    fn poll_fill(&mut self, cx: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()> {
        if !self.rest.is_empty() {
            self.push_rest(brigade);
            return Poll::Ready(());
        }
        match ready!(Pin::new(&mut self.content).poll_frame(cx)) {
            Some(Ok(frame)) => self.take(frame, brigade),
            Some(Err(error)) => self.fail(error, brigade),
            None => brigade.push(Bucket::Eos),
        }
        Poll::Ready(())
    }

    fn min_remaining(&self) -> u64 {
        self.content.size_hint().lower().saturating_add(self.rest.len() as u64)
    }
}
