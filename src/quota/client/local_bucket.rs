//! The local token bucket of one resource: refilled at the share's rate, with a queue of waiting callers.
//!
//! It knows when the share lapses and to which rate, so it is exact at that instant even if it is polled late.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Duration;

use crate::clock::Instant;
use crate::limit::{PerSecond, TokenBucket};
use crate::quota::limit::MICRO;

/// A millionth of what the resource counts.
#[derive(Clone, Copy, Debug)]
pub(super) enum MicroUnit {}

/// The depth of the bucket: what can be spent at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What the current share gives in this time. Default 1 s.
    Lasting(Duration),
    /// This number of units.
    Units(u64),
}

impl Default for Depth {
    fn default() -> Self {
        Self::Lasting(Duration::from_secs(1))
    }
}

/// The bucket and the callers that wait for it.
pub(super) struct LocalBucket {
    depth: Depth,
    /// `None` before the first share.
    bucket: Option<TokenBucket<MicroUnit>>,
    /// The share is zero: what is in the bucket can be spent, and it is not refilled.
    dry: bool,
    /// When the share lapses, and to which rate.
    lapses: Option<(Instant, u64)>,
    /// Micro-units that are set aside, still in the bucket.
    aside: u64,
    /// Micro-units that were taken of those set aside, and not removed from the bucket yet.
    taken: u64,
    queue: VecDeque<Waiting>,
    next_ticket: u64,
    closed: bool,
}

struct Waiting {
    ticket: u64,
    waker: Option<Waker>,
}

pub(super) enum Attempt {
    Taken,
    Closed,
    /// Try again at this instant, if known, or when woken.
    NotYet(Option<Instant>),
}

impl LocalBucket {
    pub(super) fn new(depth: Depth) -> Self {
        Self {
            depth,
            bucket: None,
            dry: true,
            lapses: None,
            aside: 0,
            taken: 0,
            queue: VecDeque::new(),
            next_ticket: 0,
            closed: false,
        }
    }

    /// Changes the rate from `now` on, and when it lapses to which rate.
    pub(super) fn set(&mut self, now: Instant, rate: u64, lapses: Option<(Instant, u64)>) {
        self.settle(now);
        self.change_rate(now, rate);
        self.lapses = lapses;
        self.wake_first();
    }

