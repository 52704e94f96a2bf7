//! Random numbers: unpredictable ones from the kernel, and cheap ones.

use std::sync::atomic::{AtomicU64, Ordering};

use rustix::rand::{GetRandomFlags, getrandom};

/// Fills `bytes` with unpredictable random bytes (getrandom(2)).
///
/// # Panics
/// If the kernel has no getrandom(2): none since Linux 3.17.
pub fn random(bytes: &mut [u8]) {
    let mut filled = 0;
    while filled < bytes.len() {
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(n) => filled += n,
            // Interrupted by a signal: try again.
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("the kernel gives no random numbers: {error}"),
        }
    }
}

/// A fast pseudo-random generator for jitter and for ids that only have to differ. Predictable: never for secrets.
#[derive(Debug)]
pub struct SplitMix64(AtomicU64);

impl SplitMix64 {
    /// Seeds the generator from the kernel.
    pub fn new() -> Self {
        let mut seed = [0; 8];
        random(&mut seed);
        Self(AtomicU64::new(u64::from_ne_bytes(seed)))
    }

    /// Seeds the generator with `seed`: the same numbers follow each time.
    pub const fn from_seed(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// The next number. One atomic addition and some arithmetic.
    pub fn next_u64(&self) -> u64 {
        let mut x = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
}

impl Default for SplitMix64 {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_reads_differ() {
        let [mut a, mut b] = [[0; 16]; 2];
        random(&mut a);
        random(&mut b);
        assert_ne!(a, b);
    }

    #[test]
    fn a_generator_does_not_repeat_itself() {
        let rng = SplitMix64::new();
        let numbers: std::collections::BTreeSet<u64> = (0..1000).map(|_| rng.next_u64()).collect();
        assert_eq!(numbers.len(), 1000);
    }
}
