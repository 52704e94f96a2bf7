//! Reloads the configuration on SIGHUP.

use futures_lite::future;
use sluicegate::config::{FilterKinds, Reloaded};
use sluicegate::http::server::Handle;
use sluicegate::logging;
use sluicegate::rt::{self, Signal, Signals};

use super::args::Run;
use super::{CliError, resolve};

/// Handles signals until one ends the server, and returns that one.
///
/// `typed` is the command whose file SIGHUP reloads. Hang-ups during a reload cause one more.
pub(super) async fn until_told_to_end(signals: &mut Signals, typed: Option<Run>, handle: &Handle) -> Signal {
    loop {
        let mut hung_up = match signals.next().await {
            Signal::Hangup => true,
            ending if ending.ends() => return ending,
            idle => {
                ignored(idle);
                continue;
            }
        };
        let Some(typed) = &typed else {
            log::warn!(
                "SIGHUP does nothing here: there is no file to read again; `sluicegate run FILE` has one"
            );
            continue;
        };
        while std::mem::take(&mut hung_up) {
            let reloading = async {
                reload(typed.clone(), handle.clone()).await;
                None
            };
            // A file on a dead disk must not keep the server from ending.
            let others = signals.next_end(|signal| match signal {
                // Logged once: the disk may stay dead while hang-ups repeat.
                Signal::Hangup if !std::mem::replace(&mut hung_up, true) => {
                    log::info!("SIGHUP during a reload: the file will be read once more");
                }
                Signal::Hangup => {}
                idle => ignored(idle),
            });
            if let Some(ending) = future::or(reloading, async { Some(others.await) }).await {
                return ending;
            }
        }
    }
}

/// Waits for a signal that ends the server; others come too late.
pub(super) async fn ending(signals: &mut Signals) {
    let other = |signal| match signal {
        Signal::Hangup => log::warn!("not reloaded: the server is about to end"),
        idle => ignored(idle),
    };
    signals.next_end(other).await;
}

/// Logs a signal without an effect; by default it would kill the process.
pub(super) fn ignored(signal: Signal) {
    log::warn!(signal:?; "signal ignored; SIGTERM drains, SIGHUP reads the file again");
}

/// Reads the file and applies it, or changes nothing; logs which.
async fn reload(typed: Run, handle: Handle) {
    let reloaded = rt::blocking(move || {
        let config = resolve::run(&typed)?;
        let reloaded = handle.reload(&config, &FilterKinds::default()).map_err(CliError::failed)?;
        Ok((config, reloaded))
    })
    .await;
    match reloaded {
        Ok((config, reloaded)) => {
            // Logged even if the new level is quieter.
            log::set_max_level(config.log_level.max(log::max_level()));
            logging::set_format(config.log_format);
            for warning in &config.warnings {
                log::warn!("{warning}");
            }
            tell(&reloaded);
            log::set_max_level(config.log_level);
        }
        Err(CliError::Usage(error) | CliError::Failed(error)) => {
            log::error!(error; "not reloaded: the configuration has errors; the server continues as before");
        }
    }
}

fn tell(reloaded: &Reloaded) {
    for key in &reloaded.needs_restart {
        log::warn!(key; "not reloaded: restart to change");
    }
    log::info!(changes:% = reloaded; "reloaded");
}
