//! System calls that a kernel, a sandbox or a file system refuses: files come all the same, and the log says so once.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use testkit::folder::folder;
use testkit::program::{Program, get, path};
use testkit::records;
use testkit::wire::content;

/// Several chunks of 200 ms at the route's rate, and several pieces of 60 KiB.
const LEN: usize = 700_001;

/// Refused calls as `number:errno`, and the arguments of the program to start with them refused.
const REFUSED: &str = "SLUICEGATE_TEST_REFUSED";
const ARGUMENTS: &str = "SLUICEGATE_TEST_ARGUMENTS";

const SENDFILE: i64 = libc::SYS_sendfile;
const PREADV2: i64 = libc::SYS_preadv2;
const OPENAT2: i64 = libc::SYS_openat2;
const STATX: i64 = libc::SYS_statx;

const NO_SENDFILE: &str = "this kernel or sandbox has no sendfile: files are read and written";
const REFUSES_SENDFILE: &str = "a file system refuses sendfile: its files are read and written";
const NO_PREADV2: &str = "this kernel or sandbox has no preadv2: files are read on the blocking pool";
const NO_NOWAIT: &str =
    "a file system does not say what the page cache has: its files are read on the blocking pool";
const NO_OPENAT2: &str =
    "this kernel or sandbox has no openat2: paths are walked, symbolic links are not followed";

/// Turns this process into the program, with system calls refused. No test of its own: others start it.
#[test]
#[ignore = "started by other tests, as a process"]
fn turn_into_the_program() {
    let (Ok(refused), Ok(arguments)) = (std::env::var(REFUSED), std::env::var(ARGUMENTS)) else { return };
    let calls: Vec<(i64, u32)> = refused
        .split_whitespace()
        .map(|call| call.split_once(':').unwrap())
        .map(|(call, errno)| (call.parse().unwrap(), errno.parse().unwrap()))
        .collect();
    for (call, errno) in calls {
        let rules = [(call, vec![])].into_iter().collect();
        let arch = std::env::consts::ARCH.try_into().unwrap();
        let filter =
            SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno), arch).unwrap();
        seccompiler::apply_filter(&BpfProgram::try_from(filter).unwrap()).unwrap();
    }
    let error = Command::new(path()).args(arguments.split('\n')).exec();
    panic!("{}: {error}", path().display());
}

/// Starts the program on a folder with these calls refused.
fn start(folder: &str, refused: &[(i64, i32)]) -> Program {
    let refused: Vec<_> = refused.iter().map(|(call, errno)| format!("{call}:{errno}")).collect();
    let arguments = ["serve", folder, "--rate", "2m", "--listen", "127.0.0.1:0"];
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["refused::turn_into_the_program", "--exact", "--ignored", "--nocapture"])
        .env(REFUSED, refused.join(" "))
        .env(ARGUMENTS, arguments.join("\n"))
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    Program::start_where_told(command)
}

/// Files come whole with these calls refused, and the log says only `said`, once each.
#[track_caller]
fn assert_served(folder: &str, refused: &[(i64, i32)], said: &[&str]) {
    let mut program = start(folder, refused);
    for _ in 0..2 {
        let (head, body) = get(program.connect(), "/large", "");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body == content(LEN), "{refused:?}: {head}");
        let (head, body) = get(program.connect(), "/large", "Range: bytes=100001-500000\r\n");
        assert!(head.starts_with("HTTP/1.1 206 ") && body == content(LEN)[100_001..=500_000], "{refused:?}");
        let (head, body) = get(program.connect(), "/small", "");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body == b"small", "{refused:?}: {head}");
    }
    program.signal(Signal::TERM);
    let mut log = String::new();
    program.log.take().unwrap().read_to_string(&mut log).unwrap();
    let all = [program.started.clone(), log.lines().map(records::message).collect()].concat();
    let mut found: Vec<&str> = all
        .iter()
        .map(String::as_str)
        .filter(|line| line.contains("sandbox") || line.contains("file system"))
        .collect();
    found.sort_unstable();
    let mut said = said.to_vec();
    said.sort_unstable();
    assert_eq!(found, said, "{refused:?}: {all:#?}");
}

#[test]
fn files_come_whole_whatever_is_refused_and_the_log_says_so_once() {
    let folder = folder(&[("large", &content(LEN)), ("small", b"small")]);
    let folder = folder.path().to_str().unwrap();
    let (perm, nosys, inval, notsup, acces) =
        (libc::EPERM, libc::ENOSYS, libc::EINVAL, libc::EOPNOTSUPP, libc::EACCES);
    assert_served(folder, &[], &[]);
    for errno in [perm, nosys] {
        assert_served(folder, &[(SENDFILE, errno)], &[NO_SENDFILE]);
        assert_served(folder, &[(PREADV2, errno)], &[NO_PREADV2]);
        assert_served(folder, &[(OPENAT2, errno)], &[NO_OPENAT2]);
        assert_served(folder, &[(STATX, errno)], &[]);
    }
    for errno in [inval, notsup, acces] {
        assert_served(folder, &[(SENDFILE, errno)], &[REFUSES_SENDFILE]);
    }
    assert_served(folder, &[(PREADV2, notsup)], &[NO_NOWAIT]);
    assert_served(folder, &[(PREADV2, inval)], &[NO_NOWAIT]);
    // What is in the page cache cannot be asked then, so nothing is sent unread.
    let all = [(SENDFILE, nosys), (PREADV2, nosys), (OPENAT2, nosys), (STATX, nosys)];
    assert_served(folder, &all, &[NO_PREADV2, NO_OPENAT2]);
}

#[test]
fn files_in_memory_come_whole_whatever_is_refused() {
    let Ok(folder) = tempfile::tempdir_in("/dev/shm") else {
        testkit::skip::skipped("no /dev/shm here");
        return;
    };
    std::fs::write(folder.path().join("large"), content(LEN)).unwrap();
    std::fs::write(folder.path().join("small"), "small").unwrap();
    let folder = folder.path().to_str().unwrap();
    assert_served(folder, &[], &[]);
    assert_served(folder, &[(SENDFILE, libc::EINVAL)], &[REFUSES_SENDFILE]);
    assert_served(folder, &[(PREADV2, libc::EPERM)], &[NO_PREADV2]);
}
