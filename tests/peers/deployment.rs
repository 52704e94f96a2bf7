//! What is shipped, as others read it: systemd its units, hadolint the Dockerfile, logrotate its file.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use testkit::program::Program;
use testkit::wait::{soon, until};

use crate::program::{ended, program, succeeded};

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

#[test]
fn logrotate_takes_its_configuration_and_no_line_is_lost() {
    let site = testkit::program::site(100);
    let logs = tempfile::tempdir().unwrap();
    let [log, rotated] = ["access.log", "access.log.1"].map(|name| logs.path().join(name));
    let path = log.to_str().unwrap();
    let folder = site.path().to_str().unwrap();
    let server = Program::start(&["serve", folder, "--access-log", path, "--access-log-format", "combined"]);
    let ask = |target: &str| testkit::program::get(server.connect(), target, "");
    let holds = |file: &Path, expected: &[&str]| {
        let targets = |text: String| -> Vec<String> {
            text.lines().map(|line| line.split(' ').nth(6).unwrap().to_owned()).collect()
        };
        std::fs::read_to_string(file).is_ok_and(|text| targets(text) == expected)
    };
    ask("/a.bin?1");
    until("its line", || holds(&log, &["/a.bin?1"]));
    // This user's, this folder, this server, and no service manager.
    let name = |of: &str| String::from_utf8(succeeded(Command::new("id").arg(of))).unwrap().trim().to_owned();
    let owner = format!("{} {}", name("-un"), name("-gn"));
    let shipped = std::fs::read_to_string(shipped("contrib/logrotate/sluicegate")).unwrap();
    let signal = "systemctl kill --signal=USR1 sluicegate.service";
    let changed = [("/var/log/sluicegate", logs.path().to_str().unwrap()), ("sluicegate sluicegate", &owner)];
    let text = changed.iter().fold(shipped, |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    assert!(text.contains(signal));
    let text = text.replace(signal, &format!("kill -USR1 {}", server.id()));
    let (file, state) = (site.path().join("logrotate"), site.path().join("state"));
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let rotate = |flag: &str| {
        let output = ended(Command::new(program("logrotate")).arg(flag).arg("-s").arg(&state).arg(&file));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && !said.contains("error:"), "{flag}: {said}");
        said
    };
    let tried = rotate("-d");
    assert!(tried.contains("(14 rotations)") && tried.contains(path), "{tried}");
    rotate("-f");
    until("the old lines", || holds(&rotated, &["/a.bin?1"]));
    let mut asked = 0;
    until("the file is another", || {
        ask("/a.bin?2");
        asked += 1;
        std::fs::read_to_string(&log).is_ok_and(|text| !text.is_empty())
    });
    server.end();
    let all = [rotated, log].map(|file| std::fs::read_to_string(file).unwrap()).concat();
    assert_eq!([1, 2].map(|number| all.matches(&format!("/a.bin?{number}")).count()), [1, asked], "{all}");
}
