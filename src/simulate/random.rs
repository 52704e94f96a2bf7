//! Random numbers, and what is drawn with them.

use std::time::Duration;

use crate::rt::SplitMix64;

/// Random numbers of one group of clients: those of one group do not depend on what others draw.
pub(super) struct Random(SplitMix64);

impl Random {
    pub(super) fn new(seed: u64, group: usize) -> Self {
        // A step of the generator apart, and mixed: neighbouring seeds have nothing in common.
        let mixed = SplitMix64::from_seed(seed).next_u64();
        Self(SplitMix64::from_seed(SplitMix64::from_seed(mixed ^ group as u64).next_u64()))
    }

    /// A number from 0 up to, and without, 1.
    pub(super) fn unit(&self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number below `bound`, which is not 0.
    pub(super) fn below(&self, bound: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A time of an exponential distribution.
    pub(super) fn exponential(&self, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - self.unit()).ln())
    }

    /// A number of the standard normal distribution (Box and Muller).
    fn normal(&self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// The number of one of `weights`, in proportion.
    pub(super) fn weighted(&self, weights: impl Iterator<Item = u64> + Clone) -> usize {
        let mut left = self.below(weights.clone().sum::<u64>().max(1));
        for (nth, weight) in weights.enumerate() {
            match left.checked_sub(weight) {
                Some(rest) => left = rest,
                None => return nth,
            }
        }
        0
    }
}

/// A size of content.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SizeOf {
    /// It never ends.
    Endless,
    /// So many bytes.
    Fixed(u64),
    /// Any size from one to the other, all equally likely.
    Between(u64, u64),
    /// Log-normal: half of them are below the median, two thirds within `spread` times it and a `spread`th of it.
    LogNormal {
        /// In bytes.
        median: u64,
        /// Above 1.
        spread: f64,
    },
}

impl SizeOf {
    /// The largest size that is drawn: 1 TiB.
    pub(super) const MAX: u64 = 1 << 40;

    /// Draws a size; `None` is endless.
    pub(super) fn draw(self, random: &Random) -> Option<u64> {
        match self {
            Self::Endless => None,
            Self::Fixed(bytes) => Some(bytes),
            Self::Between(least, most) => Some(least + random.below(most - least + 1)),
            Self::LogNormal { median, spread } => {
                let size = median as f64 * spread.powf(random.normal());
                Some((size.round() as u64).clamp(1, Self::MAX))
            }
        }
    }
}

/// A pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Always as long.
    Fixed(Duration),
    /// Of an exponential distribution with this mean.
    Exponential(Duration),
}

impl Pause {
    pub(super) fn draw(self, random: &Random) -> Duration {
        match self {
            Self::Fixed(duration) => duration,
            Self::Exponential(mean) => random.exponential(mean),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean of `n` draws.
    fn mean(n: u32, draw: impl Fn(&Random) -> f64) -> f64 {
        let random = Random::new(7, 0);
        (0..n).map(|_| draw(&random)).sum::<f64>() / f64::from(n)
    }

    #[test]
    fn a_seed_gives_the_same_numbers_and_groups_and_seeds_others() {
        let numbers = |seed, group| {
            let random = Random::new(seed, group);
            [(); 4].map(|()| random.below(1 << 40))
        };
        assert_eq!(numbers(1, 0), numbers(1, 0));
        assert!(numbers(1, 0) != numbers(1, 1) && numbers(1, 0) != numbers(2, 0));
        assert_ne!(numbers(2, 0), numbers(1, 1));
    }

    #[test]
    fn draws_have_the_mean_that_they_should() {
        let near = |value: f64, expected: f64| {
            assert!((value / expected - 1.0).abs() < 0.02, "{value} for {expected}");
        };
        near(mean(40_000, Random::unit), 0.5);
        let second = Duration::from_secs(1);
        near(mean(40_000, |random| Pause::Exponential(second).draw(random).as_secs_f64()), 1.0);
        let size = |size: SizeOf| mean(40_000, |random| size.draw(random).unwrap() as f64);
        near(size(SizeOf::Between(1_000, 3_000)), 2_000.0);
        // The mean of a log-normal distribution is its median times e to the half of sigma's square.
        let sigma = 2_f64.ln();
        near(size(SizeOf::LogNormal { median: 10_000, spread: 2.0 }), 10_000.0 * (sigma * sigma / 2.0).exp());
        near(mean(40_000, |random| random.weighted([1, 3].into_iter()) as f64), 0.75);
        assert_eq!(SizeOf::Endless.draw(&Random::new(1, 1)), None);
        assert_eq!(SizeOf::Between(5, 5).draw(&Random::new(1, 1)), Some(5));
    }
}
