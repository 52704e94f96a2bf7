//! Handles signals: SIGHUP reloads the configuration, SIGUSR2 starts a new program, others end the server.

use std::future::Future;
use std::pin::Pin;

use futures_lite::{FutureExt, future};
use sluicegate::config::{FilterKinds, Reloaded, SavesPaused};
use sluicegate::http::server::Handle;
use sluicegate::logging::{self, AccessLog};
use sluicegate::rt::{self, Ready, Signal, Signals};

use super::args::Run;
use super::upgrade::{self, Upgrade};
use super::{CliError, resolve};

/// What ends a server.
pub(super) enum End {
    /// A signal.
    Told(Signal),
    /// A new program serves in its place.
    Replaced(Ready),
}

/// What is under way while signals are waited for.
type Work<'a, T> = Option<Pin<Box<dyn Future<Output = T> + 'a>>>;

enum Event {
    Came(Signal),
    Reloaded,
    Started(Result<Ready, String>),
}

/// Handles signals until one ends the server, or a new program that SIGUSR2 started serves.
///
/// SIGHUP calls `reload`, if there is one. Hang-ups during a reload cause one more. The others are handled meanwhile: a
/// file on a dead disk must not keep the server from ending.
pub(super) async fn until_end<R: Future<Output = ()>>(
    signals: &mut Signals,
    reload: Option<impl Fn() -> R>,
    upgrade: &Upgrade,
    server: Option<&Handle>,
) -> End {
    let (mut reloading, mut starting): (Work<'_, ()>, Work<'_, _>) = (None, None);
    let mut again = false;
    loop {
        let came = async { Event::Came(signals.next().await) };
        let reloaded = async {
            done(&mut reloading).await;
            Event::Reloaded
        };
        let started = async { Event::Started(done(&mut starting).await) };
        let event = came.or(reloaded).or(started).await;
        match event {
            Event::Came(Signal::Hangup) => match &reload {
                None => nothing_to_reload(),
                Some(reload) if reloading.is_none() => reloading = Some(Box::pin(reload())),
                // Logged once: the disk may stay dead while hang-ups repeat.
                Some(_) if !std::mem::replace(&mut again, true) => {
                    log::info!("SIGHUP during a reload: the file will be read once more");
                }
                Some(_) => {}
            },
            Event::Came(Signal::User2) if starting.is_some() => {
                log::warn!("SIGUSR2 refused: a new program has been started and is not ready yet");
            }
            Event::Came(Signal::User2) => starting = Some(Box::pin(start(upgrade, server))),
            Event::Came(ending) if ending.ends() => return End::Told(ending),
            Event::Came(idle) => other(idle, server),
            Event::Reloaded => {
                reloading = reload
                    .as_ref()
                    .filter(|_| std::mem::take(&mut again))
                    .map(|reload| Box::pin(reload()) as _);
            }
            Event::Started(Ok(new)) => return End::Replaced(new),
            Event::Started(Err(error)) => {
                upgrade::tell_not_upgraded(&error);
                log::error!(error; "no new program: this one continues as before");
            }
        }
    }
}

/// Starts the new program, and waits until it serves. From before it is started no limit is saved here: it reads what is saved once,
/// and saves itself then.
async fn start(upgrade: &Upgrade, server: Option<&Handle>) -> Result<Ready, String> {
    let paused = match server.cloned() {
        // A save may be under way, on a slow disk.
        Some(server) => Some(rt::blocking(move || server.pause_saves()).await),
        None => None,
    };
    let ready = upgrade.start().await?;
    paused.into_iter().for_each(SavesPaused::for_good);
    Ok(ready)
}

/// Waits until the work is done, and removes it; for ever if there is none. Cancel safe.
async fn done<T>(work: &mut Work<'_, T>) -> T {
    match work {
        Some(doing) => {
            let result = doing.await;
            *work = None;
            result
        }
        None => future::pending().await,
    }
}

fn nothing_to_reload() {
    log::warn!("SIGHUP does nothing here: there is no file to read again; `sluicegate run FILE` has one");
    // A service manager that sent it waits for these.
    upgrade::tell_reloading();
    upgrade::tell_reloaded(None);
}

/// Waits for a signal that ends the server; others come too late.
pub(super) async fn ending(signals: &mut Signals, server: Option<&Handle>) {
    let late = |signal| match signal {
        Signal::Hangup => log::warn!("not reloaded: the server is about to end"),
        Signal::User2 => log::warn!("SIGUSR2 refused: the server is about to end"),
        idle => other(idle, server),
    };
    signals.next_end(late).await;
}

/// Opens the access log anew at SIGUSR1; logs a signal without an effect, which by default would kill the process.
fn other(signal: Signal, server: Option<&Handle>) {
    let access = server.and_then(Handle::access_log).filter(|access| access.path().is_some());
    if let (Signal::User1, Some(access)) = (signal, access) {
        // The disk may be dead.
        rt::spawn(async move { rt::blocking(move || reopen(&access)).await });
        return;
    }
    log::warn!(signal:?; "signal ignored; SIGTERM drains, SIGHUP reads the file again, SIGUSR2 starts a new program");
}

fn reopen(access: &AccessLog) {
    let file = access.path().map(|path| path.display().to_string()).unwrap_or_default();
    match access.reopen() {
        Ok(_) => log::info!(file; "access log opened anew"),
        Err(error) => log::error!(file, error:%; "access log not opened anew: the file before is written on"),
    }
}

/// Reads the file and applies it, or changes nothing; logs which.
pub(super) async fn reload(typed: Run, handle: Handle) {
    upgrade::tell_reloading();
    let reloaded =
        rt::blocking(move || handle.reload_by(&FilterKinds::default(), || resolve::run(&typed))).await;
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
            upgrade::tell_reloaded(None);
        }
        Err(CliError::Usage(error) | CliError::Failed(error)) => {
            upgrade::tell_reloaded(Some(&error));
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
