//! What is opened below a root, and what is not.

use super::*;
use futures_lite::future::block_on;
use proptest::prelude::*;
use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;

/// A root whose files all say "inside", next to a folder whose files say "outside".
fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("root/a/b")).unwrap();
    fs::create_dir_all(at("outside/a")).unwrap();
    for name in ["root/f", "root/a/f", "root/a/b/f"] {
        fs::write(at(name), "inside").unwrap();
    }
    for name in ["f", "outside/f", "outside/a/f"] {
        fs::write(at(name), "outside").unwrap();
    }
    for (name, target) in [
        ("root/out", "../outside"),
        ("root/up", ".."),
        ("root/a/in", "../a/b"),
        ("root/a/g", "../../outside/f"),
        ("root/loop", "loop"),
        ("root/proc", "/proc/self/root"),
    ] {
        symlink(target, at(name)).unwrap();
    }
    symlink(at("outside"), at("root/abs")).unwrap();
    symlink(at("root/a"), at("root/absin")).unwrap();
    dir
}

fn content(root: &Root, path: &str) -> Option<String> {
    let below = Below::parse(path, false)?;
    match block_on(root.open(&below, Shown::default())) {
        Ok(Opened::File(mut file, _)) => {
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            Some(text)
        }
        Ok(Opened::Folder(_)) | Err(Refused::NotFound) => None,
        Err(refused) => panic!("{path}: {refused:?}"),
    }
}

#[test]
fn links_are_followed_inside_and_never_out() {
    let dir = tree();
    let root = Root::new(&dir.path().join("root")).unwrap();
    let walking = Root::walking(&dir.path().join("root")).unwrap();
    for (path, followed, walked) in [
        ("f", true, true),
        ("a/b/f", true, true),
        ("a/in/f", root.how != How::Walk, false),
        ("out/f", false, false),
        ("up/f", false, false),
        ("a/g", false, false),
        ("abs/f", false, false),
        ("absin/f", false, false),
        ("loop", false, false),
        ("proc/etc/passwd", false, false),
        ("f/f", false, false),
        ("nothing", false, false),
    ] {
        for (root, expected) in [(&root, followed), (&walking, walked)] {
            let expected = expected.then(|| "inside".to_owned());
            assert_eq!(content(root, path), expected, "{path}, {:?}", root.how);
        }
    }
}

#[test]
fn links_lead_to_no_dot_file_and_out_only_where_they_may() {
    let dir = tree();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("root/.git/objects")).unwrap();
    fs::create_dir_all(at("root/.well-known")).unwrap();
    for (name, text) in
        [("root/.secret", "hidden"), ("root/.git/config", "hidden"), ("root/.well-known/f", "known")]
    {
        fs::write(at(name), text).unwrap();
    }
    fs::write(at("outside/.o"), "outside dot").unwrap();
    for (name, target) in [
        ("root/s", ".secret"),
        ("root/g", ".git"),
        ("root/a/s", "../.git/config"),
        ("root/chain", "s"),
        ("root/by", ".git/objects/../../f"),
        ("root/known", ".well-known/f"),
        ("root/o", "../outside/.o"),
    ] {
        symlink(target, at(name)).unwrap();
    }
    let read = |root: &Root, path: &str, shown: Shown| {
        let below = Below::parse(path, shown.dot_files)?;
        let Ok(Opened::File(mut file, _)) = block_on(root.open(&below, shown)) else { return None };
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        Some(text)
    };
    let root = Root::new(&at("root")).unwrap();
    let (inside, anywhere) = (FollowLinks::Inside, FollowLinks::Anywhere);
    // With links inside and anywhere, without dot files and with them.
    for (path, expected) in [
        ("f", [Some("inside"); 4]),
        (".secret", [None, Some("hidden"), None, Some("hidden")]),
        ("s", [None, Some("hidden"), None, Some("hidden")]),
        ("g/config", [None, Some("hidden"), None, Some("hidden")]),
        ("a/s", [None, Some("hidden"), None, Some("hidden")]),
        ("chain", [None, Some("hidden"), None, Some("hidden")]),
        // Where it is, and not how it was reached.
        ("by", [Some("inside"); 4]),
        ("known", [Some("known"); 4]),
        (".well-known/f", [Some("known"); 4]),
        ("out/f", [None, None, Some("outside"), Some("outside")]),
        ("abs/a/f", [None, None, Some("outside"), Some("outside")]),
        ("absin/f", [None, None, Some("inside"), Some("inside")]),
        ("o", [None, None, Some("outside dot"), Some("outside dot")]),
        ("proc/etc/passwd", [None; 4]),
        ("loop", [None; 4]),
    ] {
        let rules = [(inside, false), (inside, true), (anywhere, false), (anywhere, true)];
        for ((links, dot_files), expected) in rules.into_iter().zip(expected) {
            let shown = Shown { dot_files, links };
            if root.how != How::Walk {
                assert_eq!(read(&root, path, shown).as_deref(), expected, "{path}, {shown:?}");
            }
        }
    }
    let walking = Root::walking(&at("root")).unwrap();
    for (path, expected) in
        [("f", Some("inside")), ("s", None), ("out/f", Some("outside")), ("known", Some("known"))]
    {
        let shown = Shown { dot_files: false, links: anywhere };
        assert_eq!(read(&walking, path, shown).as_deref(), expected, "{path}, walked");
    }
}

#[test]
fn the_walker_does_not_rest_on_its_caller() {
    let dir = tree();
    let root = Root::walking(&dir.path().join("root")).unwrap();
    for name in [c"../f", c"a/../../f", c"..", c"/etc/passwd", c"a//f", c""] {
        let error = walk(root.folder.as_fd(), name, READ).unwrap_err();
        assert_eq!(error, Errno::NOENT, "{name:?}");
    }
}

#[test]
fn a_root_is_a_folder() {
    let dir = tree();
    for (name, error) in [("f", io::ErrorKind::NotADirectory), ("none", io::ErrorKind::NotFound)] {
        assert_eq!(Root::new(&dir.path().join(name)).unwrap_err().kind(), error);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn no_path_reaches_what_lies_outside(paths in prop::collection::vec(prop::collection::vec(
        prop::sample::select(vec![
            "f", "a", "b", "in", "out", "up", "g", "abs", "absin", "outside", "root", "..", ".", "", "%2e%2e",
            "..%2f..", "%00", "proc", "loop",
        ]), 1..7), 32))
    {
        let dir = tree();
        for root in [Root::new(&dir.path().join("root")).unwrap(), Root::walking(&dir.path().join("root")).unwrap()] {
            for path in &paths {
                let path = path.join("/");
                prop_assert_ne!(content(&root, &path), Some("outside".to_owned()), "{}", path);
            }
        }
    }
}
