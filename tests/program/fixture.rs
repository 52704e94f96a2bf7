//! A running program, and a plain client of it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long is waited for what must come. Only a failing test waits that long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A program that serves. Dropping it kills it.
pub struct Program {
    child: Child,
    /// The lines up to the one that says how to stop it.
    pub started: Vec<String>,
    /// What it logs.
    pub log: Option<BufReader<ChildStdout>>,
}

pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
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
        let mut log = BufReader::new(child.stdout.take().unwrap());
        let mut started: Vec<String> = Vec::new();
        while !started.last().is_some_and(|line| line.starts_with("Ctrl-C stops")) {
            let mut line = String::new();
            if log.read_line(&mut line).unwrap() == 0 {
                let mut error = String::new();
                child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
                panic!("{command:?} ended after {started:?}: {error}");
            }
            started.push(line.trim_end().to_owned());
        }
        Self { child, started, log: Some(log) }
    }

    /// Starts it with another standard output. What it says is not heard.
    pub fn start_with(args: &[&str], stdout: impl Into<Stdio>) -> Self {
        let child = command(args).stdout(stdout).spawn().unwrap();
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

    pub fn connect(&self) -> TcpStream {
        connect(self.addr())
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end, and gives what it had yet to say on standard output and on standard error.
    pub fn wait(mut self) -> (ExitStatus, String, String) {
        let (mut log, mut error) = (String::new(), String::new());
        if let Some(mut lines) = self.log.take() {
            lines.read_to_string(&mut log).unwrap();
        }
        self.child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
        (self.child.wait().unwrap(), log, error)
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

pub fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Asks on a connection that ends with its answer, and gives head and body.
pub fn get(mut stream: impl Read + Write, target: &str, fields: &str) -> (String, Vec<u8>) {
    let request = format!("GET {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let head = all.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let body = all.split_off(head);
    let head = String::from_utf8(all).unwrap();
    let chunked = head.to_lowercase().contains("\r\ntransfer-encoding: chunked\r\n");
    (head, if chunked { dechunk(&body) } else { body })
}

fn dechunk(mut raw: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = raw.windows(2).position(|window| window == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&raw[..line]).unwrap(), 16).unwrap();
        body.extend_from_slice(&raw[line + 2..line + 2 + size]);
        raw = &raw[line + 2 + size + 2..];
        if size == 0 {
            assert!(raw.is_empty());
            return body;
        }
    }
}

/// Tries until it works: for what another process is about to make possible.
pub fn soon<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

/// The rest of the log up to a line with `mark` in it, and that line.
pub fn log_until(program: &mut Program, mark: &str) -> String {
    let mut log = String::new();
    while !log.contains(mark) {
        let n = program.log.as_mut().unwrap().read_line(&mut log).unwrap();
        assert_ne!(n, 0, "the log ended without {mark:?}: {log}");
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

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
