//! The parts of a benchmark that run in processes of their own: the benchmark's program again, with its role as
//! arguments. Clients, backends, and the floor that servers are compared with.
//!
//! [`Process::role`](crate::process::Process::role) starts one; its standard output is what it reports.

mod backend;
mod brigades;
mod client;
mod download;
mod fast;
mod floor;
mod handshakes;
mod relay;
mod slow;
mod trusting;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use crate::process::Outcome;

/// A fast upstream: the length of its body.
pub const BACKEND: &str = "backend";
/// A slow upstream: the length of each brigade, and the milliseconds between two.
pub const BRIGADES: &str = "brigades";
/// Many paced readers: port, path, streams, bytes a second of each, and the milliseconds to connect over, to warm
/// up and to measure. With one argument more each sends a [key](crate::message::key) of its own, from that number on.
pub const CLIENT: &str = "client";
/// The same over TLS 1.3.
pub const TLS_CLIENT: &str = "tls-client";
/// One unpaced reader: port, path, the body's length, and how often.
pub const DOWNLOAD: &str = "download";
/// Eight clients that ask again and again: port, path, the body's length, and the milliseconds to measure.
pub const FAST: &str = "fast";
/// Clients that connect over TLS 1.3, ask once and leave: port, path, the kind of handshake ([`FULL`] or [`RESUMED`]), and
/// the milliseconds to measure.
pub const HANDSHAKES: &str = "handshakes";
/// The least work that sends the bytes: file, streams, and bytes a second of each.
pub const FLOOR: &str = "floor";
/// The least work that brings them from a backend: its port, streams, bytes a second of each, and [`COPY`] or [`SPLICE`].
pub const RELAY: &str = "relay";
/// Readers of 1 KiB a second: port, path, and how many.
pub const SLOW: &str = "slow";

/// Bytes are read and written.
pub const COPY: &str = "copy";
/// Bytes go through a pipe, and not through the program.
pub const SPLICE: &str = "splice";

/// Handshakes with a certificate.
pub const FULL: &str = "full";
/// Handshakes with a ticket of an earlier one.
pub const RESUMED: &str = "resumed";

/// The first bytes of a brigade: when it was written, in nanoseconds since 1970, decimal with leading zeroes.
pub const STAMP: usize = 32;

/// No role outlives this, whatever happens to the others.
const LIFETIME: Duration = Duration::from_secs(600);

/// Clients and backends of paced streams sleep so long between two looks at their sockets.
///
/// Over loopback the sender's system call also does the receiver's share of the work, and waking a
/// process that waits for bytes is a good part of it: as much as a fifth of the server's time. To a
/// client on another machine no server pays that. One that sleeps anyway need not be woken.
const NAP: Duration = Duration::from_millis(5);

/// Plays the role `name`.
///
/// # Errors
/// There is no such role, or it failed.
pub fn run(name: &str, args: &[String]) -> Outcome<()> {
    match (name, args) {
        (BACKEND, [length]) => backend::run(length.parse()?),
        (BRIGADES, [length, every_ms]) => brigades::run(length.parse()?, millis(every_ms)?),
        (
            CLIENT | TLS_CLIENT,
            [port, path, streams, rate, over_ms, warm_up_ms, window_ms, first_key @ ..],
        ) if first_key.len() <= 1 => client::run(&client::Orders {
            tls: name == TLS_CLIENT,
            first_key: first_key.first().map(|number| number.parse()).transpose()?,
            port: port.parse()?,
            path,
            streams: streams.parse()?,
            rate: rate.parse()?,
            connect_over: millis(over_ms)?,
            warm_up: millis(warm_up_ms)?,
            window: millis(window_ms)?,
        }),
        (DOWNLOAD, [port, path, length, times]) => {
            download::run(port.parse()?, path, length.parse()?, times.parse()?)
        }
        (FAST, [port, path, length, window_ms]) => {
            fast::run(address(port)?, path, length.parse()?, millis(window_ms)?)
        }
        (FLOOR, [file, streams, rate]) => floor::run(file.as_ref(), streams.parse()?, rate.parse()?),
        (HANDSHAKES, [port, path, kind, window_ms]) => {
            handshakes::run(port.parse()?, path, kind == RESUMED, millis(window_ms)?)
        }
        (RELAY, [port, streams, rate, way]) => {
            relay::run(port.parse()?, streams.parse()?, rate.parse()?, way == SPLICE)
        }
        (SLOW, [port, path, readers]) => slow::run(address(port)?, path, readers.parse()?),
        _ => Err(format!("no such role with {} arguments", args.len()).into()),
    }
}

/// A listener on a free port, told on standard output, whose queue holds thousands of connections.
fn listen() -> Outcome<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    // The standard library's queue of 128 overflows when thousands come at once; each that is dropped
    // comes again a second later.
    rustix::net::listen(&listener, 4096)?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(listener)
}

fn address(port: &str) -> Outcome<SocketAddr> {
    Ok((Ipv4Addr::LOCALHOST, port.parse()?).into())
}

fn millis(text: &str) -> Outcome<Duration> {
    Ok(Duration::from_millis(text.parse()?))
}
