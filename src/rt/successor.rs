//! The new program that takes this one's place, and the old one as the new one sees it.
//!
//! The old program starts the new one with its listeners as `LISTEN_FDS`, and one end of a socket as standard input. The
//! new one says there that it serves, or why not. The old one closes its end once it has passed everything on.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_io::Async;
use command_fds::{CommandFdExt, FdMapping};
use futures_lite::{AsyncReadExt, FutureExt};

use super::{Listeners, blocking};
use crate::clock::{Clock, Sleep};

/// Set for a program that was started to take another's place: its standard input is the way to that.
const MARK: &str = "SLUICEGATE_UPGRADE";

/// The name in `LISTEN_FDNAMES` of listeners that no service manager keeps.
pub(super) const OWN_NAME: &str = "bound-by-sluicegate";

/// The first descriptor of `LISTEN_FDS`.
const FIRST: i32 = 3;

const READY: &str = "ready\n";
const FAILED: &str = "failed ";

/// The longest reason of a failure that is read.
const MAX_REASON: usize = 8 * 1024;

/// How long the new program waits for the old one to tell the service manager of it.
const PASSING_ON: Duration = Duration::from_secs(10);

text_error! {
    /// Why a new program does not take over.
    SuccessorError
}

/// A new program that was started and is not ready yet. Dropping it kills it.
#[derive(Debug)]
pub struct Successor {
    child: Unready,
    line: Async<UnixStream>,
}

/// A process that is killed when this is dropped.
#[derive(Debug)]
struct Unready(Option<Child>);

impl Drop for Unready {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A new program that serves.
#[derive(Debug)]
pub struct Ready {
    child: Child,
    line: Async<UnixStream>,
}

impl Successor {
    /// Starts `program` with `args`, the environment, the folder and the output of this process (`stdout` if given),
    /// and with `listeners`. Blocks for a few milliseconds.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(
        program: &OsString,
        args: &[OsString],
        listeners: &Listeners,
        stdout: Option<OwnedFd>,
    ) -> io::Result<Self> {
        let open = listeners.open();
        let names: Vec<&str> = open.iter().map(|bound| bound.kept_as().unwrap_or(OWN_NAME)).collect();
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(program);
        command.args(args).stdin(OwnedFd::from(theirs)).env(MARK, "1");
        command.env("LISTEN_FDS", open.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
        // Its number is not known before it runs.
        command.env_remove("LISTEN_PID").env_remove("WATCHDOG_PID").env_remove("LISTEN_FDS_FIRST_FD");
        if let Some(stdout) = stdout {
            command.stdout(Stdio::from(stdout));
        }
        let mapped = (FIRST..).zip(&open).map(|(child_fd, bound)| {
            Ok(FdMapping { parent_fd: bound.as_fd().try_clone_to_owned()?, child_fd })
        });
        command.fd_mappings(mapped.collect::<io::Result<_>>()?).map_err(io::Error::other)?;
        let child = Unready(Some(command.spawn()?));
        Ok(Self { child, line: Async::new(ours)? })
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.0.as_ref().map_or(0, Child::id)
    }

    /// Waits until it says that it serves. Otherwise it is killed.
    ///
    /// # Errors
    /// It says why it does not, ends, or does not say anything within `patience`.
    pub async fn ready(self, clock: Arc<dyn Clock>, patience: Duration) -> Result<Ready, SuccessorError> {
        let Self { mut child, mut line } = self;
        let late = async {
            Sleep::lasting(clock, patience).await;
            Err(SuccessorError(format!("it was not ready within {} s", patience.as_secs())))
        };
        let said = async { Ok(said(&mut line).await) }.or(late).await?;
        let Some(mut process) = child.0.take() else { return Err(SuccessorError(String::new())) };
        if said == READY {
            return Ok(Ready { child: process, line });
        }
        // One that ends already keeps its exit code.
        let status = blocking(move || process.kill().and_then(|()| process.wait())).await;
        Err(SuccessorError(match (said.strip_prefix(FAILED), status) {
            (Some(reason), _) => reason.trim_end().to_owned(),
            (None, Ok(status)) => ended(status),
            (None, Err(error)) => error.to_string(),
        }))
    }
}

fn ended(status: ExitStatus) -> String {
    format!("it ended before it was ready, with {status}")
}

/// What the new program says until it is ready or closes its end.
async fn said(line: &mut Async<UnixStream>) -> String {
    let mut said = Vec::new();
    let mut limited = line.take(MAX_REASON as u64);
    let mut piece = [0; 512];
    while let Ok(n @ 1..) = limited.read(&mut piece).await {
        said.extend_from_slice(&piece[..n]);
        if said == READY.as_bytes() {
            break;
        }
    }
    String::from_utf8_lossy(&said).into_owned()
}

impl Ready {
    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Tells it that everything is passed on. What is returned is how it ends, which is usually after this process.
    pub fn passed_on(self) -> impl Future<Output = io::Result<ExitStatus>> {
        let Self { mut child, line } = self;
        drop(line);
        blocking(move || child.wait())
    }
}

/// Whether the program before this one started it.
pub(super) fn is_started_by_predecessor() -> bool {
    std::env::var_os(MARK).is_some()
}

/// The program that started this one to take its place, and serves until this one says that it does.
#[derive(Debug)]
pub struct Predecessor(UnixStream);

impl Predecessor {
    /// The program at the other end of standard input; `None` if this one was started otherwise, or was ready before.
    pub fn from_env() -> Option<Self> {
        if !is_started_by_predecessor() {
            return None;
        }
        let line = UnixStream::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
        // After `ready`, and if somebody else set the mark, it is no socket.
        line.local_addr().ok()?;
        Some(Self(line))
    }

