//! `sluicegate probe`: runs a probe, and prints it as text, JSON and a plot.

mod args;
mod json;
mod progress;
mod resolve;
mod text;

use std::fs::File;
use std::path::Path;

use sluicegate::probe::plot;
use sluicegate::probe::report::{Goal, Outcome};
use sluicegate::probe::run::{self, Plan};
use sluicegate::rt;

use super::{CliError, listen_for_signals, print};
use progress::Bar;

pub(super) use args::Probe;

/// Columns without a terminal.
const COLUMNS: usize = 80;

pub(super) fn run(typed: &Probe) -> Result<(), CliError> {
    let (plan, goal) = resolve::resolve(typed)?;
    // Before the run: a missing folder should not take half a minute to notice.
    if let Some(path) = &typed.svg {
        let opened = File::options().write(true).create(true).truncate(false).open(path);
        opened.map_err(|error| unwritable(path, &error))?;
    }
    let outcome = ask(&plan)?;
    let report = outcome.report(&goal);

    if typed.json {
        print(&json::document(&outcome, &report, &goal, plan.lasting))?;
    } else if outcome.has_content() {
        print(&text::text(&outcome, &report, &goal, columns()))?;
    }
    if let (Some(path), true) = (&typed.svg, outcome.has_content()) {
        let plot = plot::plot(&outcome, &report, &goal);
        std::fs::write(path, plot).map_err(|error| unwritable(path, &error))?;
    }
    judge(&outcome, &goal, report.misses.unwrap_or_default(), typed.repeat)
}

/// Runs the plan, with its progress on standard error.
fn ask(plan: &Plan) -> Result<Outcome, CliError> {
    let mut signals = listen_for_signals()?;
    rt::raise_descriptor_limit();
    let mut bar = Bar::new(plan.lasting);
    let interrupted = async { _ = signals.next_end(|_| {}).await };
    let outcome = rt::block_on(run::run(plan, |progress| bar.tell(progress), interrupted));
    bar.finish();
    Ok(outcome)
}

/// The reasons for the command to fail.
fn judge(outcome: &Outcome, goal: &Goal, misses: Vec<String>, repeats: bool) -> Result<(), CliError> {
    let mut words: Vec<String> = outcome
        .failures()
        .into_iter()
        .map(|(why, count)| if count == 1 { why } else { format!("{why} (on {count} connections)") })
        .collect();
    let short = misses.iter().any(|miss| miss.contains("too short"));
    words.extend(misses);
    if !outcome.has_content() && words.is_empty() && !outcome.interrupted {
        words.push("the response has no content".to_owned());
    }
    if short && !repeats && goal.rate.is_some() {
        words.push("--repeat asks again when a response has ended".to_owned());
    }
    if words.is_empty() { Ok(()) } else { Err(CliError::Failed(words.join("\n  "))) }
}

fn unwritable(path: &str, error: &std::io::Error) -> CliError {
    CliError::Failed(format!(
        "cannot write the plot to {}: {error}; name another file",
        Path::new(path).display()
    ))
}

/// The width of the terminal on standard output.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(COLUMNS)
}
