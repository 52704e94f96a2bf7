//! What is shipped, as others read it: systemd its units, hadolint the Dockerfile.

use std::path::{Path, PathBuf};
use std::process::Command;

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
fn hadolint_finds_nothing_in_the_dockerfile() {
    let output =
        Command::new(shipped("target/peers/bin/hadolint")).arg(shipped("Dockerfile")).output().unwrap();
    let found = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && found.is_empty(), "{found}");
}
