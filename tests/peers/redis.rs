//! A redis-server on a socket in a folder of its own, which keeps all that it was told, and redis-cli to look at it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use testkit::wait::until;

use crate::program::{Running, program, succeeded};

pub struct Redis {
    folder: TempDir,
    server: Option<Running>,
}

impl Redis {
    pub fn start() -> Self {
        let mut redis = Self { folder: tempfile::tempdir().unwrap(), server: None };
        redis.begin();
        redis
    }

    /// Starts it again with what is in its folder.
    pub fn begin(&mut self) {
        let mut command = Command::new(program("redis-server"));
        command.args(["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
        command.arg("--unixsocket").arg(self.socket()).arg("--dir").arg(self.folder.path());
        self.server = Some(Running(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()));
        until("redis-server to answer", || self.command(&["PING"]).output().unwrap().stdout == b"PONG\n");
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// The store as quota servers name it.
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
