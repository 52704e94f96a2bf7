//! One access log of two programs: the one that drains, and the one that took its place.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;

use testkit::records::record;

use super::*;

/// How often the file is moved away while both programs write.
const ROTATIONS: usize = 6;

/// Downloads that the old program has under way, each of which leaves its line when it ends.
const OLD: usize = 40 * ROTATIONS;

/// Whether the process has `path` open, and not what was there before.
fn has_open(pid: u32, path: &Path) -> bool {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    open.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|to| to == path))
}

/// How often each target is in a file, all of whose lines are whole.
fn targets(path: &Path) -> BTreeMap<String, usize> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'), "{}: {text}", path.display());
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let record = record(line).unwrap_or_else(|| panic!("{}: {line}", path.display()));
        *found.entry(record.value("target").to_owned()).or_default() += 1;
    }
    found
}

#[test]
fn two_programs_append_to_one_access_log_and_each_opens_it_anew_with_no_line_lost_or_torn() {
    let site = site(LARGE);
    let logs = tempfile::tempdir().unwrap();
    let folder = fs::canonicalize(logs.path()).unwrap();
    let [path, file] = [folder.join("access.log"), site.path().join("site.toml")];
    let [addr] = free();
    let keys = format!(
        "listen = '{addr}'\ndrain = '1h'\naccess_log = '{0}'\n[[route]]\npath = '/'\nfiles = '.'\n\
         [[route]]\npath = '/slow/'\nfiles = '.'\nrate = '1000B'\n",
        text(&path)
    );
    fs::write(&file, keys).unwrap();
    let mut old = run(&file);
    let begin = |number: usize| {
        let mut stream = connect(addr);
        write!(stream, "GET /slow/a.bin?old={number} HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        stream.read_exact(&mut [0; 20]).unwrap();
        stream
    };
    let downloads: Vec<TcpStream> = (0..OLD).map(begin).collect();
    let new = upgrade(&mut old);
    let pids = [old.id(), new.0.as_raw_nonzero().get() as u32];

    let (done, [asked, ended]) = (AtomicBool::new(false), [(); 2].map(|()| AtomicUsize::new(0)));
    let rotated: Vec<PathBuf> = (0..ROTATIONS).map(|n| folder.join(format!("access.log.{n}"))).collect();
    let answered: Vec<usize> = scope(|scope| {
        let _ending = Done(&done);
        let asking = [0, 1].map(|client| {
            let (done, asked) = (&done, &asked);
            scope.spawn(move || {
                let mut stream = testkit::wire::Client::new(connect(addr));
                let mut count = 0;
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(stream.get(&format!("/a.txt?new={client}.{count}"), "").status(), 200);
                    count += 1;
                    asked.fetch_add(1, Ordering::Relaxed);
                }
                count
            })
        });
        let (asked, ended, done) = (&asked, &ended, &done);
        scope.spawn(move || {
            for download in downloads {
                // Between answers of the new program.
                let before = asked.load(Ordering::Relaxed);
                until("the new program answers", || {
                    asked.load(Ordering::Relaxed) > before || done.load(Ordering::Relaxed)
                });
                drop(download);
                ended.fetch_add(1, Ordering::Relaxed);
            }
        });
        for (round, away) in (1..).zip(&rotated) {
            // The last downloads end behind the last time.
            until("downloads end", || ended.load(Ordering::Relaxed) >= round * OLD / (ROTATIONS + 1));
            fs::rename(&path, away).unwrap();
            old.signal(Signal::USR1);
            new.signal(Signal::USR1);
            until("both have opened it anew", || pids.iter().all(|pid| has_open(*pid, &path)));
        }
        until("all downloads have ended", || ended.load(Ordering::Relaxed) == OLD);
        done.store(true, Ordering::Relaxed);
        asking.map(|asking| asking.join().unwrap()).into()
    });
    until("the old one ends", || !old.runs());
    new.signal(Signal::TERM);
    let (status, _, error) = old.wait();
    assert_eq!((status.code(), error.as_str()), (Some(0), ""));

    let mut all = BTreeMap::new();
    for path in rotated.iter().chain([&path]) {
        let found = targets(path);
        for program in ["old=", "new="] {
            assert!(found.keys().any(|target| target.contains(program)), "{}: {program}", path.display());
        }
        found.into_iter().for_each(|(target, count)| *all.entry(target).or_default() += count);
    }
    let olds = (0..OLD).map(|number| format!("/slow/a.bin?old={number}"));
    let news = (0..2)
        .flat_map(|client| (0..answered[client]).map(move |number| format!("/a.txt?new={client}.{number}")));
    let expected: BTreeMap<String, usize> = olds.chain(news).map(|target| (target, 1)).collect();
    assert_eq!(all.len(), expected.len());
    assert_eq!(all, expected);
}
