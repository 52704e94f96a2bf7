//! A running program, and a plain client of it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::patient::Patient;
use crate::process::procfs;
use crate::records;
use crate::served::connect;
use crate::wait::{self, LIMIT};
use crate::watched::metric;
use crate::wire::{Client, End};

/// A program that serves. Dropping it kills it.
pub struct Program {
    child: Child,
    /// The lines up to the one that says how to stop it.
    pub started: Vec<String>,
    /// What it logs, on standard error. Fails when nothing comes for [`LIMIT`].
    pub log: Option<BufReader<Patient<ChildStderr>>>,
}

/// The program that cargo built for this test or benchmark.
///
/// Only the package's own targets have `CARGO_BIN_EXE_sluicegate` at compile time; for all others it is two
/// folders up from them: `target/debug/sluicegate` beside `target/debug/deps/http-0123456789abcdef`.
pub fn path() -> PathBuf {
    if let Some(path) = std::env::var_os("CARGO_BIN_EXE_sluicegate") {
        return path.into();
    }
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("sluicegate")
}

/// The program with these arguments, its standard error kept.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(path());
    command.args(args).stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

impl Program {
    /// Starts it on a free port and waits until it says that it serves.
    pub fn start(args: &[&str]) -> Self {
        Self::start_command(command(args))
    }

    /// The same of a command that is set up already.
    pub fn start_command(mut command: Command) -> Self {
        command.args(["--listen", "127.0.0.1:0"]);
        Self::start_where_told(command)
    }

    /// The same where the command itself says.
    pub fn start_where_told(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(Patient(child.stderr.take().unwrap()));
        let mut started: Vec<String> = Vec::new();
        while !started.last().is_some_and(|line| line.starts_with("Ctrl-C stops")) {
            let mut line = String::new();
            match log.read_line(&mut line) {
                Ok(0) => panic!("{command:?} ended after {started:?}"),
                Ok(_) => {}
                Err(error) => panic!("{command:?} does not say that it serves: {error} after {started:?}"),
            }
            started.push(records::message(&line));
        }
        Self { child, started, log: Some(log) }
    }

    /// Starts it with another standard error. What it says is heard at its end, if that is a pipe.
    pub fn start_with(args: &[&str], stderr: impl Into<Stdio>) -> Self {
        let child = command(args).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        Self { child, started: Vec::new(), log: None }
    }

    /// The address it says it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr_behind("listening on http://")
    }

    /// The address of its admin listener.
    pub fn admin(&self) -> SocketAddr {
        self.addr_behind("admin on http://")
    }

    fn addr_behind(&self, words: &str) -> SocketAddr {
        let line = self.started.iter().find_map(|line| line.strip_prefix(words));
        line.unwrap().parse().unwrap()
    }

    /// The number the system has for it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Connects to the address it listens on.
    pub fn connect(&self) -> TcpStream {
        connect(self.addr())
    }

    /// Sends a GET for `target` on a connection that ends with its answer, and reads nothing.
    pub fn begin(&self, target: &str) -> TcpStream {
        let mut stream = self.connect();
        write!(stream, "GET {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").unwrap();
        stream
    }

    /// The value of a metric, with its labels if it has any.
    #[track_caller]
    pub fn metric(&self, name: &str) -> u64 {
        metric(self.admin(), name).unwrap_or_else(|| panic!("no {name}"))
    }

    /// Bytes of it that are its own and no file's.
    pub fn memory(&self) -> u64 {
        procfs::anonymous(self.id())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end, and gives what it had yet to say: its log, and on standard error what is no log. Nothing may be
    /// on standard output.
    pub fn wait(mut self) -> (ExitStatus, String, String) {
        let (mut said, mut output) = (String::new(), String::new());
        let heard = if let Some(mut lines) = self.log.take() {
            lines.read_to_string(&mut said)
        } else if let Some(lines) = self.child.stderr.take() {
            Patient(lines).read_to_string(&mut said)
        } else {
            Ok(0)
        };
        let heard =
            heard.and_then(|_| Patient(self.child.stdout.take().unwrap()).read_to_string(&mut output));
        heard.unwrap_or_else(|error| panic!("waited for the program's end: {error}; it said: {said}"));
        assert_eq!(output, "", "on standard output");
        let (log, error): (Vec<&str>, Vec<&str>) =
            said.split_inclusive('\n').partition(|line| records::record(line).is_some());
        let status = wait::soon("the program's end", || self.child.try_wait().unwrap());
        (status, log.concat(), error.concat())
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends it as a service manager does, and checks that all went well.
    pub fn end(self) -> String {
        self.signal(Signal::TERM);
        let (status, log, error) = self.wait();
        assert_eq!((status.code(), error.as_str()), (Some(0), ""), "{log}");
        log
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks on a connection that ends with its answer, and gives head and body.
pub fn get(mut stream: impl Read + Write, target: &str, fields: &str) -> (String, Vec<u8>) {
    let request = format!("GET {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut client = Client::new(stream);
    let answer = client.answer();
    assert!(answer.end == End::Complete && client.is_closed(), "{}", answer.head);
    (answer.head, answer.body)
}

/// The rest of the log up to a line with `mark` in it, and that line.
///
/// # Panics
/// The log ended before, or the line did not come within [`LIMIT`].
#[track_caller]
pub fn log_until(program: &mut Program, mark: &str) -> String {
    let (mut log, began) = (String::new(), Instant::now());
    while !log.contains(mark) {
        match program.log.as_mut().unwrap().read_line(&mut log) {
            Ok(0) => panic!("the log ended without {mark:?}: {log}"),
            Ok(_) => assert!(began.elapsed() < LIMIT, "no {mark:?} in the log within {LIMIT:?}: {log}"),
            Err(error) => panic!("no {mark:?} in the log: {error}; so far: {log}"),
        }
    }
    log
}

/// A folder with a file of some size, and one of text.
pub fn site(len: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    File::create(folder.path().join("a.bin")).unwrap().set_len(len as u64).unwrap();
    std::fs::write(folder.path().join("a.txt"), "the secret text\n".repeat(100)).unwrap();
    folder
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
