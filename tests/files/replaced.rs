//! A root whose name leads to another folder later. What is seen when is the clock's and tested in `rt::Fresh`; here
//! the time is real, because a `Files` takes the process's clock, and only what is served is asserted.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use http::Method;
use sluicegate::http::files::{Files, Root};

use crate::site::{Answer, ask};

/// Asks until the answer is as expected.
#[track_caller]
fn becomes(files: &Files, path: &str, expected: impl Fn(&Answer) -> bool) {
    let began = Instant::now();
    loop {
        let answer = ask(files, Method::GET, path, &[]);
        if expected(&answer) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{} {:?}", answer.status(), answer.body);
        std::thread::yield_now();
    }
}

#[test]
fn the_folder_that_a_name_leads_to_now_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for (folder, text) in [("r1", "one"), ("r2", "two")] {
        fs::create_dir(at(folder)).unwrap();
        fs::write(at(folder).join("v"), text).unwrap();
    }
    symlink("r1", at("current")).unwrap();
    let files = Files::new(&at("current")).unwrap();
    let fixed = Files::below(Root::new(&at("current")).unwrap());
    for _ in 0..3 {
        assert_eq!(ask(&files, Method::GET, "v", &[]).text(), "one");
    }

    // As a deploy does it.
    symlink("r2", at("new")).unwrap();
    fs::rename(at("new"), at("current")).unwrap();
    becomes(&files, "v", |answer| answer.text() == "two");

    // Removed, and made anew.
    fs::remove_dir_all(at("r2")).unwrap();
    becomes(&files, "v", |answer| answer.status() == 404);
    fs::create_dir(at("r2")).unwrap();
    fs::write(at("r2/v"), "three").unwrap();
    becomes(&files, "v", |answer| answer.status() == 200 && answer.text() == "three");

    // Moved away: its files are there, but not by this name.
    fs::rename(at("r2"), at("r3")).unwrap();
    becomes(&files, "v", |answer| answer.status() == 404);
    fs::write(at("r2"), "no folder").unwrap();
    fs::remove_file(at("r2")).unwrap();
    fs::rename(at("r3"), at("r2")).unwrap();
    becomes(&files, "v", |answer| answer.status() == 200 && answer.text() == "three");

    assert_eq!(ask(&fixed, Method::GET, "v", &[]).text(), "one", "a root that is given open stays");
}
