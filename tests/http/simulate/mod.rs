//! Simulations against what can be computed by hand.

mod clients;
mod real;
mod shares;
mod times;
mod work;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use sluicegate::clock::Clock;
use sluicegate::config::{Config, Draft, FilterKinds, Loader, Route, Source};
use sluicegate::http::server::Server;
use sluicegate::schedule::Zone;
use sluicegate::simulate::outcome::{GroupOutcome, LimitOutcome, Outcome};
use sluicegate::simulate::spec::Spec;
use sluicegate::simulate::{Environment, Simulation};

/// A simulation of `seconds` from Monday noon on, UTC.
fn simulate(config: &str, clients: &str, seconds: u64) -> Outcome {
    simulate_at("2026-01-05 12:00", config, clients, seconds, 1)
}

fn simulate_at(at: &str, config: &str, clients: &str, seconds: u64, seed: u64) -> Outcome {
    simulate_on(|clock| clock, at, config, clients, seconds, seed)
}

/// A simulation whose server has the clock that `look` makes of the simulation's own.
fn simulate_on(
    look: impl FnOnce(Arc<dyn Clock>) -> Arc<dyn Clock>,
    at: &str,
    config: &str,
    clients: &str,
    seconds: u64,
    seed: u64,
) -> Outcome {
    let config: Config = Loader::new().parse(config, "server.toml", env!("CARGO_MANIFEST_DIR")).unwrap();
    let environment = Environment::at(Zone::default().moment(at).unwrap()).unwrap();
    let (clock, observer) = (look(environment.clock()), environment.observer());
    let source = |route: &Route| environment.source(matches!(route.source, Source::Files(_)));
    let server =
        Server::simulated_from_config(&config, &FilterKinds::default(), clock, observer, source).unwrap();
    Simulation::new(
        environment,
        &server,
        &Spec::read(&Draft::from_toml(clients, "clients.toml", "")).unwrap(),
        seed,
        Duration::from_secs(seconds),
    )
    .run(|_| {})
}

fn group<'a>(outcome: &'a Outcome, name: &str) -> &'a GroupOutcome {
    outcome.groups.iter().find(|group| group.name == name).unwrap()
}

fn limit<'a>(outcome: &'a Outcome, name: &str) -> &'a LimitOutcome {
    outcome.limits.iter().find(|limit| limit.name == name).unwrap()
}

/// Asserts that a value is within a part of the other.
#[track_caller]
fn near(value: f64, expected: f64, part: f64) {
    assert!((value / expected - 1.0).abs() <= part, "{value} for {expected}");
}

/// The mean of what a group got in each of these seconds.
fn mean(group: &GroupOutcome, seconds: Range<usize>) -> f64 {
    let count = seconds.len() as f64;
    group.seconds[seconds].iter().sum::<u64>() as f64 / count
}

/// The part of the time of a group's transfers that they waited for `by`.
fn held(group: &GroupOutcome, by: &str) -> f64 {
    let waited =
        group.waits.iter().find(|(known, _)| known == by).map_or(Duration::ZERO, |(_, lasted)| *lasted);
    waited.as_secs_f64() / group.lasted.as_secs_f64()
}
