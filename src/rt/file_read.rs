//! Reads the pieces of file slices without blocking the executor.
//!
//! What the page cache holds is read at once, by `preadv2` with `RWF_NOWAIT`; for what it does not
//! hold the kernel says `EAGAIN`, and a thread of the blocking pool waits for the disk.
//!
//! Not every file system knows `RWF_NOWAIT` (overlayfs, on which most containers stand, and tmpfs do
//! not). The refusal says nothing about the file system, so it is asked once which one it is:
//! - one that lives in memory (tmpfs, ramfs) is read at once, by a plain `pread`. There is no device
//!   to wait for; a page that was swapped out costs what any page of our own memory would.
//! - of all others every read goes to the pool.

use std::fmt;
use std::fs::File;
use std::future::Future;
use std::io::IoSliceMut;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use rustix::fs::{AtFlags, StatxFlags};
use rustix::io::{Errno, ReadWriteFlags};

use super::blocking;
use super::buffers::Buffer;
use crate::body::ReadFile;
use crate::brigade::{FileSlice, MAX_PIECE, SourceError};
use crate::sync::Mutex;

/// Whether `preadv2` was found to be missing: an old kernel, or a sandbox.
static NO_PREADV2: AtomicBool = AtomicBool::new(false);

/// What is known of file systems that refuse `RWF_NOWAIT`.
static REFUSING: Mutex<Vec<Device>> = Mutex::new(Vec::new());

/// How many file systems are remembered. Few servers read from more than one or two; one that is not
/// remembered is asked again, on the pool, where that costs little.
const REMEMBERED: usize = 16;

/// `f_type` of file systems that live in memory, from the kernel's `linux/magic.h`.
const TMPFS_MAGIC: u64 = 0x0102_1994;
const RAMFS_MAGIC: u64 = 0x8584_58f6;

/// A file system that refuses `RWF_NOWAIT`, by its device number.
///
/// The kernel may give the number of an unmounted file system to a later one. At worst that one's
/// reads then go the other way, at once or over the pool, and give the same bytes.
struct Device {
    major: u32,
    minor: u32,
    /// [`How::AtOnce`] or [`How::Pool`].
    how: How,
}

/// How the reads of one open file are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// With `RWF_NOWAIT`, and on the pool what is not in the page cache.
    NoWait,
    /// At once: the file lives in memory.
    AtOnce,
    /// On the pool.
    Pool,
    /// On the pool, which is to find out how the next read is done.
    Ask,
}

/// Reads file slices piece by piece, for one body.
///
/// Between two reads it holds no bytes. Dropping it in the middle of a read leaks nothing: the pool's
/// thread finishes, and its buffer goes back to where it came from.
#[derive(Default)]
pub struct FileReader {
    /// How the file of the last read is read. The weak handle keeps its address from being used
    /// again, but not the file open.
    known: Option<(Weak<File>, How)>,
    pending: Option<Pending>,
}

/// A read that the pool is doing.
struct Pending {
    file: Weak<File>,
    offset: u64,
    outcome: Pin<Box<dyn Future<Output = Outcome> + Send>>,
}

/// What a read on the pool gave, and how the next read of the same file is done.
type Outcome = (Result<Bytes, Errno>, How);

impl FileReader {
    /// A reader that has read nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads without waiting; `None` if that cannot be done.
    fn read_now(&mut self, slice: &FileSlice, want: usize) -> Option<Result<Bytes, Errno>> {
        let flags = match self.how(slice.file()) {
            How::NoWait => ReadWriteFlags::NOWAIT,
            How::AtOnce => ReadWriteFlags::empty(),
            How::Pool | How::Ask => return None,
        };
        let error = match read(slice, want, flags) {
            Ok(bytes) => return Some(Ok(bytes)),
            Err(error) => error,
        };
        match error {
            Errno::AGAIN => {}
            Errno::NOTSUP => {
                let how = device(slice.file()).and_then(remembered).unwrap_or(How::Ask);
                self.known = Some((Arc::downgrade(slice.file()), how));
                if how == How::AtOnce {
                    return Some(read(slice, want, ReadWriteFlags::empty()));
                }
            }
            Errno::NOSYS | Errno::PERM => give_up_preadv2(error),
            // Whatever it is, a plain read meets it again and has the last word.
            _ => {}
        }
        None
    }

    fn how(&self, file: &Arc<File>) -> How {
        match &self.known {
            _ if NO_PREADV2.load(Ordering::Relaxed) => How::Pool,
            Some((known, how)) if is_same(known, file) => *how,
            _ => How::NoWait,
        }
    }
}

