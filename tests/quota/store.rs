//! Limits that were set by hand, and a quota server that is started again.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use rustix::process::Signal;
use testkit::program::{self, Program};
use testkit::skip::skipped;

/// A quota server on a file.
struct Quota {
    program: Program,
    url: String,
}

impl Quota {
    fn start(store: &Path, args: &[&str]) -> Self {
        let store = format!("file:{}", store.display());
        let program =
            Program::start(&[&["quota", "serve", "--learning", "0s", "--store", &store], args].concat());
        let url = program.started[0].strip_prefix("quota server listening on ").unwrap().to_owned();
        Self { program, url }
    }

    fn ask(&self, args: &[&str]) -> Output {
        program::command(&[&["quota"], args].concat()).args(["--server", &self.url]).output().unwrap()
    }

    fn says(&self, args: &[&str]) -> String {
        let output = self.ask(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Limits, rates and sources.
    fn list(&self) -> Vec<[String; 3]> {
        let table = self.says(&["list"]);
        let cells = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
        cells.map(|row| [row[0], row[1], row[4]].map(str::to_owned)).collect()
    }
}

fn rows(rows: &[[&str; 3]]) -> Vec<[String; 3]> {
    rows.iter().map(|row| row.map(str::to_owned)).collect()
}

#[test]
fn what_was_set_by_hand_holds_after_a_kill_and_goes_over_the_flags() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("limits.toml");
    let args = ["--limit", "egress=100m", "--limit", "api=100/s", "--limit", "own=1m"];
    let args = [&args[..], &["--schedule", "egress=40m during 00:00-24:00"]].concat();
    let quota = Quota::start(&path, &args);
    let kept = format!("what is set by hand is kept in file:{}", path.display());
    assert!(quota.program.started.contains(&kept), "{:?}", quota.program.started);
    assert_eq!(
        quota.list(),
        rows(&[["api", "100/s", "flag"], ["egress", "40m", "schedule"], ["own", "1m", "flag"]])
    );
    let set = quota.says(&["set", "egress=8mbit"]);
    assert!(set.ends_with("\nkept in the store of the quota server\n"), "{set}");
    quota.says(&["set", "more=5m"]);
    quota.says(&["set", "gone=5m"]);
    let deleted = quota.says(&["delete", "gone"]);
    assert_eq!(deleted, "gone has no limit any more\nkept in the store of the quota server\n");
    quota.says(&["delete", "api"]);
    let after = rows(&[["egress", "8mbit", "store"], ["more", "5m", "store"], ["own", "1m", "flag"]]);
    let shown = |list: Vec<[String; 3]>| -> Vec<[String; 3]> {
        // 8mbit is shown in bytes.
        let spelt = |rate: String| if rate == "976.562k" { "8mbit".to_owned() } else { rate };
        list.into_iter().map(|[limit, rate, source]| [limit, spelt(rate), source]).collect()
    };
    assert_eq!(shown(quota.list()), after);
    quota.program.signal(Signal::KILL);
    quota.program.wait();

    let again = Quota::start(&path, &args);
    for line in ["  egress=8mbit, set by hand", "  api deleted by hand"] {
        assert!(again.program.started.iter().any(|had| had == line), "{line}: {:?}", again.program.started);
    }
    assert_eq!(shown(again.list()), after);
    again.says(&["reset", "egress"]);
    again.says(&["reset", "api"]);
    again.says(&["reset", "more"]);
    drop(again);
    let reset = Quota::start(&path, &args);
    assert_eq!(
        reset.list(),
        rows(&[["api", "100/s", "flag"], ["egress", "40m", "schedule"], ["own", "1m", "flag"]])
    );
    assert!(!fs::read_to_string(&path).unwrap().contains("egress"));
}

#[test]
fn a_limit_that_came_back_with_another_unit_takes_the_flags_place_and_gives_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("limits.toml");
    let quota = Quota::start(&path, &["--limit", "r=1m"]);
    quota.says(&["delete", "r"]);
    quota.says(&["set", "r=7/s"]);
    drop(quota);
    let quota = Quota::start(&path, &["--limit", "r=1m"]);
    assert_eq!(quota.list(), rows(&[["r", "7/s", "store"]]));
    quota.says(&["reset", "r"]);
    assert_eq!(quota.list(), rows(&[["r", "1m", "flag"]]));
}

