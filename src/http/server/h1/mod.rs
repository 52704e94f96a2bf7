//! HTTP/1 on one connection: reads requests, dispatches them in order, writes the responses.
//!
//! Parsing and framing are in [`crate::http1`]; this module does the I/O. While a response waits for its source, its pace or a
//! turn, the connection holds no buffers and still notices when its client goes.

mod ending;
mod input;
mod output;
mod presence;
mod sending;
mod upload;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, StatusCode, Version};

use super::connection::Connection;
use super::driver::Serving;
use super::respond::{self, Asking, Responding, respond};
use super::response::ResponseBody;
use crate::body::BodyError;
use crate::http::server::lingering::Lingering;
use crate::http::upgrade::{Handover, Upgrade};
use crate::http1::{
    self, Asked, Framing, FramingFields, Outgoing, Refused, client_keeps_connection, read_request,
    request_framing,
};
use crate::sink::{Sink, Wire};

use ending::{MAX_DISCARDED, Skipped};
use input::Input;
use output::Output;
use presence::Presence;
use upload::{Next, Upload};

/// The most bytes of one read, of a head and of content.
const HEAD_PIECE: usize = 4 * 1024;
const CONTENT_PIECE: usize = 16 * 1024;

/// The most steps of one poll; then the task yields.
const MAX_STEPS: usize = 16;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The state machine of one connection.
pub(super) struct Http1<W: Wire> {
    // Fields are dropped in this order: what is aborted reports to the sink before the sink goes.
    state: State,
    upload: Option<Upload>,
    handover: Option<Handover>,
    output: Output,
    input: Input,
    presence: Presence,
    /// `None` once an upgrade has taken it.
    sink: Option<Sink<W>>,
    asked: Asked,
    /// The connection stays open after the current response.
    keeps_alive: bool,
    /// The end of the current request is unknown: no further request can be parsed.
    is_desynced: bool,
    is_draining: bool,
    connection: Arc<Connection>,
}

enum State {
    /// Reading a request's head, or idle.
    Head,
    /// Waiting for the response.
    Answering(Asking),
    /// Sending the response's content.
    Sending(Box<ResponseBody>, Outgoing),
    /// The whole response is in `output`; writing it.
    Flushing,
    /// The content broke off: sending what came before it, which the reset would discard. The exchange lasts until then.
    Failing {
        error: BodyError,
        _body: Box<ResponseBody>,
    },
    /// Discarding the rest of a request's content.
    Skipping(Skipped),
    /// Shutting down the write half.
    Closing,
    /// Discarding what the client still sends.
    Lingering(Box<Lingering>),
    Done,
}

