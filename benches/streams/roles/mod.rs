//! The parts that run in processes of their own: this program again, told its role by arguments.

mod backend;
mod client;
mod download;
mod floor;

use std::error::Error;
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;
use std::time::Duration;

use crate::process::role;

pub const BACKEND: &str = "backend";
pub const CLIENT: &str = "client";
pub const DOWNLOAD: &str = "download";
pub const FLOOR: &str = "floor";

/// No role outlives this, whatever happens to the others.
pub const LIFETIME: Duration = Duration::from_secs(600);

/// Clients and backends of paced streams sleep so long between two looks at their sockets.
///
/// Over loopback the sender's system call also does the receiver's share of the work, and waking a
/// process that waits for bytes is a good part of it: as much as a fifth of the server's time. To a
/// client on another machine no server pays that. One that sleeps anyway need not be woken.
const NAP: Duration = Duration::from_millis(5);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Does what `args` say: a role's name, and what it is told.
pub fn run(args: &[String]) -> ExitCode {
    let Some((role, args)) = args.split_first() else { return ExitCode::from(2) };
    let done = role::prepare().and_then(|()| match (role.as_str(), args) {
        (BACKEND, [length]) => backend::run(length.parse()?),
        (CLIENT, [port, path, streams, over_ms, warm_up_ms, window_ms]) => client::run(&client::Orders {
            port: port.parse()?,
            path,
            streams: streams.parse()?,
            connect_over: millis(over_ms)?,
            warm_up: millis(warm_up_ms)?,
            window: millis(window_ms)?,
        }),
        (DOWNLOAD, [port, path, times]) => download::run(port.parse()?, path, times.parse()?),
        (FLOOR, [file, streams, rate]) => floor::run(file.as_ref(), streams.parse()?, rate.parse()?),
        (role::LAUNCH, args) => role::launch(args),
        _ => Err(format!("no role {role} with {} arguments", args.len()).into()),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("streams, {role}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A listener on a free port, told on standard output, whose queue holds thousands of connections.
fn listen() -> Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    // The standard library's queue of 128 overflows when thousands come at once; each that is dropped
    // comes again a second later.
    rustix::net::listen(&listener, 4096)?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(listener)
}

fn millis(text: &str) -> Result<Duration> {
    Ok(Duration::from_millis(text.parse()?))
}
