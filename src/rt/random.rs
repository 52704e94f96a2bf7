//! Numbers that nobody can guess, from the kernel.

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
}
