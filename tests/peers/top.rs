//! `top` on a terminal, which script(1) makes: what it shows, what keys do, and that it gives the terminal back as it was.

use std::io::{Read, Write};
use std::num::NonZero;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use sluicegate::limit::{Budget, Rate};
use testkit::program::{Program, site, text};
use testkit::served::files;
use testkit::wait::until;
use testkit::watched::{TOKEN, Watched};

use crate::program::{PATIENCE, Running, program};

/// Run by a shell on the terminal: says its name, how it is set before and after, the process, and how that ended.
const SHELL: &str = "stty rows 24 cols 80; echo \"tty $(tty) set $(stty -g) end\"; \
    sh -c 'echo \"pid $$ end\"; exec \"$PROGRAM\" top $FLAGS'; echo \"code $? set $(stty -g) end\"";

fn size(number: u16) -> NonZero<u16> {
    NonZero::new(number).unwrap()
}

/// The same with jobs: when the program was stopped, it is brought back by the next line that is typed.
const JOBS: &str = "stty rows 24 cols 80; echo \"tty $(tty) set $(stty -g) end\"; set -m; \
    \"$PROGRAM\" top $FLAGS; echo \"stopped $? set $(stty -g) end\"; read line; fg; echo \"code $? set $(stty -g) end\"";

/// The program on a terminal of its own, as a terminal would show it.
struct Terminal {
    _script: Running,
    keyboard: ChildStdin,
    pieces: Receiver<Vec<u8>>,
    /// All that was written.
    raw: String,
    screen: vt100::Parser,
}

impl Terminal {
    fn start(flags: &str, environment: &[(&str, &str)]) -> Self {
        Self::in_shell(SHELL, flags, environment)
    }

