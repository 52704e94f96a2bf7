//! SIGUSR2: a new program that fails, sooner or later, and what is left of the old one.

use std::io::Read;
use std::net::TcpListener;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use testkit::process::procfs::child_of;
use testkit::program::{self, Program, command, get, log_until, site, text};
use testkit::records::records;
use testkit::served::connect;
use testkit::wait::until;

use super::{LARGE, free, run, slow, upgrade};

#[test]
fn a_new_program_that_fails_leaves_the_old_one_serving() {
    let site = site(100);
    let file = site.path().join("site.toml");
    let unix = site.path().join("http.sock");
    let [http, other] = free();
    let keys = |addr, more| {
        format!(
            "listen = ['unix:http.sock', '{http}', '{addr}']\n{more}\n[[route]]\npath = '/'\nfiles = '.'\n"
        )
    };
    std::fs::write(&file, keys(other, "")).unwrap();
    // The command may lead elsewhere when it is run again, as after an installation.
    let link = site.path().join("program");
    std::os::unix::fs::symlink(program::path(), &link).unwrap();
    let mut command = Command::new(&link);
    command.args(["run", text(&file)]).stdin(Stdio::null()).stderr(Stdio::piped());
    let mut old = Program::start_where_told(command);
    let failed = |old: &mut Program, expected: &str| {
        old.signal(Signal::USR2);
        let log = log_until(old, "no new program: this one continues as before");
        let error =
            records(&log, "no new program: this one continues as before")[0].value("error").to_owned();
        assert!(error.contains(expected), "{error}");
        assert_eq!(get(connect(http), "/a.bin", "").1.len(), 100);
        assert_eq!(get(UnixStream::connect(&unix).unwrap(), "/a.bin", "").1.len(), 100, "its path stays");
    };
    std::fs::write(&file, keys(other, "ratee = 1")).unwrap();
    failed(&mut old, "ratee");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    std::fs::write(&file, keys(taken.local_addr().unwrap(), "")).unwrap();
    failed(&mut old, "something listens there already");
    let replace = |script: &str| {
        std::fs::remove_file(&link).unwrap();
        if !script.is_empty() {
            std::fs::write(&link, script).unwrap();
            std::fs::set_permissions(&link, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
    };
    replace("#!/bin/sh\nexit 7\n");
    failed(&mut old, "it ended before it was ready, with exit status: 7");
    replace("");
    failed(&mut old, "cannot start");
    std::fs::write(&link, "").unwrap();
    replace("#!/bin/sh\necho $$ > $0.pid\nexec sleep 1000\n");
    old.signal(Signal::USR2);
    log_until(&mut old, "SIGUSR2: the new program is started");
    old.signal(Signal::USR2);
    log_until(&mut old, "SIGUSR2 refused: a new program has been started and is not ready yet");
    let pid = testkit::wait::soon("its number", || {
        std::fs::read_to_string(link.with_extension("pid")).ok().filter(|text| text.ends_with('\n'))
    });
    let (status, _, _) = {
        old.signal(Signal::TERM);
        old.wait()
    };
    assert_eq!(status.code(), Some(0));
    assert!(!unix.exists());
    until("the new one goes with it", || !Path::new(&format!("/proc/{}", pid.trim())).exists());
}

#[test]
fn the_path_of_a_socket_that_is_no_longer_configured_is_removed() {
    let site = site(100);
    let file = site.path().join("site.toml");
    let [http] = free();
    let keys = |more| format!("listen = ['{http}'{more}]\n[[route]]\npath = '/'\nfiles = '.'\n");
    std::fs::write(&file, keys(", 'unix:http.sock'")).unwrap();
    let mut old = run(&file);
    std::fs::write(&file, keys("")).unwrap();
    let new = upgrade(&mut old);
    until("the path is removed", || !site.path().join("http.sock").exists());
    assert_eq!(get(connect(http), "/a.bin", "").1.len(), 100);
    new.signal(Signal::TERM);
    until("the new one ends", || !new.runs());
}

/// An old program that drains a download, and has logged `expected` after `signal` to the new one.
fn drained_after(signal: Signal, is_managed: bool, expected: &str) -> (Program, impl Read + use<>) {
    let site = site(LARGE);
    let file = site.path().join("site.toml");
    let [http] = free();
    let keys =
        format!("listen = '{http}'\ndrain = '1h'\n[[route]]\npath = '/slow/'\nfiles = '.'\nrate = '1000B'\n");
    std::fs::write(&file, keys).unwrap();
    let manager = site.path().join("notify");
    let _manager = UnixDatagram::bind(&manager).unwrap();
    let mut command = command(&["run", text(&file)]);
    if is_managed {
        command.env("NOTIFY_SOCKET", &manager);
    }
    let mut old = Program::start_where_told(command);
    let download = slow(connect(http));
    let new = upgrade(&mut old);
    new.signal(signal);
    log_until(&mut old, expected);
    (old, download)
}

#[test]
fn an_old_program_drains_on_when_the_new_one_ends_unless_it_failed_and_a_service_manager_starts_another() {
    let (told, failed) =
        ("the new program was told to end", "nobody listens: this one drains on; start another");
    for (signal, is_managed, expected) in
        [(Signal::TERM, true, told), (Signal::TERM, false, told), (Signal::KILL, false, failed)]
    {
        let (mut old, mut download) = drained_after(signal, is_managed, expected);
        download.read_exact(&mut [0; 500]).unwrap();
        assert!(old.runs());
        old.signal(Signal::TERM);
        assert_eq!(old.wait().0.code(), Some(0));
    }
    let stops = "nobody listens: this one stops too";
    let (old, mut download) = drained_after(Signal::KILL, true, stops);
    let (status, log, _) = old.wait();
    assert!(status.code() == Some(0) && log.contains("transfers under way are cut"), "{status} {log}");
    let mut rest = Vec::new();
    let cut = download.read_to_end(&mut rest);
    assert!(cut.is_err() && rest.len() < LARGE, "{cut:?} {}", rest.len());
}

/// Its end would end the new one too, with all of the container.
#[test]
fn the_first_process_of_a_container_refuses_says_what_to_do_and_goes_on() {
    let own = ["--pid", "--fork", "--kill-child"];
    let others: [&[&str]; 2] = [&[], &["--user", "--map-root-user"]];
    let permitted = |more: &&&[&str]| {
        let tried = Command::new("unshare").args(**more).args(own).arg("true").stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    let Some(more) = others.iter().find(permitted) else {
        testkit::skip::skipped("no process may be the first of its own here (unshare --pid)");
        return;
    };
    let site = site(1000);
    let mut command = Command::new("unshare");
    command.args(*more).args(own).arg(program::path()).args(["serve", text(site.path())]);
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    let mut server = Program::start_command(command);
    let first = child_of(server.id()).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{first}/status")).unwrap();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
    assert_eq!(numbers.split_whitespace().next_back(), Some("1"), "{status}");
    let signal = |signal| kill_process(Pid::from_raw(first as i32).unwrap(), signal).unwrap();
    for _ in 0..2 {
        signal(Signal::USR2);
        let log = log_until(&mut server, "no new program: this one continues as before");
        records(&log, "no new program: this one continues as before")[0].assert_says(&[(
            "error",
            "this is the first process of its container, whose end would end the new program too; replace the container",
        )]);
        assert_eq!(child_of(first), None, "no other was started");
        assert_eq!(get(server.connect(), "/a.bin", "").1.len(), 1000);
    }
    signal(Signal::TERM);
    let (status, log, error) = server.wait();
    assert_eq!((status.code(), error.as_str()), (Some(0), ""), "{log}");
}

/// A rotation of logs sends it to all processes of a service, also to one that starts or checks.
#[test]
fn a_program_that_is_no_server_yet_survives_the_signal_of_a_rotation() {
    let admin = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = command(&["health", "--admin", &admin.local_addr().unwrap().to_string()]);
    let asking = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (asked, _) = admin.accept().unwrap();
    kill_process(Pid::from_child(&asking), Signal::USR1).unwrap();
    drop((asked, admin));
    assert_eq!(asking.wait_with_output().unwrap().status.code(), Some(1), "it is not answered");
}
