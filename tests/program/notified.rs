//! What a service manager is told.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;
use testkit::program::{Program, command, log_until, site, text};

/// A service manager's socket.
struct Manager(UnixDatagram);

impl Manager {
    fn next(&self) -> String {
        let mut message = [0; 4096];
        let n = self.0.recv(&mut message).unwrap();
        String::from_utf8(message[..n].to_vec()).unwrap()
    }

    /// The next message that is not the watchdog's.
    fn state(&self) -> String {
        std::iter::repeat_with(|| self.next()).find(|message| message != "WATCHDOG=1\n").unwrap()
    }
}

#[test]
fn a_service_manager_knows_when_it_serves_reloads_changes_and_ends() {
    let site = site(100);
    let file = site.path().join("site.toml");
    let keys = "listen = '127.0.0.1:0'\ndrain = '7s'\n[[route]]\npath = '/'\nfiles = '.'\n";
    std::fs::write(&file, keys).unwrap();
    let path = site.path().join("notify");
    let manager = Manager(UnixDatagram::bind(&path).unwrap());
    manager.0.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut command = command(&["run", text(&file)]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000").env_remove("WATCHDOG_PID");
    let mut program = Program::start_where_told(command);
    assert_eq!(manager.state(), "READY=1\nSTATUS=serving\nWATCHDOG=1\n");

    program.signal(Signal::HUP);
    let reloading = manager.state();
    let (before, time) = reloading.split_once("MONOTONIC_USEC=").unwrap();
    assert_eq!(before, "RELOADING=1\nSTATUS=reloading\n");
    assert!(time.trim_end().parse::<u64>().is_ok(), "{time}");
    assert_eq!(manager.state(), "READY=1\nSTATUS=serving\nWATCHDOG=1\n");
    std::fs::write(&file, "ratee = 1").unwrap();
    program.signal(Signal::HUP);
    assert!(manager.state().starts_with("RELOADING=1\n"));
    let failed = manager.state();
    assert!(
        failed.starts_with("READY=1\nSTATUS=serving; not reloaded: ") && failed.contains("site.toml"),
        "{failed}"
    );

    program.signal(Signal::USR2);
    let failed = manager.state();
    assert!(
        failed.starts_with("STATUS=serving; no new program: ") && failed.contains("site.toml"),
        "{failed}"
    );

    assert_eq!(manager.next(), "WATCHDOG=1\n");
    assert_eq!(manager.next(), "WATCHDOG=1\n");
    std::fs::write(&file, keys).unwrap();
    program.signal(Signal::USR2);
    let main = manager.state();
    assert!(main.ends_with("\nSTATUS=serving\nWATCHDOG=1\n"), "{main}");
    let pid: i32 = main.strip_prefix("MAINPID=").unwrap().lines().next().unwrap().parse().unwrap();
    assert_eq!(manager.state(), "READY=1\nSTATUS=serving\nWATCHDOG=1\n");
    log_until(&mut program, "draining: the new program serves");
    let new = |signal| {
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
    };
    std::fs::write(&file, keys.replace("7s", "3s")).unwrap();
    new(Signal::HUP);
    assert!(manager.state().starts_with("RELOADING=1\n"));
    assert_eq!(manager.state(), "READY=1\nSTATUS=serving\nWATCHDOG=1\n");
    new(Signal::TERM);
    assert_eq!(manager.state(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=13000000\nSTATUS=draining\n");
    let (status, _, error) = program.wait();
    assert_eq!((status.code(), error.as_str()), (Some(0), ""));
}
