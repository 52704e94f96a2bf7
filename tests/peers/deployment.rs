//! What is shipped, as others read it: systemd its units, hadolint the Dockerfile.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use testkit::wait::soon;

fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A folder with the units, which start the program of this build.
fn units() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let program = testkit::program::path();
    for name in ["sluicegate.service", "sluicegate.socket"] {
        let unit = std::fs::read_to_string(shipped("contrib/systemd").join(name)).unwrap();
        let unit = unit.replace("/usr/bin/sluicegate", program.to_str().unwrap());
        std::fs::write(folder.path().join(name), unit).unwrap();
    }
    folder
}

#[test]
fn systemd_takes_the_units_and_rates_the_service_ok() {
    let folder = units();
    let at = |name: &str| folder.path().join(name);
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args([at("sluicegate.service"), at("sluicegate.socket")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // Units of the machine itself may be odd.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("sluicegate")).collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");
    // 2.0 of 10: what goes beyond is the network, which it is for.
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", "--threshold=20"])
        .arg(at("sluicegate.service"))
        .output()
        .unwrap();
    let rated = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && rated.contains(" OK "), "{rated}");
}

#[test]
fn systemd_activates_it_with_the_first_connection() {
    let folder = testkit::program::site(100);
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut command = Command::new("systemd-socket-activate");
    command.args(["--listen", &addr, "--fdname=web"]).arg(testkit::program::path());
    command.arg("serve").arg(folder.path()).args(["--listen", &addr]).stderr(Stdio::null());
    let mut activated = command.spawn().unwrap();
    let stream = soon("it listens", || TcpStream::connect(&addr).ok());
    let answered = std::panic::catch_unwind(|| testkit::program::get(stream, "/a.bin", "").1.len());
    // It is the program by now.
    kill_process(Pid::from_child(&activated), Signal::TERM).unwrap();
    assert!(activated.wait().unwrap().success());
    assert_eq!(answered.unwrap(), 100);
}

#[test]
fn hadolint_finds_nothing_in_the_dockerfile() {
    let output =
        Command::new(shipped("target/peers/bin/hadolint")).arg(shipped("Dockerfile")).output().unwrap();
    let found = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && found.is_empty(), "{found}");
}
