//! Files that are asked for again and again are kept open, and an answer is always with what its name
//! leads to.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::site::Site;

/// For how long a file must have been left alone before it is kept open.
const SETTLED: Duration = Duration::from_secs(2);

/// Only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until a file counts as left alone. That is told from the time its file system gave it, which nobody
/// can set.
fn settle(path: &Path) {
    let metadata = fs::metadata(path).unwrap();
    let changed = UNIX_EPOCH + Duration::new(metadata.ctime() as u64, metadata.ctime_nsec() as u32);
    while let Ok(left) = (changed + SETTLED).duration_since(SystemTime::now()) {
        std::thread::sleep(left + Duration::from_millis(1));
    }
}

/// How many descriptors this process has of a file.
fn open(file: (u64, u64)) -> usize {
    let all =
        fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::metadata(entry.ok()?.path()).ok());
    all.filter(|metadata| (metadata.dev(), metadata.ino()) == file).count()
}

type Change = fn(&Path, &Path);

#[test]
fn a_cached_file_is_the_one_its_name_leads_to() {
    let site = Site::new();
    let cases: &[(&str, Change, (u16, &str))] = &[
        ("same", |_, _| {}, (200, "0123456789")),
        ("rewritten", |_, path| fs::write(path, "9876543210").unwrap(), (200, "9876543210")),
        (
            "appended",
            |_, path| File::options().append(true).open(path).unwrap().write_all(b"ab").unwrap(),
            (200, "0123456789ab"),
        ),
        ("cut", |_, path| File::options().write(true).open(path).unwrap().set_len(0).unwrap(), (200, "")),
        ("removed", |_, path| fs::remove_file(path).unwrap(), (404, "There is nothing here by this name.\n")),
        (
            "replaced",
            |root, path| {
                fs::write(root.join("new"), "new").unwrap();
                fs::rename(root.join("new"), path).unwrap();
            },
            (200, "new"),
        ),
        (
            "a folder now",
            |_, path| {
                fs::remove_file(path).unwrap();
                fs::create_dir(path).unwrap();
            },
            (301, "This is a folder: its address ends in a slash.\n"),
        ),
        (
            "a link out now",
            |root, path| {
                fs::rename(path, root.join("../outside/moved")).unwrap();
                symlink("../../outside/moved", path).unwrap();
            },
            (404, "There is nothing here by this name.\n"),
        ),
        (
            "in a folder that is a link out now",
            |root, path| {
                fs::rename(path.parent().unwrap(), root.join("../outside/folder")).unwrap();
                symlink("../outside/folder", path.parent().unwrap()).unwrap();
            },
            (404, "There is nothing here by this name.\n"),
        ),
    ];
    let root = site.dir.path().join("root");
    let prepared: Vec<(String, PathBuf, (u64, u64))> = cases
        .iter()
        .map(|(what, ..)| {
            let name = format!("{}/f", what.replace(' ', "-"));
            let path = root.join(&name);
            fs::create_dir(path.parent().unwrap()).unwrap();
            site.write(&format!("root/{name}"), "0123456789");
            let metadata = fs::metadata(&path).unwrap();
            (name, path, (metadata.dev(), metadata.ino()))
        })
        .collect();
    settle(&prepared.last().unwrap().1);
    for ((what, change, (status, text)), (name, path, file)) in cases.iter().zip(&prepared) {
        let ask = || {
            let answer = site.get(name);
            assert_eq!((answer.status(), answer.text()), (200, "0123456789"), "{what}");
            open(*file)
        };
        assert_eq!(ask(), 0, "{what}: asked for once");
        let began = Instant::now();
        while ask() == 0 {
            assert!(began.elapsed() < PATIENCE, "{what}: it is not kept open");
        }
        change(&root, path);
        let answer = site.get(name);
        assert_eq!((answer.status(), answer.text()), (*status, *text), "{what}");
        assert!(*what == "same" || open(*file) == 0, "{what}: what it was is open still");
        let again = site.get(name);
        assert_eq!((again.status(), again.text()), (*status, *text), "{what}, again");
    }
    drop(site);
    assert!(prepared.iter().all(|(.., file)| open(*file) == 0));
}

#[test]
fn a_kept_file_is_answered_with_as_one_just_opened() {
    let site = Site::new();
    let path = site.dir.path().join("root/digits.txt");
    settle(&path);
    let tag = site.get("digits.txt").field("etag").to_owned();
    let requests: [&[(&str, &str)]; 5] = [
        &[],
        &[("range", "bytes=2-4")],
        &[("range", "bytes=0-0,-1")],
        &[("if-none-match", &tag)],
        &[("if-match", "\"x\"")],
    ];
    let fresh = requests.map(|fields| Site::answer_of(&path, fields));
    assert_eq!(site.get("digits.txt").text(), "0123456789");
    for (fields, fresh) in requests.iter().zip(fresh) {
        let kept = site.ask(http::Method::GET, "digits.txt", fields);
        assert_eq!(kept.status(), fresh.status(), "{fields:?}");
        let named = |answer: &super::site::Answer| {
            let fields = answer.head.headers.iter().map(|(name, value)| (name.clone(), value.clone()));
            // Each has a boundary of its own.
            fields.filter(|(name, _)| name != "content-type").collect::<Vec<_>>()
        };
        assert_eq!(named(&kept), named(&fresh), "{fields:?}");
    }
}

// The superuser may read everything.
#[test]
fn a_kept_file_that_may_not_be_read_any_more_is_not_given() {
    let site = Site::new();
    let path = site.dir.path().join("root/digits.txt");
    settle(&path);
    assert!((0..3).all(|_| site.get("digits.txt").status() == 200));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let may = File::open(&path).is_ok();
    assert_eq!(site.get("digits.txt").status(), if may { 200 } else { 403 });
}
