//! The parts that run in processes of their own: this program again, told its role by arguments.

mod fast;
mod slow;

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use crate::process::role;

pub const FAST: &str = "fast";
pub const SLOW: &str = "slow";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Does what `args` say: a role's name, and what it is told.
pub fn run(args: &[String]) -> ExitCode {
    let Some((name, args)) = args.split_first() else { return ExitCode::from(2) };
    let done = role::prepare().and_then(|()| match (name.as_str(), args) {
        (FAST, [port, path, window_ms]) => {
            fast::run(address(port)?, path, Duration::from_millis(window_ms.parse()?))
        }
        (SLOW, [port, path, readers]) => slow::run(address(port)?, path, readers.parse()?),
        (role::LAUNCH, args) => role::launch(args),
        _ => Err(format!("no role {name} with {} arguments", args.len()).into()),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("slow_readers, {name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn address(port: &str) -> Result<SocketAddr> {
    Ok((Ipv4Addr::LOCALHOST, port.parse()?).into())
}
