//! Numbers that nobody can guess, from the kernel.

use std::sync::atomic::{AtomicU64, Ordering};

use rustix::rand::{GetRandomFlags, getrandom};

/// Fills `bytes` with what nobody can guess.
///
/// # Panics
/// If the kernel has no random numbers at all, as none since Linux 3.17 does.
pub fn random(bytes: &mut [u8]) {
    let mut filled = 0;
    while filled < bytes.len() {
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(n) => filled += n,
            // A signal came in between.
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("the kernel gives no random numbers: {error}"),
        }
    }
}

/// Numbers that look like chance, for jitter and for names that only have to differ: whoever sees some can
/// guess the rest. SplitMix64.
#[derive(Debug)]
pub struct Dice(AtomicU64);

impl Dice {
    /// Begins where nobody can guess.
    pub fn new() -> Self {
        let mut seed = [0; 8];
        random(&mut seed);
        Self(AtomicU64::new(u64::from_ne_bytes(seed)))
    }

    /// Any number. Cheap, from any thread.
    pub fn roll(&self) -> u64 {
        let mut x = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
}

impl Default for Dice {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_readings_differ() {
        let [mut a, mut b] = [[0; 16]; 2];
        random(&mut a);
        random(&mut b);
        assert_ne!(a, b);
    }

    #[test]
    fn a_die_does_not_repeat_itself() {
        let dice = Dice::new();
        let rolled: std::collections::BTreeSet<u64> = (0..1000).map(|_| dice.roll()).collect();
        assert_eq!(rolled.len(), 1000);
    }
}
