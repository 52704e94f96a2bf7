//! The log on a terminal, which script(1) makes.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use testkit::records::record;
use testkit::served::connect;

use crate::program::{Running, make_file, program};

/// The program on a terminal of its own, and what it has shown.
struct Terminal {
    process: Running,
    shown: String,
}

impl Terminal {
    /// Serves a folder with further flags, in this environment.
    fn start(folder: &std::path::Path, flags: &str, environment: &[(&str, &str)]) -> Self {
        let serve = "exec \"$PROGRAM\" serve \"$FOLDER\" --listen 127.0.0.1:0 --access-log stderr";
        let mut command = Command::new(program("script"));
        command.args(["-qec", &format!("{serve} {flags}"), "/dev/null"]).env("SHELL", "/bin/sh");
        command.env("PROGRAM", env!("CARGO_BIN_EXE_sluicegate")).env("FOLDER", folder);
        command.env_remove("NO_COLOR").env("TERM", "xterm").envs(environment.iter().copied());
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        Self { process: Running(child), shown: String::new() }
    }

    fn child(&mut self) -> &mut Child {
        &mut self.process.0
    }

    /// Reads until it has shown these words.
    fn reads_to(&mut self, words: &str) {
        while !self.shown.contains(words) {
            let mut piece = [0; 4096];
            let len = self.child().stdout.as_mut().unwrap().read(&mut piece).unwrap();
            assert!(len > 0, "{:?}", self.shown);
            self.shown += std::str::from_utf8(&piece[..len]).unwrap();
        }
    }

    /// Asks for a file, types Ctrl-C, and gives all that was shown.
    fn end(mut self) -> String {
        self.reads_to("Ctrl-C stops");
        let (_, rest) = self.shown.split_once("listening on http://").unwrap();
        let addr: String = rest.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
        let addr: SocketAddr = addr.parse().unwrap();
        testkit::program::get(connect(addr), "/a.txt", "");
        self.reads_to("/a.txt");
        let mut keyboard = self.child().stdin.take().unwrap();
        keyboard.write_all(b"\x03").unwrap();
        self.reads_to("stopped");
        let mut rest = String::new();
        self.child().stdout.as_mut().unwrap().read_to_string(&mut rest).unwrap();
        assert!(self.child().wait().unwrap().success(), "{:?}{rest:?}", self.shown);
        self.shown.clone() + &rest
    }
}

#[test]
fn a_terminal_has_text_in_colours_unless_they_are_not_wanted() {
    let folder = tempfile::tempdir().unwrap();
    make_file(folder.path(), "a.txt", 1000);
    for (environment, is_coloured) in [
        (&[][..], true),
        // Empty is as if it were not set.
        (&[("NO_COLOR", "")], true),
        (&[("NO_COLOR", "1")], false),
        (&[("TERM", "dumb")], false),
    ] {
        let shown = Terminal::start(folder.path(), "", environment).end();
        assert_eq!(shown.contains('\x1b'), is_coloured, "{environment:?}: {shown:?}");
        assert!(!shown.lines().any(|line| record(line).is_some()), "{shown}");
        assert!(shown.contains("INFO") && shown.starts_with("listening on http://"), "{shown:?}");
    }
}

#[test]
fn json_that_is_asked_for_is_json_on_a_terminal_too() {
    let folder = tempfile::tempdir().unwrap();
    make_file(folder.path(), "a.txt", 1000);
    let shown = Terminal::start(folder.path(), "--log-format json", &[]).end();
    let lines: Vec<_> = shown.lines().filter(|line| !line.starts_with("^C")).collect();
    assert!(lines.len() > 3 && lines.iter().all(|line| record(line).is_some()), "{shown:?}");
    assert!(!shown.contains('\x1b'), "{shown:?}");
}
