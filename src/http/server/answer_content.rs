//! The content of an answer, pulled by the task that sends it, which publishes how far it is.

use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};

use super::connection::Connection;
use super::transfer::Transfer;
use crate::body::{BodyError, PacedBody, Piece, Waits};
use crate::budget::{FlowWatch, Gate};
use crate::clock::Clock;
use crate::filter::Chain;
use crate::http::content::Content;
use crate::limit::Budget;
use crate::rt::FileReader;
use crate::sink::{Charge, HeldAs};

/// A frame of content, or why there is none.
pub(super) type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

/// What content waited for: the pace and the source, and turns in shared budgets by their names.
pub(super) type Waited = (Waits, Vec<(Arc<str>, Duration)>);

/// Content on its way through its filters and shared budgets.
pub(super) struct AnswerContent {
    body: PacedBody<Content, FileReader>,
    /// Charges for content in memory, and for the filters' state.
    charges: Option<[Charge; 2]>,
    /// The flow that was published.
    flow: Option<FlowWatch>,
}

impl AnswerContent {
    pub(super) fn new(content: Content, chain: Chain, gate: Gate, clock: Arc<dyn Clock>) -> Self {
        let body = PacedBody::with_files(content, chain, clock, FileReader::new()).with_gate(gate);
        Self { body, charges: None, flow: None }
    }

    /// Charges `connection` for content that is in memory whole, until the body is asked for the first time.
    pub(super) fn charge_whole(&mut self, bytes: u64, connection: &Connection) {
        self.charge([bytes, 0], connection);
    }

    /// Returns the next frame, and counts its bytes as passed on.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        transfer: &Transfer,
        connection: &Connection,
    ) -> Polled {
        let frame = ready!(self.poll(cx, transfer, connection));
        if let Some(Ok(frame)) = &frame {
            connection.pass(transfer, frame.data_ref().map_or(0, |data| data.len() as u64));
        }
        Poll::Ready(frame)
    }

    /// Returns the next frame, of at most `max_len` bytes, which the caller counts when they are passed on.
    pub(super) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
        transfer: &Transfer,
        connection: &Connection,
        max_len: u64,
    ) -> Polled {
        self.body.set_max_frame(max_len);
        self.poll(cx, transfer, connection)
    }

    /// Returns the next piece, at least `min_file` bytes of a file that are at hand as such, and counts bytes as passed on.
    pub(super) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        transfer: &Transfer,
        connection: &Connection,
        min_file: u64,
    ) -> Poll<Option<Result<Piece, BodyError>>> {
        let piece = self.body.poll_piece(cx, min_file);
        self.charge([self.body.bytes_held(), self.body.filters_held()], connection);
        self.publish(transfer);
        if let Poll::Ready(Some(Ok(Piece::Data(bytes)))) = &piece {
            connection.pass(transfer, bytes.len() as u64);
        }
        piece
    }

    /// Has the processor fetch what the next piece uses.
    pub(super) fn prefetch(&self) {
        self.body.prefetch();
        black_box((self.charges.is_some(), self.flow.is_some()));
    }

    /// Removes and counts bytes that were sent of a [`Piece::File`].
    pub(super) fn sent(&mut self, bytes: u64, transfer: &Transfer, connection: &Connection) {
        self.body.sent(bytes);
        connection.pass(transfer, bytes);
    }

    fn poll(&mut self, cx: &mut Context<'_>, transfer: &Transfer, connection: &Connection) -> Polled {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.charge([self.body.bytes_held(), self.body.filters_held()], connection);
        self.publish(transfer);
        frame
    }

    fn publish(&mut self, transfer: &Transfer) {
        transfer.wait.set_past(self.body.waits(), self.body.gate());
        let Some(flow) = self.body.gate().watch() else {
            return transfer.wait.set(self.body.held().as_ref());
        };
        if self.flow.as_ref() != Some(&flow) {
            self.flow = Some(flow);
            transfer.wait.set_flow(self.flow.clone());
        }
        transfer.wait.set_turn();
    }

    /// Charges `connection` for content in memory, and for the filters' state.
    fn charge(&mut self, bytes: [u64; 2], connection: &Connection) {
        if self.charges.is_some() || bytes != [0; 2] {
            let charges = self.charges.get_or_insert_with(|| {
                [HeldAs::Content, HeldAs::Filter].map(|held| Charge::new(&connection.sink, held))
            });
            for (charge, bytes) in charges.iter_mut().zip(bytes) {
                charge.set(bytes);
            }
        }
    }

    /// The shared budgets that it takes turns in.
    pub(super) fn budgets(&self) -> impl Iterator<Item = Budget> {
        self.body.gate().budgets()
    }

    /// Whether it has waited for its pace or for a turn, or does, so that no burst is left.
    pub(super) fn has_waited(&self) -> bool {
        let waits = self.body.held().is_some_and(|held| held.by.is_limit());
        waits || self.body.waits().pace > Duration::ZERO || self.body.gate().waits() > 0
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    /// Ends it; nothing more is passed on. Returns what it waited for.
    pub(super) fn end(self, transfer: &Transfer) -> Waited {
        transfer.wait.set(None);
        transfer.wait.set_flow(None);
        (self.body.waits(), self.body.gate().waited().cloned().collect())
    }
}
