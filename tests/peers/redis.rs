//! A redis-server on a socket in a folder of its own, which keeps all that it was told, and redis-cli to look at it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use testkit::process::listener::free_port;
use testkit::wait::until;

use crate::program::{Running, program, succeeded};

/// Ports that are tried; each may be taken before the server has it.
const TRIES: u32 = 5;

pub struct Redis {
    folder: TempDir,
    server: Option<Running>,
    args: Vec<String>,
}

impl Redis {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// One with further arguments.
    pub fn with(args: &[&str]) -> Self {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut redis = Self { folder: tempfile::tempdir().unwrap(), server: None, args };
        redis.begin();
        redis
    }

    /// One that also listens on a TCP port, for which `args` are made.
    pub fn on_port(args: impl Fn(u16) -> Vec<String>) -> (u16, Self) {
        for _ in 0..TRIES {
            let free = free_port().unwrap();
            let mut redis = Self { folder: tempfile::tempdir().unwrap(), server: None, args: args(free) };
            if redis.tried() {
                return (free, redis);
            }
        }
        panic!(
            "redis-server ended {TRIES} times, each with another port: what it says is above; has it TLS?"
        );
    }

    /// Starts it again with what is in its folder, and further arguments from now on.
    pub fn begin_with(&mut self, args: &[&str]) {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self.begin();
    }

    /// Starts it again with what is in its folder.
    pub fn begin(&mut self) {
        assert!(self.tried(), "redis-server ended; see above");
    }

    /// Starts it. Returns whether it runs: its port may be taken.
    fn tried(&mut self) -> bool {
        let mut command = Command::new(program("redis-server"));
        command.args(["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
        command.arg("--unixsocket").arg(self.socket()).arg("--dir").arg(self.folder.path());
        command.args(&self.args);
        let mut server = Running(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
        let mut runs = true;
        until("redis-server to answer", || {
            runs = server.0.try_wait().unwrap().is_none();
            !runs || self.command(&["PING"]).output().unwrap().stdout == b"PONG\n"
        });
        self.server = Some(server);
        runs
    }

    /// Has it stop or go on.
    pub fn signal(&self, signal: Signal) {
        let server = self.server.as_ref().unwrap();
        kill_process(Pid::from_child(&server.0), signal).unwrap();
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// What it has kept by now, for [`rewind`](Self::rewind).
    pub fn copied(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(self.kept()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        copy
    }

    /// Kills it, and starts it with what it had kept when `copy` was made: as if it had lost all since.
    pub fn rewind(&mut self, copy: &TempDir) {
        self.kill();
        self.forget();
        std::fs::create_dir(self.kept()).unwrap();
        for file in std::fs::read_dir(copy.path()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), self.kept().join(file.file_name())).unwrap();
        }
        self.begin();
    }

    fn kept(&self) -> PathBuf {
        self.folder.path().join("appendonlydir")
    }

    /// Takes away what it kept.
    pub fn forget(&self) {
        std::fs::remove_dir_all(self.kept()).unwrap();
    }

    /// The store as servers name it.
    pub fn store(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program("redis-cli"));
        command.arg("-s").arg(self.socket()).args(args).stderr(Stdio::null());
        command
    }

    /// What redis-cli prints.
    pub fn says(&self, args: &[&str]) -> String {
        String::from_utf8(succeeded(&mut self.command(args))).unwrap().trim_end().to_owned()
    }
}
