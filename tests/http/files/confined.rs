//! What is served, and what is as good as not there.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use http::Method;
use proptest::prelude::*;
use sluicegate::config::FollowLinks;
use sluicegate::http::files::{Files, Root};

use super::site::{Site, ask};

#[test]
fn files_that_are_not_served_get_404() {
    let site = Site::new();
    let root = site.dir.path().join("root");
    symlink("../outside", root.join("out")).unwrap();
    symlink(site.dir.path().join("outside/secret.txt"), root.join("absolute")).unwrap();
    symlink("sub/index.html", root.join("inside")).unwrap();
    let mode = rustix::fs::Mode::from(0o644);
    rustix::fs::mknodat(rustix::fs::CWD, root.join("fifo"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let _socket = UnixListener::bind(root.join("socket")).unwrap();
    let (long, deep) = ("n".repeat(256), "d/".repeat(3000));
    let absent = "nothing .secret %2esecret ../outside/secret.txt .. sub/../digits.txt \
                  sub/../../outside/secret.txt %2e%2e/outside/secret.txt %2E%2E%2Foutside%2Fsecret.txt \
                  sub/%2e%2e/%2e%2e/outside/secret.txt ..%5coutside sub%5c..%5cdigits.txt /etc/passwd \
                  //etc/passwd %2fetc%2fpasswd digits.txt%00 %00 sub//index.html ./digits.txt \
                  digits.txt/x out/secret.txt out/ absolute fifo socket";
    for path in absent.split(' ').chain([&*long, &*deep]) {
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
fn names_with_a_dot_are_hidden_but_the_well_known_one_however_they_are_reached() {
    let mut site = Site::new();
    let root = site.dir.path().join("root");
    fs::create_dir_all(root.join(".well-known/acme-challenge")).unwrap();
    fs::create_dir_all(root.join(".git")).unwrap();
    site.write("root/.well-known/acme-challenge/token", "proof");
    site.write("root/.well-known/security.txt", "Contact: mailto:a@example.org");
    site.write("root/.well-known/.hidden", "hidden");
    site.write("root/.git/config", "hidden");
    symlink(".secret", root.join("secret-link")).unwrap();
    symlink("../.git/config", root.join("sub/config")).unwrap();
    symlink(".git", root.join("git")).unwrap();
    let hidden =
        [".secret", ".git/config", ".well-known/.hidden", "secret-link", "sub/config", "git/config", "git/"];
    assert_eq!(site.get(".well-known/acme-challenge/token").text(), "proof");
    assert_eq!(site.get("%2ewell-known/security.txt").field("content-type"), "text/plain; charset=utf-8");
    for path in hidden {
        // Asked for again and again it is kept open, which must not change that.
        for _ in 0..3 {
            assert_eq!(site.get(path).status(), 404, "{path}");
        }
    }
    site.files = site.files.list(true).index("none");
    let page = site.get("").text().to_owned();
    for name in [".well-known", ".git", ".secret", "secret-link", "git/"] {
        assert!(!page.contains(name), "{name}\n{page}");
    }

    site.files = site.files.dot_files(true);
    for path in hidden {
        assert_eq!(site.get(path).status(), 200, "{path}");
    }
    let page = site.get("").text().to_owned();
    for name in [".well-known/", ".git/", ".secret", "secret-link", "git/"] {
        assert!(page.contains(&format!("href=\"{name}\"")), "{name}\n{page}");
    }
    for path in ["..", "sub/../.secret", "../outside/secret.txt", ".git/../../outside/secret.txt"] {
        assert_eq!(site.get(path).status(), 404, "{path}");
    }
}

#[test]
fn links_lead_out_of_the_root_only_where_they_may() {
    let mut site = Site::new();
    let root = site.dir.path().join("root");
    symlink("../outside", root.join("out")).unwrap();
    symlink(site.dir.path().join("outside/secret.txt"), root.join("absolute")).unwrap();
    symlink(".secret", root.join("dotted")).unwrap();
    for (links, statuses) in [(FollowLinks::Inside, [404; 3]), (FollowLinks::Anywhere, [200, 200, 404])] {
        site.files = site.files.clone().follow_links(links);
        let found = ["out/secret.txt", "absolute", "dotted"].map(|path| site.get(path).status());
        assert_eq!(found, statuses, "{links:?}");
    }
    for path in ["../outside/secret.txt", "out/../../outside/secret.txt"] {
        assert_eq!(site.get(path).status(), 404, "{path}");
    }
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