impl ReadFile for FileReader {
    /// Reads at once what needs no waiting, and else on the blocking pool.
    fn poll_read(&mut self, cx: &mut Context<'_>, slice: &FileSlice) -> Poll<Result<Bytes, SourceError>> {
        // At most MAX_PIECE, so it is a usize.
        let want = slice.len().min(MAX_PIECE) as usize;
        if want == 0 {
            return Poll::Ready(Ok(Bytes::new()));
        }
        let pending = match self.pending.take() {
            Some(pending) if pending.is_for(slice) => self.pending.insert(pending),
            _ => match self.read_now(slice, want) {
                Some(result) => return Poll::Ready(checked(result, slice)),
                None => self.pending.insert(Pending::start(slice, want, self.how(slice.file()))),
            },
        };
        let (result, how) = ready!(pending.outcome.as_mut().poll(cx));
        self.pending = None;
        self.known = Some((Arc::downgrade(slice.file()), how));
        // The slice may have got shorter since the read began: what is too much is read again later.
        Poll::Ready(checked(result, slice).map(|mut bytes| {
            bytes.truncate(want);
            bytes
        }))
    }
}

impl fmt::Debug for FileReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = self.known.as_ref().map(|(_, how)| how);
        f.debug_struct("FileReader").field("how", &how).field("reading", &self.pending.is_some()).finish()
    }
}

impl Pending {
    fn start(slice: &FileSlice, want: usize, how: How) -> Self {
        let (file, offset) = (Arc::downgrade(slice.file()), slice.offset());
        let slice = slice.clone();
        let outcome = Box::pin(blocking(move || {
            let how = if how == How::Ask { ask(slice.file()) } else { how };
            (read_waiting(&slice, want), how)
        }));
        Self { file, offset, outcome }
    }

    fn is_for(&self, slice: &FileSlice) -> bool {
        self.offset == slice.offset() && is_same(&self.file, slice.file())
    }
}

fn is_same(known: &Weak<File>, file: &Arc<File>) -> bool {
    std::ptr::eq(known.as_ptr(), Arc::as_ptr(file))
}

/// Remembers that there is no `preadv2`, and says so the first time.
fn give_up_preadv2(error: Errno) {
    if !NO_PREADV2.swap(true, Ordering::Relaxed) {
        log::warn!("this kernel or sandbox has no preadv2 ({error}): files are read on the blocking pool");
    }
}

/// One `preadv2`, repeated only when a signal came between.
fn read(slice: &FileSlice, want: usize, flags: ReadWriteFlags) -> Result<Bytes, Errno> {
    let mut buffer = Buffer::take(want);
    loop {
        let space = IoSliceMut::new(buffer.space(want));
        match rustix::io::preadv2(slice.file(), &mut [space], slice.offset(), flags) {
            Err(Errno::INTR) => {}
            result => return result.map(|filled| buffer.freeze(filled)),
        }
    }
}

/// One `pread`, which every kernel has, repeated only when a signal came between.
fn read_waiting(slice: &FileSlice, want: usize) -> Result<Bytes, Errno> {
    let mut buffer = Buffer::take(want);
    loop {
        match rustix::io::pread(slice.file(), &mut *buffer.space(want), slice.offset()) {
            Err(Errno::INTR) => {}
            result => return result.map(|filled| buffer.freeze(filled)),
        }
    }
}

/// Zero bytes before the slice's end are no success: the client was promised more.
fn checked(result: Result<Bytes, Errno>, slice: &FileSlice) -> Result<Bytes, SourceError> {
    match result {
        Ok(bytes) if bytes.is_empty() => Err(SourceError::new(format!(
            "file shrank while it was served: it ends before byte {}, {} bytes short of what was promised",
            slice.offset(),
            slice.len()
        ))),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(SourceError::new(format!("cannot read at byte {}: {error}", slice.offset()))),
    }
}

/// What is known of a file system that refused.
fn remembered((major, minor): (u32, u32)) -> Option<How> {
    let table = REFUSING.lock();
    table.iter().find(|known| (known.major, known.minor) == (major, minor)).map(|known| known.how)
}

/// Asks in which file system the file lives, and remembers the answer. May wait.
fn ask(file: &File) -> How {
    let in_memory = rustix::fs::fstatfs(file)
        .is_ok_and(|stat| matches!(stat.f_type as u64 & 0xffff_ffff, TMPFS_MAGIC | RAMFS_MAGIC));
    let how = if in_memory { How::AtOnce } else { How::Pool };
    if let Some((major, minor)) = device(file) {
        let mut table = REFUSING.lock();
        if table.len() < REMEMBERED && !table.iter().any(|known| (known.major, known.minor) == (major, minor))
        {
            table.push(Device { major, minor, how });
        }
    }
    how
}