    /// Closes the bucket, and wakes the waiting callers.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.queue.iter_mut().filter_map(|waiting| waiting.waker.take()).for_each(Waker::wake);
    }

    /// Takes `n` micro-units if they are available and no caller waits.
    pub(super) fn try_take(&mut self, now: Instant, n: u64) -> bool {
        self.queue.is_empty() && !self.closed && self.take(now, n)
    }

    /// Takes `n` micro-units for the holder of `ticket` if it is first in the queue. Without a ticket it joins the queue.
    pub(super) fn attempt(
        &mut self,
        now: Instant,
        n: u64,
        ticket: &mut Option<u64>,
        waker: &Waker,
    ) -> Attempt {
        if self.closed {
            return Attempt::Closed;
        }
        let mine = *ticket.get_or_insert_with(|| {
            self.next_ticket += 1;
            self.queue.push_back(Waiting { ticket: self.next_ticket, waker: None });
            self.next_ticket
        });
        let is_first = self.queue.front().is_some_and(|first| first.ticket == mine);
        if is_first && self.take(now, n) {
            self.leave(ticket);
            return Attempt::Taken;
        }
        if let Some(waiting) = self.queue.iter_mut().rfind(|waiting| waiting.ticket == mine) {
            waiting.waker = Some(waker.clone());
        }
        Attempt::NotYet(if is_first { self.ready_at(n) } else { None })
    }

    pub(super) fn leave(&mut self, ticket: &mut Option<u64>) {
        let Some(mine) = ticket.take() else { return };
        self.queue.retain(|waiting| waiting.ticket != mine);
        self.wake_first();
    }

    fn take(&mut self, now: Instant, n: u64) -> bool {
        self.settle(now);
        self.bucket.as_mut().is_some_and(|bucket| bucket.try_consume_on_credit(n))
    }

    /// Sets tokens aside until [`collect`](Self::collect); returns how many micro-units.
    ///
    /// They count as taken when they are collected, as late as that may be: so never is more taken than the bucket gives, and
    /// one that would be full meanwhile is short of as many. That is at most what the rate gives in a millisecond.
    pub(super) fn set_aside(&mut self) -> u64 {
        let is_open = self.queue.is_empty() && !self.closed;
        let Some(bucket) = self.bucket.as_ref().filter(|_| is_open) else { return 0 };
        let most = (bucket.rate().per_second() / 1000).min(bucket.max_burst() / 64);
        // A lapse may make the bucket smaller; no more was taken by then than it may hold. A share of zero leaves it.
        let lapsed = self.lapses.filter(|(_, then)| *then > 0).map(|(_, then)| self.depth_at(then));
        self.aside = bucket.available().min(most).min(lapsed.unwrap_or(u64::MAX));
        self.aside
    }

    /// Ends what [`set_aside`](Self::set_aside) began; `left` were not taken.
    pub(super) fn collect(&mut self, left: u64) {
        self.taken += std::mem::take(&mut self.aside) - left;
    }

    /// When `n` micro-units will be available or the share lapses, whichever is first.
    fn ready_at(&self, n: u64) -> Option<Instant> {
        let filled = self.bucket.as_ref().filter(|_| !self.dry).map(|bucket| bucket.available_at(n));
        filled.into_iter().chain(self.lapses.map(|(at, _)| at)).min()
    }

    /// Applies a lapse that is due, at its own instant, and brings the bucket up to `now`.
    fn settle(&mut self, now: Instant) {
        if let Some((at, then)) = self.lapses.filter(|(at, _)| *at <= now) {
            self.lapses = None;
            self.change_rate(at, then);
        }
        let Some(bucket) = &mut self.bucket else { return };
        if !self.dry {
            bucket.refill(now);
        }
        bucket.consume(std::mem::take(&mut self.taken));
    }

    fn change_rate(&mut self, at: Instant, rate: u64) {
        let depth = self.depth_at(rate);
        let Ok(rate) = PerSecond::new(rate) else {
            if let Some(bucket) = self.bucket.as_mut().filter(|_| !self.dry) {
                bucket.refill(at);
            }
            self.dry = true;
            return;
        };
        match &mut self.bucket {
            Some(bucket) => {
                if self.dry {
                    bucket.skip_to(at);
                }
                bucket.set_rate(rate, at);
                bucket.set_max_burst(depth, at);
            }
            None => self.bucket = Some(TokenBucket::new(rate, depth, at)),
        }
        self.dry = false;
    }

    fn depth_at(&self, rate: u64) -> u64 {
        match self.depth {
            Depth::Units(units) => units.saturating_mul(MICRO),
            Depth::Lasting(time) => {
                let depth = u128::from(rate) * time.as_nanos() / 1_000_000_000;
                u64::try_from(depth).unwrap_or(u64::MAX)
            }
        }
    }

    fn wake_first(&mut self) {
        if let Some(waker) = self.queue.front_mut().and_then(|first| first.waker.take()) {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn one_second_of_the_share_can_be_spent_at_once() {
        let mut tokens = LocalBucket::new(Depth::default());
        assert!(!tokens.try_take(at(0), 1), "no share yet");
        tokens.set(at(0), 10 * MICRO, None);
        assert!(tokens.try_take(at(0), 10 * MICRO) && !tokens.try_take(at(0), 1));
        let early = Instant::from_nanos(at(100).as_nanos() - 1);
        assert!(!tokens.try_take(early, MICRO) && tokens.try_take(at(100), MICRO));
    }

    #[test]
    fn more_than_the_depth_is_taken_from_a_full_bucket_and_owed() {
        let mut tokens = LocalBucket::new(Depth::Units(5));
        tokens.set(at(0), 10 * MICRO, None);
        assert!(tokens.try_take(at(0), 20 * MICRO));
        let early = Instant::from_nanos(at(2000).as_nanos() - 1);
        assert!(
            !tokens.try_take(early, 5 * MICRO) && tokens.try_take(at(2000), 5 * MICRO),
            "15 owed, 5 to fill"
        );
    }

    #[test]
    fn a_lapse_counts_from_its_own_instant_however_late_it_is_noticed() {
        let mut tokens = LocalBucket::new(Depth::Units(1000));
        tokens.set(at(0), 100 * MICRO, Some((at(1000), MICRO)));
        assert!(tokens.try_take(at(0), 1000 * MICRO));
        // 100 until 1 s, and 10 in the 10 s after it.
        assert!(!tokens.try_take(at(11_000), 110 * MICRO + 1) && tokens.try_take(at(11_000), 110 * MICRO));
    }

    #[test]
    fn a_share_of_zero_neither_refills_nor_empties_the_bucket() {
        let mut tokens = LocalBucket::new(Depth::default());
        tokens.set(at(0), 10 * MICRO, None);
        assert!(tokens.try_take(at(0), 10 * MICRO));
        tokens.set(at(500), 0, None);
        assert!(!tokens.try_take(at(60_000), 5 * MICRO + 1), "not even by waiting for long");
        tokens.set(at(60_000), 10 * MICRO, None);
        assert!(tokens.try_take(at(60_000), 5 * MICRO) && !tokens.try_take(at(60_000), 1));
    }

    #[test]
    fn waiting_callers_are_served_in_order() {
        let mut tokens = LocalBucket::new(Depth::default());
        tokens.set(at(0), 10 * MICRO, None);
        assert!(tokens.try_take(at(0), 10 * MICRO));
        let (mut first, mut second) = (None, None);
        let waker = Waker::noop();
        let ready = |attempt| matches!(attempt, Attempt::NotYet(Some(due)) if due == at(300));
        assert!(ready(tokens.attempt(at(0), 3 * MICRO, &mut first, waker)));
        assert!(matches!(tokens.attempt(at(0), 1, &mut second, waker), Attempt::NotYet(None)));
        assert!(!tokens.try_take(at(200), 1), "a third does not overtake them");
        assert!(matches!(tokens.attempt(at(200), 1, &mut second, waker), Attempt::NotYet(None)));
        tokens.leave(&mut first);
        assert!(matches!(tokens.attempt(at(200), 1, &mut second, waker), Attempt::Taken));
        assert!(tokens.queue.is_empty() && second.is_none());
    }
}
