//! The scripts of the Debian package, as dpkg calls them, with stand-ins for what changes a machine.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use testkit::program::text;

/// A folder with the package's scripts, where a package has been made; there cargo-deb has added its lines.
const PACKAGED: &str = "SLUICEGATE_TEST_DEBIAN";

/// What the scripts name that must not be this machine's: whether systemd runs, and the logs.
const SYSTEMD: &str = "/run/systemd/system";
const LOGS: &str = "/var/log/sluicegate";

/// Stand-ins note how they were called; their answers are in variables.
const STAND_INS: [(&str, &str); 5] = [
    ("getent", "exit $USER_KNOWN"),
    ("adduser", ""),
    ("systemctl", "case $1 in is-active) exit $IS_ACTIVE;; show) echo \"$MAIN_PID\";; esac"),
    ("deb-systemd-helper", ""),
    ("deb-systemd-invoke", ""),
];

const ASKS_FOR_USER: &str = "getent passwd sluicegate";
const MAKES_USER: &str =
    "adduser --system --group --quiet --home /nonexistent --no-create-home --gecos Sluicegate sluicegate";
const UPGRADES: [&str; 3] = [
    "systemctl daemon-reload",
    "systemctl is-active --quiet sluicegate.service",
    "systemctl show -p MainPID --value sluicegate.service",
];

/// A machine as the scripts see it, with a service that runs.
struct Machine {
    folder: tempfile::TempDir,
    service: Child,
    has_systemd: bool,
    user_known: bool,
    is_active: bool,
    /// What systemd says the service is, if not the one that runs.
    main_pid: Option<&'static str>,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for place in ["bin", "systemd", "logs"] {
            std::fs::create_dir(folder.path().join(place)).unwrap();
        }
        for (name, answer) in STAND_INS {
            let file = folder.path().join("bin").join(name);
            let script = format!("#!/bin/sh\necho {name} \"$@\" >>\"$CALLS\"\n{answer}\n");
            std::fs::write(&file, script).unwrap();
            std::fs::set_permissions(file, PermissionsExt::from_mode(0o755)).unwrap();
        }
        // SIGUSR2 ends it.
        let service = Command::new("sleep").arg("1000").spawn().unwrap();
        Self { folder, service, has_systemd: true, user_known: true, is_active: true, main_pid: None }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a script, which must succeed. Returns the calls without those of Debian's helpers, and its standard error.
    fn run(&self, script: &str, args: &[&str]) -> (Vec<String>, String) {
        let systemd = self.at(if self.has_systemd { "systemd" } else { "none" });
        let script = std::fs::read_to_string(scripts().join(script)).unwrap();
        let script = script.replace(SYSTEMD, text(&systemd)).replace(LOGS, text(&self.at("logs")));
        std::fs::write(self.at("script"), script).unwrap();
        std::fs::write(self.at("calls"), "").unwrap();
        let path = format!("{}:/usr/bin:/bin", text(&self.at("bin")));
        let pid = self.main_pid.map_or_else(|| self.service.id().to_string(), str::to_owned);
        let output = Command::new("/bin/sh")
            .arg(self.at("script"))
            .args(args)
            .env_clear()
            .envs([("PATH", path), ("MAIN_PID", pid), ("CALLS", text(&self.at("calls")).to_owned())])
            .env("USER_KNOWN", if self.user_known { "0" } else { "2" })
            .env("IS_ACTIVE", if self.is_active { "0" } else { "3" })
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        let calls = std::fs::read_to_string(self.at("calls")).unwrap();
        (calls.lines().filter(|call| !call.starts_with("deb-systemd-")).map(str::to_owned).collect(), error)
    }

    /// Kills the service, and returns the signal that ended it: the first that it was sent.
    fn ended_by(mut self) -> Option<i32> {
        self.service.kill().unwrap();
        self.service.wait().unwrap().signal()
    }
}

fn scripts() -> PathBuf {
    let ours = || Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/debian");
    std::env::var_os(PACKAGED).map_or_else(ours, PathBuf::from)
}

