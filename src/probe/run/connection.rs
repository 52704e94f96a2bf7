//! One connection of a run: connects, sends requests, and records the arrival of bytes.
//!
//! The time of a read is taken right after it, before its bytes are parsed.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use futures_lite::{FutureExt, future};
use hyper::rt::Write;

use super::plan::Plan;
use super::run_state::RunState;
use crate::clock::{Clock, Instant, Sleep};
use crate::limit::{Interval, TokenBucket};
use crate::probe::pace::End;
use crate::probe::report::ConnectionTrace;
use crate::probe::response::{Response, ResponseError};
use crate::probe::target::Target;
use crate::probe::timeline::Timeline;
use crate::rt::{self, Connect};
use crate::sync::Mutex;
use crate::tls::Stream;

/// Timeout of connecting, the TLS handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// For a reader that is slow on purpose: the kernel must not buffer much. Linux doubles this.
const SLOW_RECEIVE_BUFFER: usize = 4096;

/// Reads after which the task yields.
const READS_IN_A_ROW: usize = 32;

thread_local! {
    /// The buffer of one read, one per thread of the executor.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; 64 * 1024].into_boxed_slice());
}

/// A connection of a run, and what it has received so far.
pub(super) struct Connection {
    plan: Arc<Plan>,
    target: usize,
    run_state: Arc<RunState>,
    seen: Mutex<ConnectionTrace>,
}

/// Why a connection ended.
enum Stop {
    /// The time or the run is over.
    Over,
    Failed(String),
}

impl Connection {
    /// Spawns its task.
    pub(super) fn start(
        plan: &Arc<Plan>,
        target: usize,
        most: usize,
        run_state: &Arc<RunState>,
    ) -> Arc<Self> {
        let seen = ConnectionTrace {
            timeline: Timeline::new(most),
            asked: None,
            answered: None,
            responses: 0,
            dials: 0,
            end: End::At(plan.lasting),
            failure: None,
        };
        let (plan, run_state) = (Arc::clone(plan), Arc::clone(run_state));
        let connection = Arc::new(Self { plan, target, run_state, seen: Mutex::new(seen) });
        let own = Arc::clone(&connection);
        rt::spawn(async move {
            let over = async {
                own.run_state.over().await;
                Err(Stop::Over)
            };
            let result = own.work().or(over).await;
            own.finish(result);
            own.run_state.note_done();
        });
        connection
    }

    /// What it has received, at the end of a run that took `lasted`.
    pub(super) fn seen(&self, lasted: Duration) -> ConnectionTrace {
        let mut seen = self.seen.lock().clone();
        if let End::At(end) = seen.end {
            seen.end = End::At(end.min(lasted));
        }
        if seen.failure.is_none() && seen.answered.is_none() && !self.run_ended_early(lasted) {
            seen.failure =
                Some(format!("no byte came within {} s", (lasted.as_secs_f64() * 10.0).round() / 10.0));
        }
        seen
    }

    fn run_ended_early(&self, lasted: Duration) -> bool {
        lasted < self.plan.lasting
    }

    fn finish(&self, result: Result<(), Stop>) {
        let mut seen = self.seen.lock();
        match result {
            Ok(()) => seen.end = End::Whole,
            Err(Stop::Over) => {}
            Err(Stop::Failed(why)) => seen.failure = Some(why),
        }
    }

    async fn work(&self) -> Result<(), Stop> {
        let dialled = self.dial().await;
        self.run_state.note_ready();
        let mut stream = dialled?;
        let begin = self.run_state.begun().await;
        let mut slow = self.plan.slow.map(|rate| {
            // A late wake-up may read what was due meanwhile, up to one interval's worth.
            TokenBucket::new(rate, rate.chunk(Interval::DEFAULT), begin).starting_with(0)
        });
        let request = self.plan.request(self.target());
        // Responses on the present connection.
        let mut before = 0;
        loop {
            let mut response = Response::default();
            let asked = self.exchange(&mut stream, &request, &mut response, begin, &mut slow).await;
            match asked {
                Ok(()) => before += 1,
                // The server closed it while the request was under way, as it may.
                Err(Stop::Failed(_)) if before > 0 && response.is_untouched() => {
                    (stream, before) = (self.dial().await?, 0);
                    continue;
                }
                Err(Stop::Failed(why)) => {
                    let at = rt::clock().now() - begin;
                    self.seen.lock().end = End::At(at);
                    return Err(Stop::Failed(self.with_place(why, at)));
                }
                Err(over) => return Err(over),
            }
            self.seen.lock().responses += 1;
            if !self.plan.repeat {
                return Ok(());
            }
            if !response.keeps_connection() {
                (stream, before) = (self.dial().await?, 0);
            }
            future::yield_now().await;
        }
    }

