//! `top`: the live view in a terminal.

mod columns;
mod feed;
mod kind;
mod live;
mod paces;
mod pen;
mod rows;
mod screen;
mod state;
mod terminal;
#[cfg(test)]
mod tests;
mod way;

use std::env::var_os;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use sluicegate::clock::Clock;
use sluicegate::rt::{self, Signal, Signals};

use super::CliError;
use super::admin_args;
use columns::Sort;
use feed::Inbox;
use pen::Look;
use state::{Input, Then, Top};
use terminal::Screen;

/// How soon a state that came is shown, and a signal heard.
const SOON: Duration = Duration::from_millis(50);

/// Milliseconds between two columns of a graph.
const SECOND: u64 = 1_000;

pub(super) fn run(typed: admin_args::Top) -> Result<(), CliError> {
    let sort = sort(typed.order.as_deref())?;
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        let text = "top needs a terminal; `sluicegate connections list --watch` writes to pipes and files";
        return Err(CliError::Failed(text.to_owned()));
    }
    let client = typed.client()?;
    // Says what is wrong with the address or the token while there is a line for it.
    let _: serde_json::Value = client.get("/v1/limits/server")?;
    let (mut top, inbox) = (Top::new(client.place(), sort), Arc::<Inbox>::default());
    let is_over = heard_end()?;
    rt::spawn(feed::run(Arc::new(typed), Arc::clone(&inbox)));
    let mut screen = Screen::open().map_err(odd)?;
    let result = terminal::keys().and_then(|keys| follow(&mut screen, &mut top, &inbox, &keys, &is_over));
    drop(screen);
    if terminal::has_panicked() {
        return Err(CliError::Failed("top has ended: this is a bug".to_owned()));
    }
    result.map_err(odd)
}

fn odd(error: io::Error) -> CliError {
    CliError::Failed(format!("cannot use the terminal: {error}"))
}

fn sort(typed: Option<&str>) -> Result<Sort, CliError> {
    let Some(typed) = typed else { return Ok(Sort::Now) };
    let known = Sort::ALL.into_iter().find(|(word, _)| *word == typed);
    known.map(|(_, sort)| sort).ok_or_else(|| {
        CliError::flag("--order", format!("{typed:?} is no order; write now, set, sent, held or name"))
    })
}

/// Listens for the signals that end it. True once one came.
fn heard_end() -> Result<Arc<AtomicBool>, CliError> {
    let (mut signals, heard) = (super::listen_for_signals()?, Arc::<AtomicBool>::default());
    let is_over = Arc::clone(&heard);
    rt::spawn(async move {
        loop {
            let signal = Signals::next(&mut signals).await;
            // The terminal was closed, if it is a hang-up.
            if signal.ends() || signal == Signal::Hangup {
                return heard.store(true, Ordering::Relaxed);
            }
        }
    });
    Ok(is_over)
}

/// Draws whatever comes, until it is over.
fn follow(
    screen: &mut Screen,
    top: &mut Top,
    inbox: &Inbox,
    keys: &Receiver<io::Result<Input>>,
    is_over: &AtomicBool,
) -> io::Result<()> {
    let (clock, look) = (rt::clock(), look());
    let begin = clock.now();
    let mut seconds = 0;
    let mut is_due = true;
    while !is_over.load(Ordering::Relaxed) && !terminal::has_panicked() {
        let now = u64::try_from((clock.now() - begin).as_millis()).unwrap_or(u64::MAX);
        let (live, link) = inbox.take();
        is_due |= live.is_some() || link.is_some();
        if let Some(live) = live {
            top.take(live, now);
        }
        if let Some(link) = link {
            top.link = link;
        }
        if now / SECOND > seconds {
            seconds = now / SECOND;
            top.tick(now);
            is_due = true;
            if terminal::is_gone() {
                return Ok(());
            }
            // A change that no signal told of, while the process was stopped.
            if !screen.fits()? {
                screen.redraw()?;
            }
        }
        if is_due {
            screen.terminal.draw(|frame| screen::draw(frame, top, look, now))?;
        }
        let typed = match keys.recv_timeout(SOON) {
            Ok(typed) => Some(typed?),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        is_due = typed.is_some();
        match typed.map_or(Then::Stay, |input| top.press(input, now)) {
            Then::Stay => {}
            Then::Redraw => screen.redraw()?,
            Then::Suspend => screen.suspend()?,
            Then::Quit => return Ok(()),
        }
    }
    Ok(())
}

/// What the terminal can show, as far as the environment says.
fn look() -> Look {
    let text = |name: &str| var_os(name).map(|value| value.to_string_lossy().into_owned());
    let set = |name: &str| text(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
    Look {
        has_colour: set("NO_COLOR").is_none() && text("TERM").is_none_or(|term| term != "dumb"),
        has_unicode: locale.to_ascii_lowercase().replace('-', "").contains("utf8"),
    }
}