    /// Says why this program does not serve.
    pub fn failed(mut self, why: &str) {
        // The old one may have lost its patience.
        let _ = self.0.write_all(format!("{FAILED}{why}\n").as_bytes());
        let _ = self.0.shutdown(Shutdown::Both);
    }

    /// Says that this program serves, and waits until the old one has passed everything on. Blocks for 10 s at most.
    pub fn ready(mut self) {
        if let Ok(nothing) = std::fs::File::open("/dev/null") {
            // Standard input is nobody's any more: it would keep the socket open.
            let _ = rustix::stdio::dup2_stdin(nothing);
        }
        let told = self.0.write_all(READY.as_bytes());
        if told.is_ok() && self.0.set_read_timeout(Some(PASSING_ON)).is_ok() {
            let _ = self.0.read(&mut [0]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::rt;

    /// A shell as the new program.
    fn start(script: &str) -> Successor {
        let args = ["-c".into(), script.into()];
        Successor::start(&"/bin/sh".into(), &args, &Listeners::default(), None).unwrap()
    }

    fn result(script: &str) -> Result<u32, String> {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
        rt::block_on(start(script).ready(clock, Duration::from_secs(30)))
            .map(|ready| ready.id())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_new_program_is_ready_when_it_says_so_and_otherwise_the_reason_is_known() {
        let (script, failed) = ("echo ready >&0; read -r x", "echo failed no.toml: no such file >&0; exit 2");
        assert!(result(script).is_ok());
        assert_eq!(result(failed).unwrap_err(), "no.toml: no such file");
        assert_eq!(result("exit 3").unwrap_err(), "it ended before it was ready, with exit status: 3");
        assert!(result("kill -9 $$").unwrap_err().contains("signal: 9"));
        let absent = Successor::start(&"/no/such".into(), &[], &Listeners::default(), None);
        assert_eq!(absent.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_new_program_that_says_nothing_is_killed() {
        let manual = Arc::new(ManualClock::new());
        let successor = start("exec sleep 1000");
        let id = successor.id();
        let mut waiting = Box::pin(successor.ready(Arc::clone(&manual) as _, Duration::from_secs(30)));
        let mut poll = || rt::block_on(futures_lite::future::poll_once(&mut waiting));
        assert!(poll().is_none());
        manual.advance(Duration::from_nanos(29_999_999_999));
        assert!(poll().is_none());
        manual.advance(Duration::from_nanos(1));
        assert_eq!(poll().unwrap().unwrap_err().to_string(), "it was not ready within 30 s");
        drop(waiting);
        assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
    }
}