    fn in_shell(shell: &str, flags: &str, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program("script"));
        command.args(["-qefc", shell, "/dev/null"]).env("SHELL", "/bin/sh").env("FLAGS", flags);
        command.env("PROGRAM", env!("CARGO_BIN_EXE_sluicegate")).env_remove("NO_COLOR");
        command.env("TERM", "xterm").env("LC_ALL", "C.UTF-8").envs(environment.iter().copied());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (keyboard, mut shown) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, pieces) = channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(len @ 1..) = shown.read(&mut piece) {
                if sender.send(piece[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        let screen = vt100::Parser::new(size(24), size(80), 0);
        Self { _script: Running(child), keyboard, pieces, raw: String::new(), screen }
    }

    /// What the terminal shows as soon as it is as wished.
    fn when(&mut self, what: &str, wished: impl Fn(&str) -> bool) -> String {
        let shown = self.within(PATIENCE, wished);
        shown.unwrap_or_else(|shown| panic!("{what}:\n{shown}\n{:?}", self.raw))
    }

    /// The same, or what it shows instead after this time.
    fn within(&mut self, patience: Duration, wished: impl Fn(&str) -> bool) -> Result<String, String> {
        let end = Instant::now() + patience;
        loop {
            let shown = self.screen.screen().contents();
            if wished(&shown) {
                return Ok(shown);
            }
            let left = end.saturating_duration_since(Instant::now());
            let Ok(piece) = self.pieces.recv_timeout(left) else { return Err(shown) };
            self.raw += &String::from_utf8_lossy(&piece);
            self.screen.process(&piece);
        }
    }

    fn has(&mut self, words: &str) -> String {
        self.when(words, |shown| shown.contains(words))
    }

    fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// What was written between these words and the next ` end`.
    fn said(&self, before: &str) -> String {
        let (_, rest) = self.raw.split_once(before).unwrap_or_else(|| panic!("{before}: {:?}", self.raw));
        rest.split_once(" end").unwrap().0.to_owned()
    }

    fn kill(&self, signal: &str) {
        let pid = self.said("pid ");
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Waits for the end: with this exit code, and the terminal as it was.
    fn ends_with(mut self, code: &str) {
        self.has("code ");
        self.when("the end", |shown| shown.contains("code ") && shown.trim_end().ends_with("end"));
        let (_, set) =
            self.said("tty ").split_once(" set ").map(|(tty, set)| (tty.to_owned(), set.to_owned())).unwrap();
        assert_eq!(self.said("code "), format!("{code} set {set}"), "{:?}", self.raw);
        assert!(!self.screen.screen().alternate_screen() && !self.screen.screen().hide_cursor());
    }
}

/// A file that takes minutes, with a name that fits into a narrow column.
fn folder() -> tempfile::TempDir {
    testkit::folder::folder(&[("l", &vec![b'y'; 1_000_000])])
}

fn watched(folder: &tempfile::TempDir) -> Watched {
    let watched = Watched::new(vec![files(folder, 2_000)]);
    watched.served.handle.budgets().server().set(Budget::of(Rate::or_unlimited(1_000_000)));
    watched
}

#[test]
fn it_shows_what_flows_and_keys_do_what_they_say() {
    let folder = folder();
    let watched = watched(&folder);
    let _streams = [watched.served.begin("/l?a"), watched.served.begin("/l?b")];
    let mut terminal = Terminal::start(&format!("--admin {}", watched.admin), &[]);
    let shown = terminal.when("the rows", |shown| {
        shown.contains("?a")
            && shown.contains("?b")
            && shown.contains("pace 2")
            && shown.contains("2.0 KiB/s")
    });
    let line = |shown: &str, at: usize| shown.lines().nth(at).unwrap_or_default().to_owned();
    assert!(line(&shown, 0).starts_with(&format!("sluicegate 0.1.0 at {}  live", watched.admin)), "{shown}");
    assert!(
        line(&shown, 1).contains("of 976.6 KiB/s") && line(&shown, 1).ends_with("2 transfers"),
        "{shown}"
    );
    assert!(terminal.screen.screen().alternate_screen() && terminal.screen.screen().hide_cursor());
    terminal.types("2");
    let shown = terminal.has("TRANSFERS CLIENT");
    assert!(shown.contains("2 127.0.0.1"), "{shown}");
    // Its transfers alone, the way of the first, and back again. Down is as terminals send it.
    terminal.types("\x1b[B\r");
    terminal.has("Transfers of client 127.0.0.1");
    terminal.types("\x1b[B\r");
    terminal.has("Its way: GET /l?");
    terminal.types("\x1b");
    terminal.when("back", |shown| !shown.contains("Its way"));
    terminal.types("a");
    let shown = terminal.has("REQUEST↓");
    assert!(shown.find("?a") < shown.find("?b"), "{shown}");
    terminal.types("r");
    let shown = terminal.has("REQUEST↑");
    assert!(shown.find("?a") > shown.find("?b"), "{shown}");
    terminal.types(" ");
    terminal.has("paused");
    terminal.types(" ");
    terminal.when("it goes on", |shown| !shown.contains("paused"));
    terminal.types("?");
    terminal.has("draw the screen anew");
    terminal.types("?");
    terminal.has("REQUEST↑");
    terminal.types("q");
    terminal.ends_with("0");
}

#[test]
fn it_follows_the_terminals_size() {
    let folder = folder();
    let watched = watched(&folder);
    let _stream = watched.served.begin("/l?a");
    let mut terminal = Terminal::start(&format!("--admin {}", watched.admin), &[]);
    terminal.has("? help");
    let tty = terminal.said("tty ").split_once(' ').unwrap().0.to_owned();
    for (rows, columns) in [(40, 120), (10, 40), (24, 80)] {
        let set = ["rows", &rows.to_string(), "cols", &columns.to_string()].map(str::to_owned);
        terminal.screen.screen_mut().set_size(size(rows), size(columns));
        assert!(Command::new(program("stty")).args(["-F", &tty]).args(set).status().unwrap().success());
        terminal.when("another size", |shown| {
            let lines: Vec<&str> = shown.lines().collect();
            let last = lines.last().unwrap_or(&"");
            lines.len() == usize::from(rows)
                && last.starts_with("q quit")
                && (columns < 100 || shown.contains("LAST 2"))
        });
    }
    // A key that comes together with a change of size lies in the terminal until the next one: crossterm, which is told of
    // either once, returns after the change.
    let has_ended = (0..10).any(|_| {
        terminal.types("q");
        terminal.within(Duration::from_secs(5), |shown| shown.contains("code ")).is_ok()
    });
    assert!(has_ended, "{:?}", terminal.raw);
    terminal.ends_with("0");
}

#[test]
fn it_gives_the_terminal_back_however_it_ends() {
    let folder = folder();
    let watched = watched(&folder);
    for (end, code) in [("q", "0"), ("\x03", "0"), ("-TERM", "0"), ("-INT", "0"), ("-HUP", "0")] {
        let mut terminal = Terminal::start(&format!("--admin {}", watched.admin), &[]);
        terminal.has("? help");
        if end.starts_with('-') {
            terminal.kill(end)
        } else {
            terminal.types(end)
        }
        terminal.ends_with(code);
    }
    // What is wrong is said on the terminal as it is.
    let mut terminal = Terminal::start("--admin 127.0.0.1:1", &[]);
    terminal.has("start the server with --admin ADDR");
    assert!(!terminal.raw.contains("\x1b[?1049h"), "{:?}", terminal.raw);
    terminal.ends_with("1");
    let closed = Watched::with_token(vec![files(&folder, 0)]);
    let mut terminal = Terminal::start(&format!("--admin {}", closed.admin), &[]);
    terminal.has("give --token-file FILE");
    terminal.ends_with("1");
    let token = folder.path().join("token");
    testkit::token_file::write(&token, TOKEN);
    let mut terminal =
        Terminal::start(&format!("--admin {} --token-file {}", closed.admin, text(&token)), &[]);
    terminal.has("nothing is under way");
    terminal.types("q");
    terminal.ends_with("0");
}

#[test]
fn it_ends_with_its_terminal() {
    let folder = folder();
    let watched = watched(&folder);
    let mut terminal = Terminal::start(&format!("--admin {}", watched.admin), &[]);
    terminal.has("? help");
    let stat = format!("/proc/{}/stat", terminal.said("pid "));
    drop(terminal);
    // Gone, or ended and not yet waited for by whoever adopted it.
    until("its end", || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z ")));
}

#[test]
fn a_stopped_process_leaves_the_shell_its_terminal_and_comes_back() {
    let folder = folder();
    let watched = watched(&folder);
    let mut terminal = Terminal::in_shell(JOBS, &format!("--admin {}", watched.admin), &[]);
    terminal.has("? help");
    terminal.types("\x1a");
    terminal.when("the screen of the shell", |shown| shown.contains("stopped ") && !shown.contains("? help"));
    terminal.when("all of it", |shown| shown.trim_end().ends_with("end"));
    assert!(!terminal.screen.screen().alternate_screen());
    let (_, set) = terminal.said("tty ").split_once(" set ").map(|(_, set)| ((), set.to_owned())).unwrap();
    assert!(terminal.said("stopped ").ends_with(&format!(" set {set}")), "{:?}", terminal.raw);
    terminal.types("\n");
    terminal.has("? help");
    terminal.types("q");
    terminal.ends_with("0");
}

#[test]
fn without_colour_there_is_none_and_without_unicode_nothing_but_ascii() {
    let folder = folder();
    let watched = watched(&folder);
    let _stream = watched.served.begin("/l?a");
    for (environment, is_coloured, is_ascii) in [
        (&[][..], true, false),
        (&[("NO_COLOR", "1")][..], false, false),
        (&[("LC_ALL", "C"), ("TERM", "vt100")][..], true, true),
    ] {
        let mut terminal = Terminal::start(&format!("--admin {}", watched.admin), environment);
        terminal.when("a row", |shown| shown.contains("?a") && shown.contains(" pace"));
        terminal.types("q");
        terminal.has("code ");
        let colours = ["\x1b[3", "\x1b[9"].iter().any(|begin| {
            terminal.raw.match_indices(begin).any(|(at, _)| {
                let code: String = terminal.raw[at + 2..].chars().take_while(char::is_ascii_digit).collect();
                matches!(code.parse(), Ok(30..=37 | 90..=97 | 38))
            })
        });
        assert_eq!(colours, is_coloured, "{environment:?}: {:?}", terminal.raw);
        assert_eq!(terminal.raw.is_ascii(), is_ascii, "{environment:?}");
        terminal.ends_with("0");
    }
}

#[test]
fn a_server_that_goes_away_is_told_of_and_found_again() {
    let folder = site(1000);
    let socket = folder.path().join("admin.sock");
    let admin = format!("unix:{}", text(&socket));
    let start = || Program::start(&["serve", text(folder.path()), "--admin", &admin]);
    let server = start();
    let mut terminal = Terminal::start(&format!("--admin {admin}"), &[]);
    terminal.has("  live  ");
    drop(server);
    terminal.when("that it is gone", |shown| shown.contains("no states") && shown.contains("? help"));
    let server = start();
    terminal.has("  live  ");
    drop(server);
    terminal.has("no states");
    terminal.types("q");
    terminal.ends_with("0");
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_sluicegate")).arg("top").stdin(Stdio::null()).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("connections list --watch") && output.stdout.is_empty(), "{error}");
}