/// The device number, from what the kernel has at hand: a network file system is not asked.
fn device(file: &File) -> Option<(u32, u32)> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let stat = rustix::fs::statx(file, c"", flags, StatxFlags::TYPE).ok()?;
    Some((stat.stx_dev_major, stat.stx_dev_minor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_fn};
    use std::io::Write;

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at % 251) as u8).collect()
    }

    fn slice_of(mut file: File, content: &[u8]) -> FileSlice {
        file.write_all(content).unwrap();
        FileSlice::new(Arc::new(file), 0, content.len() as u64)
    }

    fn slice(content: &[u8]) -> FileSlice {
        slice_of(tempfile::tempfile().unwrap(), content)
    }

    fn reader(slice: &FileSlice, how: How) -> FileReader {
        FileReader { known: Some((Arc::downgrade(slice.file()), how)), pending: None }
    }

    fn next(reader: &mut FileReader, slice: &FileSlice) -> Result<Bytes, SourceError> {
        block_on(poll_fn(|cx| reader.poll_read(cx, slice)))
    }

    fn all(reader: &mut FileReader, mut slice: FileSlice) -> Vec<u8> {
        let mut all = Vec::new();
        while !slice.is_empty() {
            let bytes = next(reader, &slice).unwrap();
            assert!(!bytes.is_empty() && bytes.len() as u64 <= MAX_PIECE);
            all.extend_from_slice(&bytes);
            let _read = slice.split_to(bytes.len() as u64);
        }
        all
    }

    #[test]
    fn every_way_gives_the_same_bytes() {
        let content = pattern(150_001);
        let slice = slice(&content);
        for how in [How::NoWait, How::AtOnce, How::Pool, How::Ask] {
            assert_eq!(all(&mut reader(&slice, how), slice.clone()), content, "{how:?}");
        }
        assert_eq!(all(&mut FileReader::new(), slice), content);
    }

    #[test]
    fn a_file_in_memory_is_read_at_once_after_one_question() {
        let Ok(file) = tempfile::tempfile_in("/dev/shm") else {
            println!("skipped: no /dev/shm here");
            return;
        };
        let content = pattern(70_000);
        let slice = slice_of(file, &content);
        let mut reader = reader(&slice, How::Ask);
        assert_eq!(all(&mut reader, slice.clone()), content);
        assert_eq!(reader.how(slice.file()), How::AtOnce);
        assert_eq!(device(slice.file()).and_then(remembered), Some(How::AtOnce));
    }

    #[test]
    fn what_the_page_cache_lost_comes_from_the_disk() {
        let content = pattern(300_000);
        let slice = slice(&content);
        slice.file().sync_all().unwrap();
        rustix::fs::fadvise(slice.file(), 0, None, rustix::fs::Advice::DontNeed).unwrap();
        assert_eq!(all(&mut FileReader::new(), slice), content);
    }

    #[test]
    fn a_file_that_shrank_is_an_error_that_says_where() {
        for how in [How::NoWait, How::Pool] {
            let mut slice = slice(&pattern(1000));
            slice.file().set_len(600).unwrap();
            let mut reader = reader(&slice, how);
            assert_eq!(next(&mut reader, &slice).unwrap().len(), 600, "what is left comes first");
            let _read = slice.split_to(600);
            let error = next(&mut reader, &slice).unwrap_err().to_string();
            assert!(error.contains("shrank") && error.contains("byte 600, 400 bytes short"), "{error}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let unreadable = File::options().write(true).open(file.path()).unwrap();
        let slice = FileSlice::new(Arc::new(unreadable), 7, 10);
        let error = next(&mut FileReader::new(), &slice).unwrap_err().to_string();
        assert!(error.starts_with("cannot read at byte 7: "), "{error}");
    }

    #[test]
    fn a_read_in_progress_may_be_dropped_or_asked_for_anew() {
        let content = pattern(200_000);
        let mut rest = slice(&content);
        let mut reader = reader(&rest, How::Pool);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        drop(FileReader { known: reader.known.clone(), pending: Some(Pending::start(&rest, 9, How::Pool)) });

        let _ = reader.poll_read(&mut cx, &rest);
        let head = rest.clone().split_to(10);
        assert_eq!(next(&mut reader, &head).unwrap(), content[..10], "the slice got shorter meanwhile");

        let _ = reader.poll_read(&mut cx, &rest);
        let _skipped = rest.split_to(100_000);
        let bytes = next(&mut reader, &rest).unwrap();
        assert_eq!(bytes, content[100_000..100_000 + bytes.len()], "another place is another read");
    }

    #[test]
    fn one_reader_serves_one_file_after_another() {
        let mut reader = FileReader::new();
        for content in [&b"one"[..], b"two", b"three"] {
            assert_eq!(all(&mut reader, slice(content)), content);
        }
        assert!(next(&mut reader, &slice(b"")).unwrap().is_empty());
    }
}
