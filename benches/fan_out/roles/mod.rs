//! The part that runs in a process of its own: this program again, told its role by arguments.

mod stream;
mod subscribers;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use crate::process::role;
use crate::server::Target;

pub const SUBSCRIBERS: &str = "subscribers";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Does what `args` say: a role's name, and what it is told.
pub fn run(args: &[String]) -> ExitCode {
    let Some((name, args)) = args.split_first() else { return ExitCode::from(2) };
    let done = role::prepare().and_then(|()| match (name.as_str(), args) {
        (SUBSCRIBERS, [port, subscribe, publish, count, size, millis]) => {
            let target =
                Target { port: port.parse()?, subscribe: subscribe.clone(), publish: publish.clone() };
            let window = Duration::from_millis(millis.parse()?);
            subscribers::run(&target, count.parse()?, size.parse()?, window)
        }
        (role::LAUNCH, args) => role::launch(args),
        _ => Err(format!("no role {name} with {} arguments", args.len()).into()),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fan_out, {name}: {error}");
            ExitCode::FAILURE
        }
    }
}
