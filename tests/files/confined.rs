//! What is served, and what is as good as not there.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use http::Method;
use proptest::prelude::*;
use sluicegate::http::files::{Files, Root};

use crate::site::{Site, ask};

#[test]
fn what_is_not_served_is_not_there() {
    let site = Site::new();
    let root = site.dir.path().join("root");
    symlink("../outside", root.join("out")).unwrap();
    symlink(site.dir.path().join("outside/secret.txt"), root.join("absolute")).unwrap();
    symlink("sub/index.html", root.join("inside")).unwrap();
    let mode = rustix::fs::Mode::from(0o644);
    rustix::fs::mknodat(rustix::fs::CWD, root.join("fifo"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let _socket = UnixListener::bind(root.join("socket")).unwrap();
    let (long, deep) = ("n".repeat(256), "d/".repeat(3000));
    for path in [
        "nothing",
        ".secret",
        "%2esecret",
        "../outside/secret.txt",
        "..",
        "sub/../digits.txt",
        "sub/../../outside/secret.txt",
        "%2e%2e/outside/secret.txt",
        "%2E%2E%2Foutside%2Fsecret.txt",
        "sub/%2e%2e/%2e%2e/outside/secret.txt",
        "..%5coutside",
        "sub%5c..%5cdigits.txt",
        "/etc/passwd",
        "//etc/passwd",
        "%2fetc%2fpasswd",
        "digits.txt%00",
        "%00",
        "sub//index.html",
        "./digits.txt",
        "digits.txt/x",
        "out/secret.txt",
        "out/",
        "absolute",
        "fifo",
        "socket",
        &long,
        &deep,
    ] {
        let answer = site.get(path);
        assert_eq!(answer.status(), 404, "{path}");
        assert_eq!(answer.text(), "There is nothing here by this name.\n");
        assert_eq!(answer.field("x-content-type-options"), "nosniff");
        assert_eq!(answer.field("content-type"), "text/plain; charset=utf-8");
    }
    // Followed by the kernel's resolver, not by the walker; see `confine`.
    assert!([200, 404].contains(&site.get("inside").status()));
}

#[test]
fn without_openat2_the_same_is_served_but_for_links() {
    let site = Site::new();
    let root = site.dir.path().join("root");
    symlink("digits.txt", root.join("inside")).unwrap();
    symlink("sub", root.join("folder")).unwrap();
    symlink("../outside", root.join("out")).unwrap();
    let walking = Files::below(Root::walking(&root).unwrap());
    for (path, status) in [
        ("", 200),
        ("digits.txt", 200),
        ("sub/", 200),
        ("sub", 301),
        ("sub/index.html", 200),
        ("inside", 404),
        ("folder/index.html", 404),
        ("out/secret.txt", 404),
        ("../outside/secret.txt", 404),
        (".secret", 404),
        ("nothing", 404),
    ] {
        assert_eq!(ask(&walking, Method::GET, path, &[]).status(), status, "{path}");
    }
}

#[test]
fn an_unreadable_file_is_forbidden() {
    if rustix::process::geteuid().is_root() {
        println!("skipped: root may read every file");
        return;
    }
    let site = Site::new();
    let path = site.dir.path().join("root/digits.txt");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let answer = site.get("digits.txt");
    assert_eq!((answer.status(), answer.text()), (403, "This file may not be read.\n"));
}

/// Regressions get a test of their own, not a file of seeds.
pub fn unrecorded() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

/// Whatever is asked for, the answer is a file of ours, a redirect, or 404.
#[test]
fn no_request_gets_what_lies_outside() {
    let site = Site::new();
    symlink("../outside", site.dir.path().join("root/out")).unwrap();
    let paths = "(sub|deep|out|digits.txt|outside|secret.txt|[.]{1,3}|%2e|%2[fF]|%00|/|\\\\){0,9}";
    proptest!(unrecorded(), |(path in paths)| {
        // What no URI can hold never gets here.
        if format!("/{path}").parse::<http::Uri>().is_ok() {
            let answer = site.get(&path);
            prop_assert!([200, 301, 404].contains(&answer.status()), "{}", answer.status());
            prop_assert!(!answer.text().contains("secret"));
        }
    });
}
