//! A root whose name leads to another folder later.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use sluicegate::clock::ManualClock;
use sluicegate::http::files::{Files, Root};

use super::site::ask;

#[test]
fn the_folder_that_a_name_leads_to_now_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for (folder, text) in [("r1", "one"), ("r2", "two")] {
        fs::create_dir(at(folder)).unwrap();
        fs::write(at(folder).join("v"), text).unwrap();
    }
    symlink("r1", at("current")).unwrap();
    let clock = Arc::new(ManualClock::new());
    let files = Files::new(&at("current")).unwrap().run_on(Arc::clone(&clock) as _);
    let get = || {
        let answer = ask(&files, Method::GET, "v", &[]);
        (answer.status() == 200).then(|| answer.text().to_owned())
    };
    // At once it is still what was looked at before, and a second later what is there.
    let becomes = |was: Option<&str>, is: Option<&str>| {
        clock.advance(Duration::from_millis(999));
        assert_eq!(get().as_deref(), was, "not looked at anew");
        clock.advance(Duration::from_millis(1));
        for _ in 0..3 {
            assert_eq!(get().as_deref(), is);
        }
    };
    let fixed = Files::below(Root::new(&at("current")).unwrap());
    becomes(Some("one"), Some("one"));

    // As a deploy does it.
    symlink("r2", at("new")).unwrap();
    fs::rename(at("new"), at("current")).unwrap();
    becomes(Some("one"), Some("two"));

    // Removed, and made anew.
    fs::remove_dir_all(at("r2")).unwrap();
    becomes(None, None);
    fs::create_dir(at("r2")).unwrap();
    fs::write(at("r2/v"), "three").unwrap();
    becomes(None, Some("three"));

    // Moved away: its files are there, but not by this name.
    fs::rename(at("r2"), at("r3")).unwrap();
    becomes(Some("three"), None);
    fs::write(at("r2"), "no folder").unwrap();
    fs::remove_file(at("r2")).unwrap();
    fs::rename(at("r3"), at("r2")).unwrap();
    becomes(None, Some("three"));

    assert_eq!(ask(&fixed, Method::GET, "v", &[]).text(), "one", "a root that is given open stays");
}
