//! What the program has to do with the one before it, the one after it, and the service manager.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;
use sluicegate::clock::Clock;
use sluicegate::rt::{self, Listeners, Predecessor, Ready, ServiceState, Successor, tell_service_manager};

use super::CliError;

/// How long the new program may take until it serves.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the service manager waits for beyond the drain, before it kills.
const BEYOND_DRAIN: Duration = Duration::from_secs(10);

/// The status of a server that does what it should.
const SERVING: &str = "serving";

/// The listeners of this process, and the command that SIGUSR2 starts anew.
pub(super) struct Upgrade {
    pub(super) listeners: Listeners,
    program: Option<OsString>,
    args: Vec<OsString>,
    /// The real standard output: the log reads ours through a pipe.
    stdout: Option<OwnedFd>,
}

impl Upgrade {
    /// Takes over the sockets that were handed on. To be called before there are threads.
    pub(super) fn new() -> Result<Self, CliError> {
        let mut typed = std::env::args_os();
        Ok(Self {
            program: typed.next(),
            args: typed.collect(),
            stdout: io::stdout().as_fd().try_clone_to_owned().ok(),
            listeners: Listeners::from_env().map_err(CliError::failed)?,
        })
    }

    /// Announces that all that is configured listens: to the program before this one, which drains then, and to the
    /// service manager.
    pub(super) fn announce(&mut self) {
        for socket in self.listeners.close_unused() {
            log::warn!(socket; "no address of the configuration is that of a socket that was handed on: it is closed");
        }
        let inheritance = self.listeners.inheritance();
        match Predecessor::from_env() {
            None => tell_service_manager(ServiceState::Ready, SERVING),
            Some(predecessor) => rt::spawn(async {
                // The service manager takes no word of this process before the old one has named it.
                rt::blocking(move || {
                    predecessor.ready();
                    inheritance.take_over();
                })
                .await;
                tell_service_manager(ServiceState::Ready, SERVING);
            }),
        }
    }

    /// Starts the new program, and waits until it serves. If this is dropped or fails, it is killed.
    pub(super) async fn start(&self) -> Result<Ready, String> {
        let Some(program) = &self.program else {
            return Err("the name of the program is not known".to_owned());
        };
        if std::process::id() == 1 {
            return Err(
                "this is the first process of its container, whose end would end the new program too; \
                        replace the container"
                    .to_owned(),
            );
        }
        let stdout = self.stdout.as_ref().and_then(|stdout| stdout.try_clone().ok());
        let started = Successor::start(program, &self.args, &self.listeners, stdout);
        let successor = started.map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        log::info!(pid = successor.id(); "SIGUSR2: the new program is started");
        successor.ready(rt::clock(), PATIENCE).await.map_err(|error| error.to_string())
    }

    /// Leaves queues and paths of all listeners to the new program, has the service manager know it, and watches it:
    /// what is returned ends when this process is to end at once, else never. `drain` is to make it accept no more.
    pub(super) fn pass_on<D: FnOnce()>(&self, new: Ready, drain: D) -> impl Future<Output = ()> + use<D> {
        let pid = new.id();
        self.listeners.pass_on();
        drain();
        tell_service_manager(ServiceState::MainPid(pid), SERVING);
        let passed_on = new.passed_on();
        async move {
            match passed_on.await {
                Ok(status) if status.success() => {
                    log::info!(pid; "the new program was told to end, or another took its place; this one drains on");
                }
                Ok(status) if rt::has_service_manager() => {
                    log::error!(pid, status:%; "the new program ended, and nobody listens: this one stops too, so that the service manager starts the service anew");
                    return;
                }
                Ok(status) => {
                    log::error!(pid, status:%; "the new program ended, and nobody listens: this one drains on; start another");
                }
                Err(error) => log::error!(pid, error:%; "the new program cannot be watched"),
            }
            future::pending().await
        }
    }
}

/// Feeds the service manager's watchdog while the server makes progress. Never ends.
pub(super) async fn feed_watchdog<T>() -> T {
    rt::feed_watchdog(rt::clock() as Arc<dyn Clock>).await;
    future::pending().await
}

/// Tells the service manager that the process ends, after a drain of `drain`.
pub(super) fn tell_stopping(drain: Duration) {
    tell_service_manager(ServiceState::Stopping(drain.saturating_add(BEYOND_DRAIN)), "draining");
}

/// Tells the service manager that a reload begins.
pub(super) fn tell_reloading() {
    tell_service_manager(ServiceState::Reloading, "reloading");
}

/// Tells the service manager that a reload ended; `failure` is why it changed nothing.
pub(super) fn tell_reloaded(failure: Option<&str>) {
    let status = failure.map(|why| format!("serving; not reloaded: {}", first_line(why)));
    tell_service_manager(ServiceState::Ready, status.as_deref().unwrap_or(SERVING));
}

/// Tells the service manager why no new program took over.
pub(super) fn tell_not_upgraded(why: &str) {
    tell_service_manager(ServiceState::Unchanged, &format!("serving; no new program: {}", first_line(why)));
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