impl<W: Wire + Send + 'static> Http1<W> {
    pub(super) fn new(sink: Sink<W>, connection: Arc<Connection>) -> Self {
        Self {
            state: State::Head,
            upload: None,
            handover: None,
            output: Output::default(),
            input: Input::default(),
            presence: Presence::new(&connection),
            sink: Some(sink),
            asked: Asked { is_head: false, version: Version::HTTP_11, keeps: false, takes_trailers: false },
            keeps_alive: false,
            is_desynced: false,
            is_draining: false,
            connection,
        }
    }

    /// The sink; `None` once it was taken.
    pub(super) fn sink(&mut self) -> &mut Option<Sink<W>> {
        &mut self.sink
    }

    /// Runs up to [`MAX_STEPS`] steps, or until one waits.
    fn poll_steps(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        for _ in 0..MAX_STEPS {
            ready!(match &self.state {
                State::Head => self.poll_head(cx),
                State::Answering(_) => self.poll_answering(cx),
                State::Sending(..) => self.poll_sending(cx),
                State::Flushing => self.poll_flushing(cx),
                State::Failing { .. } => self.poll_failing(cx),
                State::Skipping(_) => self.poll_skipping(cx),
                State::Closing => self.poll_closing(cx),
                State::Lingering(..) => self.poll_lingering(cx),
                State::Done => return Poll::Ready(Ok(())),
            })?;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// One step a request: a fast client must not keep the thread from other tasks.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.input.take_head() {
            Ok(Some(head)) => {
                self.begin(cx, &head)?;
                return Poll::Ready(Ok(()));
            }
            Ok(None) => {}
            Err(refused) => {
                self.refuse(refused);
                return Poll::Ready(Ok(()));
            }
        }
        if self.input.has_ended() || (self.takes_no_request() && self.input.is_blank()) {
            self.state = State::Closing;
            return Poll::Ready(Ok(()));
        }
        if self.input.is_empty() {
            // Only empty lines came: the head has not begun.
            self.connection.sink.await_bytes();
        }
        let Some(sink) = &mut self.sink else { return Poll::Ready(Ok(())) };
        ready!(self.input.poll_more(cx, sink, HEAD_PIECE))?;
        if self.input.is_charged() && self.connection.is_shed() {
            self.refuse(Refused::new(StatusCode::SERVICE_UNAVAILABLE, respond::SHED));
            self.input.clear();
        }
        Poll::Ready(Ok(()))
    }

    /// Parses a head and dispatches the request.
    fn begin(&mut self, cx: &mut Context<'_>, head: &Bytes) -> io::Result<()> {
        let read = read_request(head).and_then(|head| {
            let has = FramingFields::of(&head.headers);
            let framing = request_framing(&head, has)?;
            let unreadable = |_| {
                Refused::new(StatusCode::BAD_REQUEST, "The request's Connection cannot be read.").of(&head)
            };
            let keeps = client_keeps_connection(&head, has).map_err(unreadable)?;
            Ok((head, has, framing, keeps))
        });
        match read {
            Ok((head, has, framing, keeps)) => return self.dispatch(cx, head, has, framing, keeps),
            Err(refused) => self.refuse(refused),
        }
        Ok(())
    }

    fn dispatch(
        &mut self,
        cx: &mut Context<'_>,
        mut head: http::request::Parts,
        has: FramingFields,
        framing: Framing,
        keeps: bool,
    ) -> io::Result<()> {
        self.asked = http1::asked(&head, has, keeps);
        let is_http11 = head.version == Version::HTTP_11;
        // Other expectations are refused by `request_rules`.
        let expects = is_http11 && has.expect;
        let (upload, body) = Upload::new(framing, expects);
        self.upload = upload;
        if is_http11 && http1::offers_upgrade(&head.headers, has) {
            let (upgrade, handover) = Upgrade::new();
            head.extensions.insert(upgrade);
            self.handover = Some(handover);
        }
        let request = Request::from_parts(head, body);
        let connection = Arc::clone(&self.connection);
        match respond(connection, request, None, self.input.take_arrived()) {
            Responding::Ready(response) => self.answer(response),
            Responding::Small(small) => return self.answer_small(cx, small),
            Responding::Asking(asking) => self.state = State::Answering(asking),
        }
        Ok(())
    }

    /// Responds to a malformed request; the connection ends after the response.
    fn refuse(&mut self, refused: Refused) {
        let method = refused.line.as_ref().map(|line| &line.0);
        let is_head = method.is_some_and(|method| *method == http::Method::HEAD);
        let version = refused.line.as_ref().map_or(Version::HTTP_11, |line| line.2);
        self.asked = Asked { is_head, version, keeps: false, takes_trailers: false };
        self.is_desynced = true;
        let response = respond::refuse(Arc::clone(&self.connection), refused);
        self.answer(response);
    }

    /// One step a frame of the upload: small chunks must not keep the thread from other tasks.
    fn poll_answering(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let State::Answering(answering) = &mut self.state else { return Poll::Ready(Ok(())) };
        let answered = answering.as_mut().poll(cx);
        // Interim responses that came with the final one precede it.
        while let Poll::Ready((status, fields)) = self.connection.exchanges.poll_interim(cx) {
            let mut head = Vec::new();
            http1::write_interim(status, &fields, &mut head);
            self.output.push(head.into());
        }
        if let Poll::Ready(response) = answered {
            self.connection.exchanges.end_interim();
            self.answer(response);
            return Poll::Ready(Ok(()));
        }
        let fed = self.poll_upload(cx, true)?;
        if !self.output.is_empty() {
            let Some(sink) = &mut self.sink else { return Poll::Ready(Ok(())) };
            if self.output.poll_write(cx, sink)?.is_ready() {
                let _ = sending::poll_flush(cx, sink)?;
            }
        }
        if fed {
            return Poll::Ready(Ok(()));
        }
        self.check_client(cx)?;
        Poll::Pending
    }

    /// Passes the next frame of the request's content on, if it is wanted. Returns whether one was passed, or the content ended.
    fn poll_upload(&mut self, cx: &mut Context<'_>, may_continue: bool) -> io::Result<bool> {
        let Some(upload) = &mut self.upload else { return Ok(false) };
        upload.feed().note_task(cx);
        if !upload.feed().is_wanted() {
            return Ok(false);
        }
        if upload.expects() {
            upload.stop_expecting();
            if may_continue && self.input.is_empty() {
                self.output.push(Bytes::from_static(CONTINUE));
            }
        }
        loop {
            match upload.next(self.input.content()) {
                Ok(Next::Frame(frame, is_last)) => {
                    upload.feed().push(frame, is_last);
                    if is_last {
                        self.upload = None;
                    }
                    return Ok(true);
                }
                Ok(Next::End) => {
                    upload.feed().finish();
                    self.upload = None;
                    return Ok(true);
                }
                Ok(Next::More) if !self.input.has_ended() => {}
                Ok(Next::More) | Err(_) => {
                    // Dropping it reports that the content broke off.
                    self.upload = None;
                    (self.is_desynced, self.keeps_alive, self.asked.keeps) = (true, false, false);
                    return Ok(true);
                }
            }
            let Some(sink) = &mut self.sink else { return Ok(false) };
            if self.input.poll_more(cx, sink, CONTENT_PIECE)?.is_pending() {
                return Ok(false);
            }
        }
    }

    /// Checks that the client is still there, and has this task woken when it goes.
    fn check_client(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(sink) = &mut self.sink else { return Ok(()) };
        // Content is read only when its consumer wants it.
        let reads = match &self.upload {
            None => presence::Reads::Ahead,
            Some(upload) if upload.is_wanted() => return Ok(()),
            Some(_) => presence::Reads::Nothing,
        };
        self.presence.check(cx, &mut self.input, sink, reads)
    }

    /// Chooses the next state once the response is written.
    fn finish_response(&mut self) {
        self.presence.rest();
        if let Some(handover) = self.handover.take() {
            if let Some(sink) = self.sink.take() {
                let unread = std::mem::take(self.input.content());
                handover.complete(unread, sink);
            }
            self.state = State::Done;
        } else if !self.keeps_alive || self.takes_no_request() {
            self.state = State::Closing;
        } else if let Some(upload) = &self.upload {
            let is_hopeless = upload.expects() || upload.is_longer_than(MAX_DISCARDED);
            self.state = if is_hopeless { State::Closing } else { State::Skipping(Skipped::default()) };
        } else {
            self.begin_head();
        }
    }
}