const UPGRADED: Option<i32> = Some(libc::SIGUSR2);

/// It was sent no signal before the test ended it.
const UNTOUCHED: Option<i32> = Some(libc::SIGKILL);

#[test]
fn the_first_installation_makes_the_user_and_signals_nothing() {
    let machine = Machine { user_known: false, ..Machine::new() };
    let (calls, error) = machine.run("postinst", &["configure"]);
    assert_eq!((calls, error.as_str()), (vec![ASKS_FOR_USER.to_owned(), MAKES_USER.to_owned()], ""));
    // dpkg passes an empty version where there was none.
    let machine = Machine { user_known: true, ..machine };
    let (calls, error) = machine.run("postinst", &["configure", ""]);
    assert_eq!((calls, error.as_str()), (vec![ASKS_FOR_USER.to_owned()], ""));
    assert_eq!(machine.ended_by(), UNTOUCHED);
}

#[test]
fn an_upgrade_has_the_running_program_start_the_new_one() {
    let machine = Machine::new();
    let (calls, error) = machine.run("postinst", &["configure", "0.0.9-1"]);
    assert_eq!(
        (calls, error.as_str()),
        ([&[ASKS_FOR_USER][..], &UPGRADES].concat().iter().map(|call| (*call).to_owned()).collect(), "")
    );
    assert_eq!(machine.ended_by(), UPGRADED);
}

#[test]
fn an_upgrade_signals_nothing_where_nothing_runs() {
    let stopped = Machine { is_active: false, ..Machine::new() };
    let (calls, error) = stopped.run("postinst", &["configure", "0.0.9-1"]);
    assert_eq!((calls.len(), calls[2].as_str(), error.as_str()), (3, UPGRADES[1], ""));
    assert_eq!(stopped.ended_by(), UNTOUCHED);

    let without = Machine { has_systemd: false, ..Machine::new() };
    let (calls, error) = without.run("postinst", &["configure", "0.0.9-1"]);
    assert_eq!((calls, error.as_str()), (vec![ASKS_FOR_USER.to_owned()], ""));
    assert_eq!(without.ended_by(), UNTOUCHED);
}

#[test]
fn an_upgrade_that_cannot_signal_says_how_to_restart_and_succeeds() {
    // 0 is what systemd says of a service without a process: a signal to it would reach the whole group.
    for main_pid in ["0", "1", "", "4194999"] {
        let machine = Machine { main_pid: Some(main_pid), ..Machine::new() };
        let (_, error) = machine.run("postinst", &["configure", "0.0.9-1"]);
        assert!(error.ends_with("restart it: systemctl restart sluicegate\n"), "{main_pid}: {error}");
        assert_eq!(machine.ended_by(), UNTOUCHED);
    }
}

#[test]
fn only_a_purge_removes_the_logs_and_nothing_stops_the_service_in_an_upgrade() {
    let machine = Machine::new();
    for (script, args) in [
        ("postinst", &["abort-upgrade", "0.0.9-1"][..]),
        ("postrm", &["upgrade", "0.0.9-1"]),
        ("postrm", &["remove"]),
        ("prerm", &["upgrade", "0.2.0-1"]),
    ] {
        if !scripts().join(script).exists() {
            // cargo-deb makes this one.
            assert!(script == "prerm" && std::env::var_os(PACKAGED).is_none(), "{script}");
            continue;
        }
        let (calls, error) = machine.run(script, args);
        let known = ["systemctl --system daemon-reload", ASKS_FOR_USER];
        assert!(calls.iter().all(|call| known.contains(&call.as_str())), "{script} {args:?}: {calls:?}");
        assert_eq!(error, "", "{script} {args:?}");
        let all = std::fs::read_to_string(machine.at("calls")).unwrap();
        assert!(!all.contains("deb-systemd-invoke"), "{script} {args:?}: {all}");
        assert!(machine.at("logs").exists(), "{script} {args:?}");
    }
    machine.run("postrm", &["purge"]);
    assert!(!machine.at("logs").exists());
    assert_eq!(machine.ended_by(), UNTOUCHED);
}
