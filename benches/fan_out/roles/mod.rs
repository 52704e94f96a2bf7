//! The part that runs in a process of its own: this program again, told its role by arguments.

mod stream;
mod subscribers;

use std::time::Duration;

use testkit::process::Outcome;

use crate::server::Target;

pub const SUBSCRIBERS: &str = "subscribers";

/// Plays the role `name`.
pub fn run(name: &str, args: &[String]) -> Outcome<()> {
    match (name, args) {
        (SUBSCRIBERS, [port, publish_port, subscribe, publish, count, size, millis]) => {
            let (port, publish_port) = (port.parse()?, publish_port.parse()?);
            let target =
                Target { port, publish_port, subscribe: subscribe.clone(), publish: publish.clone() };
            let window = Duration::from_millis(millis.parse()?);
            subscribers::run(&target, count.parse()?, size.parse()?, window)
        }
        _ => Err(format!("no such role with {} arguments", args.len()).into()),
    }
}
