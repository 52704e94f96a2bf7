//! The unit's one capability: a program of nobody binds ports below 1024, and so does the new one after SIGUSR2.

use std::fs::Permissions;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use testkit::program::{self, Program, get, log_until, text};
use testkit::records::records;
use testkit::served::connect;
use testkit::wait::until;

/// `CAP_NET_BIND_SERVICE` in the sets of `/proc/PID/status`.
const BIND: u64 = 1 << 10;

const REPLACED: &str = "draining: the new program serves; a signal stops this one at once";

/// Low ports that nobody listens on.
fn low<const N: usize>() -> [SocketAddr; N] {
    let free = (1..1024).rev().map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let bound: Vec<TcpListener> = free.filter_map(|addr| TcpListener::bind(addr).ok()).take(N).collect();
    bound.iter().map(|listener| listener.local_addr().unwrap()).collect::<Vec<_>>().try_into().unwrap()
}

/// The program as the unit starts it: of another user, with `capability` and no way to more.
fn nobodys(folder: &Path, capability: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]);
    if capability.is_empty() {
        command.args(["--inh-caps=-all", "--bounding-set=-all"]);
    } else {
        command.args(["--inh-caps", capability, "--ambient-caps", capability]);
        command.args(["--bounding-set", &format!("-all,{capability}")]);
    }
    command.arg(folder.join("sluicegate")).args(["run", text(&folder.join("site.toml"))]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The capabilities of a process: permitted, effective, the most it may ever have, and those it keeps through `exec`.
fn capabilities(pid: u32) -> [u64; 4] {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    ["CapPrm:\t", "CapEff:\t", "CapBnd:\t", "CapAmb:\t"].map(|name| {
        let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(value, 16).unwrap()
    })
}

#[test]
fn a_program_of_nobody_binds_low_ports_with_one_capability_and_so_does_the_new_one_that_takes_over() {
    if !geteuid().is_root() {
        testkit::skip::skipped("only root may give a program of another user a capability");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // The folder of the build may be hidden from others.
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    std::fs::copy(program::path(), at("sluicegate")).unwrap();
    std::fs::write(at("page"), "of a low port").unwrap();
    let [first, second] = low();
    let keys = |listen: &str| format!("listen = {listen}\n[[route]]\npath = '/'\nfiles = '.'\n");
    std::fs::write(at("site.toml"), keys(&format!("'{first}'"))).unwrap();

    let output = match nobodys(folder.path(), "").spawn() {
        Err(_) => {
            testkit::skip::skipped("no setpriv here");
            return;
        }
        Ok(mut without) => {
            // A system may let everybody bind any port: then it would go on to serve.
            until("the end without the capability, or a listener", || {
                without.try_wait().unwrap().is_some() || TcpListener::bind(first).is_err()
            });
            if without.try_wait().unwrap().is_none() {
                without.kill().unwrap();
                without.wait().unwrap();
                testkit::skip::skipped("everybody may bind low ports here");
                return;
            }
            without.wait_with_output().unwrap()
        }
    };
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && error.contains(&first.to_string()), "{error}");

    let mut old = Program::start_where_told(nobodys(folder.path(), "+net_bind_service"));
    assert_eq!(get(connect(first), "/page", "").1, b"of a low port");
    assert_eq!(capabilities(old.id()), [BIND; 4]);
    // The new one has one address from the old one, and binds the other itself.
    std::fs::write(at("site.toml"), keys(&format!("['{first}', '{second}']"))).unwrap();
    old.signal(Signal::USR2);
    let log = log_until(&mut old, REPLACED);
    let pid = records(&log, REPLACED)[0].number("pid") as u32;
    for addr in [first, second] {
        assert_eq!(get(connect(addr), "/page", "").1, b"of a low port", "{addr}");
    }
    assert_eq!(capabilities(pid), [BIND; 4]);
    kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::TERM).unwrap();
    let (status, log, error) = old.wait();
    assert_eq!((status.code(), error.as_str()), (Some(0), ""), "{log}");
}