impl<W: Wire + Send + 'static> Serving for Http1<W> {
    fn poll_serving(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_steps(cx)
    }

    fn drain(self: Pin<&mut Self>) {
        self.get_mut().is_draining = true;
    }

    fn head_is_late(self: Pin<&mut Self>) -> bool {
        let this = self.get_mut();
        let is_within_head = matches!(this.state, State::Head) && !this.input.is_empty();
        if is_within_head {
            let text = "The request's head did not come in time.";
            this.refuse(Refused::new(StatusCode::REQUEST_TIMEOUT, text));
            // The client is silent: there is nothing to linger for.
            this.is_desynced = false;
            this.input.clear();
        }
        is_within_head
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Gate;
    use crate::http::server::answer_content::AnswerContent;
    use crate::http::server::transfer::Transfer;
    use crate::rt::Socket;
    use crate::sink::SinkState;

    /// A paced stream takes less than 6 KiB, two thirds of it here.
    #[test]
    fn the_parts_of_a_stream_have_bounds() {
        for (part, bytes, most) in [
            ("connection's driver", size_of::<Http1<Socket>>(), 800),
            ("sink", size_of::<Sink<Socket>>(), 384),
            ("its state", size_of::<SinkState>(), 352),
            ("connection", size_of::<Connection>(), 560),
            ("response", size_of::<ResponseBody>(), 208),
            ("its content", size_of::<AnswerContent>(), 880),
            ("exchange", size_of::<Transfer>(), 456),
            ("gate", size_of::<Gate>(), 152),
        ] {
            assert!(bytes <= most, "{part}: {bytes} bytes, at most {most}");
        }
    }
}
