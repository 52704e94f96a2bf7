//! A file system on FUSE that answers nothing while a test wants it so.
//!
//! It is a process of its own. In the test's, a thread that waits for an answer could not be ended, and neither could the
//! process that has it to give.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, Request,
};
use rustix::process::{Signal, set_parent_process_death_signal};
use tempfile::TempDir;
use testkit::wire::content;

/// Files in the folder: `0`, `1` and so on, all with the same content.
pub const FILES: u64 = 10;

/// The length of each.
pub const LEN: usize = 2 << 20;

/// Where the process mounts, and for how many seconds the kernel keeps names and attributes.
const FOLDER: &str = "SLUICEGATE_TEST_FOLDER";
const KNOWN: &str = "SLUICEGATE_TEST_KNOWN";

/// Words on the pipes between the processes.
const MOUNTED: &str = "mounted";
const CANNOT: &str = "cannot be mounted: ";
const HANG: &str = "hang";
const ANSWER: &str = "answer";

/// The mounted file system. Dropping it has whatever waits fail, and unmounts it.
pub struct HangingDisk {
    process: Child,
    said: BufReader<std::process::ChildStdout>,
    folder: TempDir,
}

/// Has the file system answer again when it is dropped.
pub struct Hangs<'a>(&'a mut HangingDisk);

impl HangingDisk {
    /// Mounts a folder whose files have [`content`], and whose names and attributes the kernel keeps for `known`. `None` where
    /// a process may not mount one.
    pub fn mount(known: Duration) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["hanging_disk::serve", "--exact", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(KNOWN, known.as_secs().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(process.stdout.take().unwrap());
        let mut disk = Self { process, said, folder };
        let answer = disk.line_with(&[MOUNTED, CANNOT]);
        if answer.contains(CANNOT) {
            testkit::skip::skipped(&format!("it takes /dev/fuse and root to mount a file system: {answer}"));
            return None;
        }
        Some(disk)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Answers nothing from now on, until the returned value is dropped.
    pub fn hang(&mut self) -> Hangs<'_> {
        self.tell(HANG);
        Hangs(self)
    }

    /// Says a word, and waits until it has had its effect.
    fn tell(&mut self, word: &str) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{word}").unwrap();
        self.line_with(&[word]);
    }

    /// The next line with one of these in it.
    fn line_with(&mut self, words: &[&str]) -> String {
        let mut line = String::new();
        while !words.iter().any(|word| line.contains(word)) {
            line.clear();
            assert_ne!(self.said.read_line(&mut line).unwrap(), 0, "the file system ended");
        }
        line
    }
}

impl Drop for HangingDisk {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // Without its process every use of it fails, but the folder is mounted.
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).stderr(Stdio::null()).status();
    }
}

impl Drop for Hangs<'_> {
    fn drop(&mut self) {
        self.0.tell(ANSWER);
    }
}

/// Serves the file system, and hangs when told so on standard input. No test of its own: others start it.
#[test]
#[ignore = "started by other tests, as a process"]
fn serve() {
    let (Ok(folder), Ok(known)) = (std::env::var(FOLDER), std::env::var(KNOWN)) else { return };
    set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
    let gate = Arc::<Gate>::default();
    let mut config = Config::default();
    config.mount_options = vec![MountOption::RO, MountOption::FSName("hanging".to_owned())];
    let known = Duration::from_secs(known.parse().unwrap());
    let files = Files { content: content(LEN), known, gate: Arc::clone(&gate) };
    let _session = match fuser::spawn_mount(files, folder, &config) {
        Ok(session) => session,
        Err(error) => return println!("{CANNOT}{error}"),
    };
    println!("{MOUNTED}");
    for word in std::io::stdin().lines() {
        let word = word.unwrap();
        gate.set(word == HANG);
        println!("{word}");
    }
    gate.set(false);
}

/// Whether the file system hangs.
#[derive(Default)]
struct Gate {
    hangs: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn set(&self, hangs: bool) {
        *self.hangs.lock().unwrap() = hangs;
        self.changed.notify_all();
    }

    /// Waits while the file system hangs.
    fn pass(&self) {
        drop(self.changed.wait_while(self.hangs.lock().unwrap(), |hangs| *hangs).unwrap());
    }
}

struct Files {
    content: Vec<u8>,
    known: Duration,
    gate: Arc<Gate>,
}

impl Files {
    fn attributes(&self, ino: INodeNo) -> FileAttr {
        let is_folder = ino == INodeNo::ROOT;
        FileAttr {
            ino,
            size: if is_folder { 0 } else { self.content.len() as u64 },
            blocks: 1,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if is_folder { FileType::Directory } else { FileType::RegularFile },
            perm: if is_folder { 0o755 } else { 0o644 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

/// The number of a file is its name and two more: 1 is the folder's.
fn number(name: &OsStr) -> Option<INodeNo> {
    let number: u64 = name.to_str()?.parse().ok()?;
    (number < FILES).then_some(INodeNo(number + 2))
}

impl Filesystem for Files {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.gate.pass();
        match number(name) {
            Some(ino) => reply.entry(&self.known, &self.attributes(ino), Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.gate.pass();
        reply.attr(&self.known, &self.attributes(ino));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.gate.pass();
        reply.opened(FileHandle(0), FopenFlags::empty());
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.gate.pass();
        let begin = (offset as usize).min(self.content.len());
        let end = (begin + size as usize).min(self.content.len());
        reply.data(&self.content[begin..end]);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        self.gate.pass();
        reply.ok();
    }

    fn readdir(&self, _: &Request, _: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        self.gate.pass();
        for number in offset..FILES {
            let is_full =
                reply.add(INodeNo(number + 2), number + 1, FileType::RegularFile, number.to_string());
            if is_full {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        self.gate.pass();
        reply.statfs(0, 0, 0, 0, 0, 512, 255, 0);
    }
}
