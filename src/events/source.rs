//! A subscriber's connection as a generator of buckets, and polls that wait.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::channel::{Channel, ConnectionInfo};
use super::counts::Count;
use super::encoding;
use super::event::StreamName;
use super::hub::Hub;
use super::hub_error::HubError;
use super::stream::{After, Polled, SubscribeRequest, Subscribed, Take};
use crate::brigade::{Brigade, Bucket};
use crate::budget::ClientKey;
use crate::clock::{Instant, Sleep};
use crate::generator::Generator;
use bytes::Bytes;

/// A subscriber's connection. Dropping it disconnects the subscriber.
pub(super) struct Subscription {
    hub: Arc<Hub>,
    channel: Arc<Channel>,
    /// The subscriber's key, and the number of its connection.
    at: (usize, u64),
    path: String,
    info: Option<ConnectionInfo>,
    sleep: Sleep,
    /// Due when a heartbeat is.
    heartbeat: Instant,
}

pub(super) enum Subscribing {
    Stream(Box<Subscription>),
    /// The subscriber is suspended: the `sluicegate.pause` event.
    Suspended(Bytes),
}

impl Subscription {
    pub(super) fn begin(
        hub: &Arc<Hub>,
        name: &StreamName,
        visit: SubscribeRequest,
        info: Option<ConnectionInfo>,
    ) -> Result<Subscribing, HubError> {
        let channel = hub.channel(name)?;
        let (key, connection) = match hub.subscribe(&channel, &visit, info.as_ref())? {
            Subscribed::Stream { key, connection, .. } => (key, connection),
            Subscribed::Suspended(pause) => return Ok(Subscribing::Suspended(pause)),
        };
        let now = hub.clock.now();
        Ok(Subscribing::Stream(Box::new(Self {
            hub: Arc::clone(hub),
            channel,
            at: (key, connection),
            path: visit.path,
            info,
            sleep: Sleep::until(Arc::clone(&hub.clock), now),
            heartbeat: now + hub.settings().heartbeat,
        })))
    }

    /// Moves what is due into `brigade`. If nothing is, returns when to try again.
    fn fill(&mut self, cx: &mut Context<'_>, brigade: &mut Brigade) -> Option<Instant> {
        let mut until = self.heartbeat;
        let mut is_filled = false;
        let random = self.hub.jitter();
        self.hub.with_context(|context| {
            if let Some(info) = &self.info {
                let flushes = info.sink.flushes();
                self.channel.with(|stream| stream.asked(self.at, flushes, info.depth, context));
            }
            while brigade.room() > 0 {
                match self.channel.take(self.at, &self.path, random, cx, context) {
                    Take::Bytes(bytes) => {
                        brigade.push(Bucket::Data(bytes));
                        is_filled = true;
                        continue;
                    }
                    Take::End(last) => {
                        if !last.is_empty() {
                            brigade.push(Bucket::Data(last));
                        }
                        brigade.push(Bucket::Eos);
                        is_filled = true;
                    }
                    Take::Until(due) => until = until.min(due),
                    Take::Idle | Take::Window => {}
                }
                break;
            }
            if self.hub.is_closing() && !brigade.ends() {
                self.hub.counts.add(Count::retries, 1);
                brigade
                    .push(Bucket::Data(encoding::retry(encoding::jittered(context.settings.retry, random))));
                brigade.push(Bucket::Eos);
                is_filled = true;
            }
            if !is_filled && context.now >= self.heartbeat {
                self.hub.counts.add(Count::heartbeats, 1);
                brigade.push(Bucket::Data(encoding::HEARTBEAT));
                is_filled = true;
            }
            if is_filled {
                self.heartbeat = context.now + context.settings.heartbeat;
                if !brigade.ends() {
                    // Filters must not hold an event back.
                    brigade.push(Bucket::Flush);
                }
            }
        });
        (!is_filled).then_some(until)
    }
}

impl Generator for Subscription {
    fn poll_fill(&mut self, cx: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()> {
        loop {
            let Some(until) = self.fill(cx, brigade) else { return Poll::Ready(()) };
            // Reset only if it would fire too late, so that a busy stream does not touch the timer wheel.
            if !self.sleep.is_armed() || until < self.sleep.deadline() {
                self.sleep.reset(until);
            }
            if Pin::new(&mut self.sleep).poll(cx).is_pending() {
                return Poll::Pending;
            }
            if self.hub.clock.now() < until {
                self.sleep.reset(until);
                if Pin::new(&mut self.sleep).poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.with_context(|context| self.channel.disconnected(self.at, context));
        self.hub.store.follow_subscribers();
    }
}

pub(super) struct PollRequest {
    pub(super) client: ClientKey,
    pub(super) token: Option<String>,
    pub(super) after: After,
    pub(super) max: usize,
    /// How long to wait if there is nothing.
    pub(super) wait: Duration,
}

/// Answers a poll: at once if there is something, else at the next event or when the wait is over.
pub(super) async fn poll(
    hub: &Arc<Hub>,
    name: &StreamName,
    mut asked: PollRequest,
) -> Result<Polled, HubError> {
    let channel = hub.channel(name)?;
    hub.arrives_polling(name, &channel, &mut asked).await?;
    let polled = wait_for_events(hub, &channel, &mut asked).await?;
    if let Some(token) = asked.token.filter(|_| polled.suspended) {
        hub.store.keep(hub, name, &channel, &token).await;
    }
    Ok(polled)
}

async fn wait_for_events(
    hub: &Arc<Hub>,
    channel: &Arc<Channel>,
    asked: &mut PollRequest,
) -> Result<Polled, HubError> {
    let answer = |asked: &PollRequest| {
        let token = asked.token.as_deref();
        hub.with_context(|context| {
            channel.with(|stream| stream.poll(token, &asked.after, asked.max, context))
        })
    };
    let has_something = |polled: &Polled| !polled.events.is_empty() || polled.gap.is_some();
    let first = answer(asked)?;
    hub.counts.add(Count::polls, 1);
    if asked.wait.is_zero() || has_something(&first) {
        return Ok(first);
    }
    // Wait for events after this.
    asked.after = After::Number(first.position);
    hub.take_slot(&asked.client, channel)?;
    let waiting = Waiting { hub, channel, client: asked.client.clone(), number: channel.waiting() };
    let mut patience = Sleep::lasting(Arc::clone(&hub.clock), asked.wait);
    std::future::poll_fn(|cx| {
        // Registered before the poll, so that an event in between wakes.
        channel.wait(waiting.number, cx);
        let polled = answer(asked)?;
        let is_over = Pin::new(&mut patience).poll(cx).is_ready() || hub.is_closing();
        if is_over || has_something(&polled) { Poll::Ready(Ok(polled)) } else { Poll::Pending }
    })
    .await
}

/// A waiting poll: holds a slot, and a waker in the channel.
struct Waiting<'a> {
    hub: &'a Arc<Hub>,
    channel: &'a Channel,
    client: ClientKey,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.channel.wait_no_more(self.number);
        self.hub.release_slot(&self.client);
    }
}
