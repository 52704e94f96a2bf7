//! `sluicegate simulate`: runs a simulation, and prints it as text, JSON and a plot.

mod args;
mod json;
mod text;

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use sluicegate::config::{Absent, Config, FilterKinds, Loader, Source};
use sluicegate::http::server::Server;
use sluicegate::simulate::outcome::Outcome;
use sluicegate::simulate::spec::Spec;
use sluicegate::simulate::{Environment, Simulation, plot};

use super::{CliError, print, resolve, value, warn};

pub(super) use args::Simulate;

/// The clock at the start, unless another time is typed: fixed, so that the same command gives the same figures on any day.
const DEFAULT_START: &str = "2026-01-05 12:00";

const DEFAULT_SECONDS: u64 = 3_600;
const MAX_SECONDS: u64 = 7 * 24 * 3_600;

pub(super) fn run(typed: &Simulate) -> Result<(), CliError> {
    let seconds = value("--seconds", &typed.seconds, seconds)?.unwrap_or(DEFAULT_SECONDS);
    let seed = value("--seed", &typed.seed, seed)?.unwrap_or(1);
    let mut config = resolve::load(&typed.file, Absent::Warning)?;
    // Not of what is not there, which is not needed: nothing is opened.
    config.warnings = not_simulated(&config);
    let draft = Loader::open(&typed.clients).map_err(CliError::failed)?;
    let spec = Spec::read(&draft).map_err(CliError::failed)?;
    let at = config.time_zone.moment(typed.at.as_deref().unwrap_or(DEFAULT_START));
    let at = at.map_err(|error| CliError::flag("--at", error))?;
    let environment = Environment::at(at).map_err(|error| CliError::flag("--at", error))?;
    // Before the run: a missing folder should not take minutes to notice.
    if let Some(path) = &typed.svg {
        let opened = File::options().write(true).create(true).truncate(false).open(path);
        opened.map_err(|error| unwritable(path, &error))?;
    }
    warn(&config);
    let outcome = simulate(&config, environment, &spec, seed, Duration::from_secs(seconds))
        .map_err(|error| CliError::Failed(format!("{}: {error}", typed.file)))?;
    if typed.json {
        print(&json::document(&outcome))?;
    } else {
        print(&text::text(&outcome, &typed.file, &config.time_zone))?;
    }
    match &typed.svg {
        Some(path) => std::fs::write(path, plot::plot(&outcome)).map_err(|error| unwritable(path, &error)),
        None => Ok(()),
    }
}

/// Runs it, with its progress on standard error if that is a terminal.
fn simulate(
    config: &Config,
    environment: Environment,
    spec: &Spec,
    seed: u64,
    lasting: Duration,
) -> Result<Outcome, sluicegate::config::AssemblyError> {
    let (clock, observer) = (environment.clock(), environment.observer());
    let server = Server::simulated_from_config(config, &FilterKinds::default(), clock, observer, |route| {
        environment.source(matches!(route.source, Source::Files(_)))
    })?;
    let bar = ProgressBar::new(lasting.as_secs());
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos} of {len} s") {
        bar.set_style(style.progress_chars("━╸ "));
    }
    let simulation = Simulation::new(environment, &server, spec, seed, lasting);
    let outcome = simulation.run(|elapsed| bar.set_position(elapsed.as_secs()));
    bar.finish_and_clear();
    Ok(outcome)
}

/// What of a configuration a simulation leaves out.
fn not_simulated(config: &Config) -> Vec<String> {
    let mut left_out = Vec::new();
    if !config.tcp.is_empty() {
        left_out.push("ports of [[tcp]] are not simulated".to_owned());
    }
    if config.quota.is_some() {
        left_out.push("[quota] is not simulated: the server's own limit holds".to_owned());
    }
    left_out
}

fn seconds(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| (1..=MAX_SECONDS).contains(number));
    number.ok_or_else(|| format!("{text:?} is not a number of seconds from 1 to {MAX_SECONDS}"))
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number from 0 to {}", u64::MAX))
}

fn unwritable(path: &str, error: &std::io::Error) -> CliError {
    CliError::Failed(format!(
        "cannot write the plot to {}: {error}; name another file",
        Path::new(path).display()
    ))
}