#[test]
fn a_file_that_cannot_be_used_is_an_error_at_the_start_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("torn.toml"), "[limits]\negress = \"20").unwrap();
    fs::write(path("unit.toml"), "[limits]\negress = \"fast\"\n").unwrap();
    fs::create_dir(path("folder.toml")).unwrap();
    for (name, expected) in [
        ("torn.toml", "correct it, or move it away: the limits are then those of --limit"),
        ("unit.toml", "unit.toml is not valid: limits.egress: "),
        ("folder.toml", "or name another file with --store file:PATH"),
        ("none/limits.toml", "make its folder, or name another file with --store file:PATH"),
    ] {
        let store = format!("file:{}", path(name).display());
        let output = Command::output(&mut program::command(&[
            "quota",
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--store",
            &store,
        ]))
        .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[test]
fn a_change_that_cannot_be_kept_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("limits.toml");
    let quota = Quota::start(&path, &["--limit", "r=1m"]);
    quota.says(&["set", "r=2m"]);
    let before = fs::read_to_string(&path).unwrap();
    // A folder in the place of the file that is written first. Even root cannot write there.
    fs::create_dir(folder.path().join(".limits.toml.new")).unwrap();
    for args in [&["set", "r=3m"][..], &["delete", "r"], &["reset", "r"], &["set", "new=1m"]] {
        let output = quota.ask(args);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("the quota server says: nothing is changed: store file "), "{error}");
        assert!(error.contains("cannot be written: "), "{error}");
    }
    assert_eq!(quota.list(), rows(&[["r", "2m", "store"]]));
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
    fs::remove_dir(folder.path().join(".limits.toml.new")).unwrap();
    quota.says(&["set", "r=3m"]);
    assert_eq!(quota.list(), rows(&[["r", "3m", "store"]]));
}

#[test]
fn a_full_disk_refuses_a_change_and_takes_it_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk/limits.toml");
    fs::create_dir(folder.path().join("disk")).unwrap();
    // A disk of one page, in name spaces of the program's own. The first file fills it.
    let script = format!(
        "mount -t tmpfs -o size=4k none {} && exec \"$0\" \"$@\"",
        folder.path().join("disk").display()
    );
    let apart = |args: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]).args(args);
        command.stdin(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
        command
    };
    if !apart(&["true"]).status().is_ok_and(|status| status.success()) {
        return skipped("a full disk: no user name spaces here");
    }
    let (program, store) = (program::path(), format!("file:{}", path.display()));
    let args = ["quota", "serve", "--learning", "0s", "--limit", "r=1m", "--store", &store];
    let program = Program::start_command(apart(&[&[program.to_str().unwrap()], &args[..]].concat()));
    let url = program.started[0].strip_prefix("quota server listening on ").unwrap().to_owned();
    let quota = Quota { program, url };
    let output = quota.ask(&["set", "r=2m"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains("nothing is changed: store file ") && error.contains("make room on its disk"),
        "{error}"
    );
    assert_eq!(quota.list(), rows(&[["r", "1m", "flag"]]));
    // The system shows the program's disk.
    let seen = format!("/proc/{}/root{}", quota.program.id(), path.display());
    assert!(!fs::read_to_string(&seen).unwrap().contains("2m"));
    fs::write(&seen, "").unwrap();
    quota.says(&["set", "r=2m"]);
    assert_eq!(quota.list(), rows(&[["r", "2m", "store"]]));
}