    fn target(&self) -> &Target {
        &self.plan.targets[self.target]
    }

    async fn dial(&self) -> Result<Stream, Stop> {
        let target = self.target();
        let to = Connect {
            host: target.host().to_owned(),
            port: target.port(),
            receive_buffer: self.plan.slow.map(|_| SLOW_RECEIVE_BUFFER),
        };
        let place = format!("cannot connect to {} port {}", target.host(), target.port());
        let connecting = async {
            let socket = rt::connect(&to).await.map_err(|error| format!("{place}: {error}"))?;
            match (&self.plan.tls, target.is_tls()) {
                (Some(tls), true) => {
                    tls.connect(&to.host, socket).await.map_err(|error| format!("TLS: {error}"))
                }
                (None, true) => Err("TLS is not set up".to_owned()),
                (_, false) => Ok(Stream::Plain(socket)),
            }
        };
        let late = async {
            Sleep::lasting(rt::clock(), CONNECT_TIMEOUT).await;
            Err(format!("{place}: nobody answers within {} s", CONNECT_TIMEOUT.as_secs()))
        };
        let stream = connecting.or(late).await.map_err(Stop::Failed)?;
        self.seen.lock().dials += 1;
        Ok(stream)
    }

    /// Sends a request, and reads the response to its end.
    async fn exchange(
        &self,
        stream: &mut Stream,
        request: &[u8],
        response: &mut Response,
        begin: Instant,
        slow: &mut Option<TokenBucket>,
    ) -> Result<(), Stop> {
        let clock = rt::clock();
        self.seen.lock().asked.get_or_insert(clock.now() - begin);
        send(stream, request).await.map_err(|error| Stop::Failed(format!("it cannot be asked: {error}")))?;
        let mut reads = 0usize;
        while !response.is_whole() {
            reads += 1;
            if reads.is_multiple_of(READS_IN_A_ROW) {
                future::yield_now().await;
            }
            let want = match slow {
                Some(bucket) => sip(bucket).await,
                None => usize::MAX,
            };
            let (read, at) = poll_fn(|cx| {
                SCRATCH.with_borrow_mut(|scratch| {
                    let want = want.min(scratch.len());
                    let read = ready!(stream.poll_read_slice(cx, &mut scratch[..want]));
                    let at = clock.now() - begin;
                    let read = read.map_err(|error| Stop::Failed(error.to_string()));
                    let read = read.and_then(|len| self.take(response, &scratch[..len], at).map(|()| len));
                    Poll::Ready((read, at))
                })
            })
            .await;
            let len = read?;
            if let Some(bucket) = slow {
                bucket.consume(len as u64);
            }
            if at >= self.plan.lasting && !response.is_whole() || self.run_state.is_over() {
                return Err(Stop::Over);
            }
        }
        Ok(())
    }

    /// Records bytes read at `at`; none are the end of the connection.
    fn take(&self, response: &mut Response, read: &[u8], at: Duration) -> Result<(), Stop> {
        let failed = |error: ResponseError| Stop::Failed(error.to_string());
        if read.is_empty() {
            return response.ended().map_err(failed);
        }
        let taken = response.take(read).map_err(failed)?;
        let mut seen = self.seen.lock();
        seen.answered.get_or_insert(at);
        if at <= self.plan.lasting {
            seen.timeline.record(at, taken.content);
            self.run_state.add_bytes(taken.content);
        }
        if taken.used < read.len() {
            return Err(Stop::Failed("bytes came after the end of the response".to_owned()));
        }
        Ok(())
    }

    /// Adds to a failure when it happened and after how many bytes.
    fn with_place(&self, why: String, at: Duration) -> String {
        match self.seen.lock().timeline.total() {
            0 => why,
            bytes => format!("after {bytes} bytes, at {:.1} s: {why}", at.as_secs_f64()),
        }
    }
}

/// Waits until a twentieth of a second's bytes, at least one, may be read; returns how many may be.
async fn sip(bucket: &mut TokenBucket) -> usize {
    let clock = rt::clock();
    let least = (bucket.rate().bytes_per_second() / 20).max(1);
    loop {
        bucket.refill(clock.now());
        let there = bucket.available();
        if there >= least {
            return usize::try_from(there).unwrap_or(usize::MAX);
        }
        Sleep::until(rt::clock(), bucket.available_at(least)).await;
    }
}

async fn send(stream: &mut Stream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let sent = poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, bytes)).await?;
        if sent == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[sent..];
    }
    poll_fn(|cx| Pin::new(&mut *stream).poll_flush(cx)).await
}
