//! `SO_MAX_PACING_RATE`: the pace at which the kernel lets a socket's bytes out, by TCP's own timer or the `fq` queue.

use std::net::TcpStream;

use nix::sys::socket::setsockopt;
// The macro names its helper and libc without a path.
use nix::{libc, setsockopt_impl, sockopt_impl};

sockopt_impl!(
    /// Bytes per second; all ones is no bound. Every kernel since 3.13 takes 32 bits of it.
    MaxPacingRate,
    SetOnly,
    libc::SOL_SOCKET,
    libc::SO_MAX_PACING_RATE,
    u32
);

/// Has the kernel send no faster than `rate` bytes per second; `None`, or 4 GiB/s and more: as fast as it can. What is on
/// its way goes on at the rate before, until the peer acknowledges something.
pub(super) fn set_rate(socket: &TcpStream, rate: Option<u64>) {
    let rate = rate.and_then(|rate| u32::try_from(rate).ok()).unwrap_or(u32::MAX);
    // Fails only on a dead socket.
    let _ = setsockopt(socket, MaxPacingRate, &rate);
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use nix::getsockopt_impl;

    use super::*;

    getsockopt_impl!(
        MaxPacingRate,
        libc::SOL_SOCKET,
        libc::SO_MAX_PACING_RATE,
        u32,
        nix::sys::socket::sockopt::GetStruct<u32>
    );

    #[test]
    fn the_kernel_keeps_what_it_is_asked_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let kept = || nix::sys::socket::getsockopt(&socket, MaxPacingRate).unwrap();
        assert_eq!(kept(), u32::MAX, "no bound");
        for (rate, expected) in [
            (Some(131_072), 131_072),
            (Some(u64::from(u32::MAX) - 1), u32::MAX - 1),
            (Some(u64::from(u32::MAX) + 1), u32::MAX),
            (Some(u64::MAX), u32::MAX),
            (Some(1), 1),
            (None, u32::MAX),
        ] {
            set_rate(&socket, rate);
            assert_eq!(kept(), expected, "{rate:?}");
        }
    }
}
