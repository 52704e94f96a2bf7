//! Where a stream is among rates that follow one another.

use crate::brigade::{Brigade, MAX_PIECE};
use crate::limit::{Allowance, Rate, Rates};

/// The rate that holds at a stream's position, of several.
#[derive(Debug)]
pub(super) struct Position {
    /// Of the limit's rates, when they were read.
    version: u32,
    rates: Rates,
    /// The part that holds; as many as there are is the last rate.
    part: usize,
}

/// The bytes in hand, as far as one rate holds for them.
pub(super) struct InHand {
    pub(super) bytes: u64,
    /// Those behind them, for which other rates hold; `None` if there are none.
    others: Option<Others>,
}

/// Bytes at other rates.
struct Others {
    bytes: u64,
    /// What the rate that holds gives in the time that they take, in billionths of a byte; at least the whole of a chunk if
    /// there are too many for a remainder.
    nano: i128,
}

impl Position {
    pub(super) fn new(version: u32, rates: Rates, sent: u64) -> Self {
        let mut position = Self { version, rates, part: 0 };
        position.advance(sent);
        position
    }

    pub(super) fn version(&self) -> u32 {
        self.version
    }

    /// Goes on to the part of the byte behind the first `sent`; returns whether that is another.
    pub(super) fn advance(&mut self, sent: u64) -> bool {
        let before = self.part;
        while self.rates.first().get(self.part).is_some_and(|part| part.end <= sent) {
            self.part += 1;
        }
        self.part != before
    }

    pub(super) fn rate(&self) -> Option<Rate> {
        self.rates.first().get(self.part).map_or(self.rates.last(), |part| part.rate)
    }

    /// The fastest from here on; `None` if one is unlimited.
    pub(super) fn fastest(&self) -> Option<Rate> {
        let rest = self.rates.first().get(self.part..).unwrap_or_default();
        rest.iter().map(|part| part.rate).try_fold(self.rates.last()?, |most, rate| Some(most.max(rate?)))
    }

    /// The bytes of `input`, up to where this rate ends. `sent` bytes have passed.
    pub(super) fn in_hand(&self, sent: u64, input: &Brigade) -> InHand {
        let all = input.bytes();
        let end = self.rates.first().get(self.part).map_or(u64::MAX, |part| part.end);
        let bytes = all.min(end - sent);
        let others = (bytes < all).then(|| self.others(sent + bytes, all - bytes));
        InHand { bytes, others }
    }

    fn others(&self, mut from: u64, bytes: u64) -> Others {
        let (Some(here), true) = (self.rate(), bytes < MAX_PIECE) else {
            return Others { bytes, nano: i128::MAX };
        };
        let (mut left, mut nano) = (bytes, 0_i128);
        let parts = self.rates.first().get(self.part + 1..).unwrap_or_default();
        let last = (self.rates.last(), u64::MAX);
        for (rate, end) in parts.iter().map(|part| (part.rate, part.end)).chain([last]) {
            let part = left.min(end.saturating_sub(from));
            (from, left) = (from.saturating_add(part), left - part);
            // What has no rate takes no time.
            if let Some(rate) = rate {
                let [here, there] = [here, rate].map(|rate| i128::from(rate.bytes_per_second()));
                nano = nano.saturating_add(i128::from(part) * 1_000_000_000 * here / there);
            }
        }
        Others { bytes, nano }
    }
}

impl InHand {
    /// All of `input`, at one rate.
    pub(super) fn all(input: &Brigade) -> Self {
        Self { bytes: input.bytes(), others: None }
    }

    /// Whether `bytes` of these and all at other rates behind them are still less than a chunk; for those of one rate, true.
    pub(super) fn is_rest(&self, allowance: &Allowance, bytes: u64) -> bool {
        self.others.as_ref().is_none_or(|others| {
            bytes + others.bytes < MAX_PIECE && allowance.is_less_with(bytes, others.nano)
        })
    }
}
