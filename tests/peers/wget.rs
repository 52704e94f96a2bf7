//! wget: a whole site with its links, and a download that goes on where it ended.

use std::path::Path;
use std::process::Command;

use crate::program::{fixture, program, site, succeeded};
use crate::sluicegate::Sluicegate;

fn wget(folder: &Path) -> Command {
    let mut command = Command::new(program("wget"));
    command.current_dir(folder).args(["--no-config", "-nv", "--tries=1"]);
    command
}

#[test]
fn a_site_is_copied_by_its_links() {
    let folder = tempfile::tempdir().unwrap();
    let server = Sluicegate::serve(&site(), &["--rate", "8m"]);
    succeeded(wget(folder.path()).args(["-r", "-nH", "-np", &server.url("/")]));
    let mut seen = 0;
    for path in files(&site()) {
        let copy = folder.path().join(&path);
        assert!(std::fs::read(&copy).unwrap() == std::fs::read(site().join(&path)).unwrap(), "{path}");
        seen += 1;
    }
    assert!(seen >= 8);
}

#[test]
fn a_started_file_is_completed() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(fixture("site/logs/app.log")).unwrap();
    std::fs::write(folder.path().join("app.log"), &whole[..1_000_001]).unwrap();
    let server = Sluicegate::serve(&site(), &["--rate", "8m"]);
    succeeded(wget(folder.path()).args(["-c", &server.url("/logs/app.log")]));
    assert!(std::fs::read(folder.path().join("app.log")).unwrap() == whole);
    server.logged(&[("status", "206"), ("bytes", "1468418")]);
}

/// The files below a folder, as paths from there.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()).into_iter().map(|below| format!("{name}/{below}")));
        } else {
            found.push(name);
        }
    }
    found
}
