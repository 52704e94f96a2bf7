//! The local token bucket of one resource, refilled at the share, with those who wait for tokens in a line.
//!
//! It knows when the share lapses and to what, so it is right at that very instant, whoever is late to
//! tell it.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Duration;

use crate::clock::Instant;
use crate::limit::{Rate, TokenBucket};
use crate::quota::limit::MICRO;

/// What may be spent at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What the share gives in this time, whatever the share is. Default 1 s.
    Lasting(Duration),
    /// So many units.
    Units(u64),
}

impl Default for Depth {
    fn default() -> Self {
        Self::Lasting(Duration::from_secs(1))
    }
}

/// A token bucket of micro-units.
pub(super) struct LocalBucket {
    depth: Depth,
    /// `None` until there was a share.
    bucket: Option<TokenBucket>,
    /// The share is zero: what is in the bucket may be spent, and nothing comes in.
    dry: bool,
    /// When the share lapses, and to which.
    lapses: Option<(Instant, u64)>,
    line: VecDeque<Waiting>,
    next_ticket: u64,
    closed: bool,
}

struct Waiting {
    ticket: u64,
    waker: Option<Waker>,
}

/// What came of an attempt to take tokens.
pub(super) enum Attempt {
    Taken,
    Closed,
    /// To be tried again then, if it is known, or when woken.
    NotYet(Option<Instant>),
}

impl LocalBucket {
    pub(super) fn new(depth: Depth) -> Self {
        let line = VecDeque::new();
        Self { depth, bucket: None, dry: true, lapses: None, line, next_ticket: 0, closed: false }
    }

    /// Goes over to another share from `now` on, which lapses as told.
    pub(super) fn set(&mut self, now: Instant, rate: u64, lapses: Option<(Instant, u64)>) {
        self.settle(now);
        self.go_over(now, rate);
        self.lapses = lapses;
        self.wake_first();
    }

    /// Gives nothing any more. Those who wait are told.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.line.iter_mut().filter_map(|waiting| waiting.waker.take()).for_each(Waker::wake);
    }

    /// Takes `n` micro-units if they are there and nobody waits for some.
    pub(super) fn try_take(&mut self, now: Instant, n: u64) -> bool {
        self.line.is_empty() && !self.closed && self.take(now, n)
    }

    /// Takes `n` micro-units for the holder of `ticket` if it is its turn. Without a ticket it gets one.
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
            self.line.push_back(Waiting { ticket: self.next_ticket, waker: None });
            self.next_ticket
        });
        let is_first = self.line.front().is_some_and(|first| first.ticket == mine);
        if is_first && self.take(now, n) {
            self.leave(ticket);
            return Attempt::Taken;
        }
        if let Some(waiting) = self.line.iter_mut().rfind(|waiting| waiting.ticket == mine) {
            waiting.waker = Some(waker.clone());
        }
        Attempt::NotYet(if is_first { self.ready_at(n) } else { None })
    }

    /// Gives a ticket up.
    pub(super) fn leave(&mut self, ticket: &mut Option<u64>) {
        let Some(mine) = ticket.take() else { return };
        self.line.retain(|waiting| waiting.ticket != mine);
        self.wake_first();
    }

    fn take(&mut self, now: Instant, n: u64) -> bool {
        self.settle(now);
        let Some(bucket) = &mut self.bucket else { return false };
        if !self.dry {
            bucket.refill(now);
        }
        bucket.try_consume_on_credit(n)
    }

    /// When `n` micro-units will be there, or the share lapses before that.
    fn ready_at(&self, n: u64) -> Option<Instant> {
        let filled = self.bucket.as_ref().filter(|_| !self.dry).map(|bucket| bucket.available_at(n));
        filled.into_iter().chain(self.lapses.map(|(at, _)| at)).min()
    }

    /// Goes over to the share that comes after this one, at the instant it does.
    fn settle(&mut self, now: Instant) {
        if let Some((at, then)) = self.lapses.filter(|(at, _)| *at <= now) {
            self.lapses = None;
            self.go_over(at, then);
        }
    }

    fn go_over(&mut self, at: Instant, rate: u64) {
        let depth = self.depth_at(rate);
        let Ok(rate) = Rate::new(rate) else {
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
        if let Some(waker) = self.line.front_mut().and_then(|first| first.waker.take()) {
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
    fn a_second_of_the_share_may_be_spent_at_once_and_the_rest_as_it_comes() {
        let mut tokens = LocalBucket::new(Depth::default());
        assert!(!tokens.try_take(at(0), 1), "there is no share yet");
        tokens.set(at(0), 10 * MICRO, None);
        assert!(tokens.try_take(at(0), 10 * MICRO) && !tokens.try_take(at(0), 1));
        let early = Instant::from_nanos(at(100).as_nanos() - 1);
        assert!(!tokens.try_take(early, MICRO) && tokens.try_take(at(100), MICRO));
    }

    #[test]
    fn what_is_larger_than_the_bucket_passes_when_it_is_full_and_is_owed() {
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
    fn the_share_lapses_at_its_instant_whenever_that_is_noticed() {
        let mut tokens = LocalBucket::new(Depth::Units(1000));
        tokens.set(at(0), 100 * MICRO, Some((at(1000), MICRO)));
        assert!(tokens.try_take(at(0), 1000 * MICRO));
        // 100 until 1 s, and 10 in the 10 s after it.
        assert!(!tokens.try_take(at(11_000), 110 * MICRO + 1) && tokens.try_take(at(11_000), 110 * MICRO));
    }

    #[test]
    fn a_share_of_zero_earns_nothing_and_takes_nothing_away() {
        let mut tokens = LocalBucket::new(Depth::default());
        tokens.set(at(0), 10 * MICRO, None);
        assert!(tokens.try_take(at(0), 10 * MICRO));
        tokens.set(at(500), 0, None);
        assert!(!tokens.try_take(at(60_000), 5 * MICRO + 1), "not even by waiting for long");
        tokens.set(at(60_000), 10 * MICRO, None);
        assert!(tokens.try_take(at(60_000), 5 * MICRO) && !tokens.try_take(at(60_000), 1));
    }

    #[test]
    fn those_who_wait_have_their_turn_in_order() {
        let mut tokens = LocalBucket::new(Depth::default());
        tokens.set(at(0), 10 * MICRO, None);
        assert!(tokens.try_take(at(0), 10 * MICRO));
        let (mut first, mut second) = (None, None);
        let waker = Waker::noop();
        let ready = |attempt| matches!(attempt, Attempt::NotYet(Some(due)) if due == at(300));
        assert!(ready(tokens.attempt(at(0), 3 * MICRO, &mut first, waker)));
        assert!(matches!(tokens.attempt(at(0), 1, &mut second, waker), Attempt::NotYet(None)));
        assert!(!tokens.try_take(at(200), 1), "no third goes before them");
        assert!(matches!(tokens.attempt(at(200), 1, &mut second, waker), Attempt::NotYet(None)));
        tokens.leave(&mut first);
        assert!(matches!(tokens.attempt(at(200), 1, &mut second, waker), Attempt::Taken));
        assert!(tokens.line.is_empty() && second.is_none());
    }
}
