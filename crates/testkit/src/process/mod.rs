//! Child processes of a benchmark: started, read line by line, and ended whatever becomes of this process.
//!
//! Each is killed and reaped, with its children, when its handle is dropped (also by a panic); by SIGINT and
//! SIGTERM through a list of all; and by the kernel if this process is killed: see [`role`].

pub mod listener;
pub mod procfs;
pub mod role;

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_lite::StreamExt;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

/// What a benchmark comes to: an error ends it with a message.
pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// The children that are alive, for the thread that waits for signals.
static ALIVE: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// How long a child asked to end may take to end its own children, and reap them, before all are killed.
const PATIENCE: Duration = Duration::from_secs(1);

/// A child process with its standard output at hand.
pub struct Process {
    child: Child,
    name: String,
    lines: Receiver<String>,
    /// Asked to end with SIGTERM first, because it has children of its own.
    gently: bool,
}

impl Process {
    /// Starts this very program in the role `name`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn role(name: &str, args: &[String]) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(role::MARKER).arg(name).args(args);
        Self::spawn(name, &mut command, false)
    }

    /// Starts another program, which ends with this one. `gently`: by SIGTERM first, as it has children to end.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn program(program: &Path, args: &[String], gently: bool) -> Outcome<Self> {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut command = Command::new(std::env::current_exe()?);
        command.args([role::MARKER, role::LAUNCH, if gently { "TERM" } else { "KILL" }]);
        Self::spawn(&name, command.arg(program).args(args), gently)
    }

    fn spawn(name: &str, command: &mut Command, gently: bool) -> Outcome<Self> {
        // No child starts while all are being ended.
        let mut alive = alive();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{name}: {error}"))?;
        alive.push(child.id());
        drop(alive);
        let stdout = BufReader::new(child.stdout.take().ok_or("no pipe to a child")?);
        let (tell, lines) = sync_channel(64);
        std::thread::spawn(move || {
            // To the end, also when nobody listens any more: a full pipe would block the child.
            stdout.lines().map_while(Result::ok).for_each(|line| drop(tell.try_send(line)));
        });
        Ok(Self { child, name: name.to_owned(), lines, gently })
    }

    /// The name of its role or program.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended. Does not reap it: its id is not given to another process before the drop.
    pub fn has_ended(&self) -> bool {
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = Pid::from_raw(self.child.id() as i32).map(|pid| waitid(WaitId::Pid(pid), ended));
        !matches!(status, Some(Ok(None)))
    }

    /// Waits for a line that contains `mark`, and returns what follows the mark.
    ///
    /// # Errors
    /// No such line came within `patience`, or the process ended.
    pub fn line_with(&self, mark: &str, patience: Duration) -> Outcome<String> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                return Err(format!("{} did not say \"{mark}\" within {patience:?}", self.name).into());
            };
            if let Some((_, rest)) = line.split_once(mark) {
                return Ok(rest.trim().to_owned());
            }
        }
    }

    /// The port in the next line of the kind `… http://127.0.0.1:PORT …`.
    ///
    /// # Errors
    /// As [`Process::line_with`].
    pub fn port(&self) -> Outcome<u16> {
        let rest = self.line_with("http://127.0.0.1:", Duration::from_secs(10))?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        Ok(digits.parse().map_err(|_| format!("{} told no port but \"{rest}\"", self.name))?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.gently {
            signal(self.child.id(), Signal::TERM);
            let deadline = Instant::now() + PATIENCE;
            while Instant::now() < deadline && !self.has_ended() {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        // Its own children that did not end in time, or were left behind, too.
        kill_all(self.child.id());
        let _ = self.child.wait();
        alive().retain(|&pid| pid != self.child.id());
    }
}

/// Runs a benchmark, or the role that the command line names.
///
/// Exits with 1 and a message if either fails.
pub fn main(
    name: &str,
    roles: impl FnOnce(&str, &[String]) -> Outcome<()>,
    bench: impl FnOnce() -> Outcome<ExitCode>,
) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match &args[..] {
        [marker, role, args @ ..] if marker == role::MARKER => role::prepare()
            .and_then(|()| if role == role::LAUNCH { role::launch(args) } else { roles(role, args) })
            .map_err(|error| format!("role {role}: {error}").into())
            .map(|()| ExitCode::SUCCESS),
        _ => bench(),
    };
    done.unwrap_or_else(|error: Box<dyn Error>| {
        eprintln!("{name}: {error}");
        ExitCode::FAILURE
    })
}

/// On SIGINT and SIGTERM ends all children, removes `folder` and exits.
///
/// # Errors
/// The signals cannot be caught.
pub fn end_all_on_signals(folder: PathBuf) -> Outcome<()> {
    let mut signals = async_signal::Signals::new([async_signal::Signal::Int, async_signal::Signal::Term])?;
    std::thread::spawn(move || {
        let _which = futures_lite::future::block_on(signals.next());
        let alive = alive();
        for &pid in alive.iter() {
            signal(pid, Signal::TERM);
        }
        // Those that take no SIGTERM get the other; init reaps what is left, we reap what we can.
        std::thread::sleep(Duration::from_millis(300));
        for &pid in alive.iter() {
            kill_all(pid);
            let _ = Pid::from_raw(pid as i32)
                .map(|pid| rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()));
        }
        let _ = std::fs::remove_dir_all(folder);
        std::process::exit(130);
    });
    Ok(())
}

fn alive() -> MutexGuard<'static, Vec<u32>> {
    ALIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills a process and the group it leads, if it leads one.
fn kill_all(pid: u32) {
    signal(pid, Signal::KILL);
    if let Some(pid) = Pid::from_raw(pid as i32) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid as i32) {
        // It may have ended by itself.
        let _ = kill_process(pid, signal);
    }
}
