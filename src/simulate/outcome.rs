//! The figures of a simulation.

use std::time::{Duration, SystemTime};

use super::byte_counts::{ByteCount, SAMPLES};
use super::clients::RunningGroup;
use crate::budget::{Clients, Node};
use crate::http::server::Handle;

/// What a simulation has shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What the server's clock showed at its start.
    pub began: SystemTime,
    /// How long it was.
    pub lasting: Duration,
    /// The seed of what was drawn.
    pub seed: u64,
    /// The groups of clients, in the order of their file.
    pub groups: Vec<GroupOutcome>,
    /// The shared limits: the server's first, then those of classes and routes.
    pub limits: Vec<LimitOutcome>,
}

/// What a group of clients got.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupOutcome {
    /// Its name.
    pub name: String,
    /// How many clients it has.
    pub clients: usize,
    /// Transfers by their ends.
    pub transfers: Transfers,
    /// Bytes of content that its clients were sent.
    pub bytes: u64,
    /// Bytes of content that the server read of them.
    pub bytes_up: u64,
    /// Bytes that were written to their connections, with heads, and content that was read, in each second from the start.
    pub seconds: Vec<u64>,
    /// The most of them in any second.
    pub peak: u64,
    /// Bytes per second of transfers.
    pub rates: Option<Quantiles<u64>>,
    /// How long transfers took that were done.
    pub times: Option<Quantiles<Duration>>,
    /// Bytes of content of its clients.
    pub spread: Option<Quantiles<u64>>,
    /// How long all transfers took together.
    pub lasted: Duration,
    /// What they waited for of that, the longest first, by the words of `held_by`.
    pub waits: Vec<(String, Duration)>,
}

/// Transfers by their ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transfers {
    /// Clients had all of the answer.
    pub done: u64,
    /// They go on when the simulation ends.
    pub under_way: u64,
    /// Clients gave them up.
    pub given_up: u64,
    /// The server had no place: it answered 429 or 503, or closed the connection at once.
    pub refused: u64,
    /// The server answered with another error, or a redirect.
    pub failed: u64,
    /// The server broke them off.
    pub cut: u64,
    /// Clients that arrived while [`MAX_WORKERS`](super::spec::MAX_WORKERS) connections were open, and were left out.
    pub turned_away: u64,
}

/// Some of many values in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantiles<T> {
    /// The least.
    pub least: T,
    /// The first percentile.
    pub p1: T,
    /// The median.
    pub p50: T,
    /// The 99th percentile.
    pub p99: T,
    /// The most.
    pub most: T,
}

impl<T: Copy + Ord> Quantiles<T> {
    /// Of `values`, in any order; `None` if there are none.
    pub(super) fn of(mut values: Vec<T>) -> Option<Self> {
        values.sort_unstable();
        let (least, most) = (*values.first()?, *values.last()?);
        let at = |percent: usize| values[((values.len() * percent).div_ceil(100)).max(1) - 1];
        Some(Self { least, p1: at(1), p50: at(50), p99: at(99), most })
    }
}

impl GroupOutcome {
    pub(super) fn new(running: RunningGroup, byte_count: ByteCount, lasting: Duration) -> Self {
        let totals = running.totals;
        let mut seconds = byte_count.seconds;
        seconds.resize(usize::try_from(lasting.as_secs()).unwrap_or(0).max(1), 0);
        Self {
            name: running.group.name,
            clients: running.group.count,
            transfers: totals.transfers,
            bytes: totals.bytes,
            bytes_up: totals.bytes_up,
            seconds,
            peak: byte_count.peak,
            rates: Quantiles::of(totals.rates),
            times: Quantiles::of(totals.times),
            spread: Quantiles::of(totals.clients),
            lasted: totals.lasted,
            waits: totals.waited.longest_first(),
        }
    }

    /// Bytes that were written to its connections, with heads, and content that was read.
    pub fn moved(&self) -> u64 {
        self.seconds.iter().sum()
    }
}

/// A shared limit, and what passed under it.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitOutcome {
    /// As `limits list` calls it.
    pub name: String,
    /// Its rate in each second, in bytes per second; `None` while it had none.
    pub rates: Vec<Option<u64>>,
    /// Bytes that its rates allowed; `None` if it never had one.
    pub allowed: Option<u64>,
    /// Bytes that passed, in each second from the start.
    pub seconds: Vec<u64>,
    /// The most of them in any second.
    pub peak: u64,
    /// How often transfers waited for it.
    pub waits: u64,
}

impl LimitOutcome {
    /// Bytes that passed.
    pub fn passed(&self) -> u64 {
        self.seconds.iter().sum()
    }

    /// Its lowest and its highest rate; `None` if it never had one.
    pub fn span(&self) -> Option<(u64, u64)> {
        let rates = || self.rates.iter().copied().flatten();
        rates().min().zip(rates().max())
    }
}

/// Watches a shared limit.
pub(super) struct LimitBytes {
    name: String,
    node: Node,
    byte_count: ByteCount,
    rates: Vec<Option<u64>>,
    /// Bytes that were allowed, times samples in a second.
    allowed: Option<u128>,
}

impl LimitBytes {
    /// The shared limits of `server`.
    pub(super) fn all(server: &Handle) -> Vec<Self> {
        let budgets = server.budgets();
        let (classes, routes) = (budgets.classes(), server.routes());
        let mut nodes = Vec::new();
        for (nth, prefix) in ["", "upload-"].into_iter().enumerate() {
            let mut add = |name: String, of: [&Clients; 2]| {
                nodes.push((format!("{prefix}{name}"), of[nth].parent().clone()));
            };
            add("server".to_owned(), [budgets.clients(), budgets.uploads()]);
            for class in &classes {
                add(format!("class {}", class.name()), [class.clients(), class.uploads()]);
            }
            for route in &routes {
                add(format!("route {}", route.name()), [route.clients(), route.upload_clients()]);
            }
        }
        let watched = |(name, node): (String, Node)| Self {
            byte_count: ByteCount::from(node.passed().bytes),
            name,
            node,
            rates: Vec::new(),
            allowed: None,
        };
        nodes.into_iter().map(watched).collect()
    }

    pub(super) fn sample(&mut self) {
        self.byte_count.sample(self.node.passed().bytes);
        let budget = self.node.in_force();
        let rate = budget.rate.filter(|_| !budget.report_only).map(|rate| rate.bytes_per_second());
        if let Some(rate) = rate {
            *self.allowed.get_or_insert(0) += u128::from(rate);
        }
        if self.rates.len() < self.byte_count.seconds.len() {
            self.rates.push(rate);
        }
    }

    pub(super) fn finish(self) -> LimitOutcome {
        LimitOutcome {
            name: self.name,
            rates: self.rates,
            allowed: self.allowed.map(|sum| u64::try_from(sum / SAMPLES as u128).unwrap_or(u64::MAX)),
            peak: self.byte_count.peak,
            seconds: self.byte_count.seconds,
            waits: self.node.passed().waits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_there_are() {
        let of = |n: u64| {
            let Quantiles { least, p1, p50, p99, most } = Quantiles::of((1..=n).rev().collect()).unwrap();
            [least, p1, p50, p99, most]
        };
        assert_eq!(of(1), [1; 5]);
        assert_eq!(of(2), [1, 1, 1, 2, 2]);
        assert_eq!(of(1_000), [1, 10, 500, 990, 1_000]);
        assert_eq!(Quantiles::<u64>::of(Vec::new()), None);
    }
}
