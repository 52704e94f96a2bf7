//! Reads the pieces of file slices without blocking the executor.
//!
//! What the page cache holds is read at once, by `preadv2` with `RWF_NOWAIT`, or left to the kernel to send; for what it
//! does not hold the kernel says `EAGAIN`, and a thread of the blocking pool waits for the disk, one of those that its file
//! system [may take](super::disk).

use std::fmt;
use std::fs::File;
use std::future::Future;
use std::io::IoSliceMut;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use rustix::io::{Errno, ReadWriteFlags};

use super::at_hand::AtHand;
use super::buffers::Buffer;
use super::disk::Disk;
use super::read_way::{How, ask, give_up_preadv2, has_preadv2, known_of};
use crate::body::ReadFile;
use crate::brigade::{FileSlice, MAX_PIECE, SourceError};

/// Reads file slices piece by piece, for one body.
///
/// Between two reads it holds no bytes. Dropping it in the middle of a read leaks nothing: the pool's
/// thread finishes, and its buffer goes back to where it came from.
#[derive(Default)]
pub struct FileReader {
    /// How the file of the last read is read. The weak handle keeps its address from being used
    /// again, but not the file open.
    known: Option<(Weak<File>, How)>,
    /// What is known to be in the page cache.
    at_hand: AtHand,
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
        let is_at_once = self.note_refused(error, slice.file()) == How::AtOnce;
        is_at_once.then(|| read(slice, want, ReadWriteFlags::empty()))
    }

    /// Notes why a read that must not wait failed; returns how the file is read from now on.
    fn note_refused(&mut self, error: Errno, file: &Arc<File>) -> How {
        match error {
            Errno::NOTSUP | Errno::INVAL => {
                let how = known_of(file).unwrap_or(How::Ask);
                self.known = Some((Arc::downgrade(file), how));
            }
            Errno::NOSYS | Errno::PERM => give_up_preadv2(error),
            // Not in the page cache; or whatever it is, a plain read meets it again and has the last word.
            _ => {}
        }
        self.how(file)
    }

    /// Whether the page at `offset` is in the page cache.
    fn is_cached(&mut self, file: &Arc<File>, offset: u64) -> bool {
        let mut byte = [0; 1];
        match rustix::io::preadv2(file, &mut [IoSliceMut::new(&mut byte)], offset, ReadWriteFlags::NOWAIT) {
            Ok(read) => read == 1,
            Err(error) => self.note_refused(error, file) == How::AtOnce,
        }
    }

    fn how(&self, file: &Arc<File>) -> How {
        match &self.known {
            _ if !has_preadv2() => How::Pool,
            Some((known, how)) if is_same(known, file) => *how,
            _ => How::NoWait,
        }
    }
}

impl ReadFile for FileReader {
    /// Asks the page cache for some of the slice's pages, or of those behind it; see `AtHand::has`.
    fn is_at_hand(&mut self, slice: &FileSlice) -> bool {
        let file = slice.file();
        if self.pending.is_some() || slice.is_empty() {
            return false;
        }
        match self.how(file) {
            How::AtOnce => true,
            How::NoWait => {
                let mut at_hand = self.at_hand;
                let has = at_hand.has(Arc::as_ptr(file) as usize, slice, |at| self.is_cached(file, at));
                self.at_hand = at_hand;
                has
            }
            How::Pool | How::Ask => false,
        }
    }

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
        let outcome = Box::pin(Disk::of(slice.file()).blocking(move || {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::at_hand::MAX_GAP;
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
        FileReader { known: Some((Arc::downgrade(slice.file()), how)), ..FileReader::new() }
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
        assert_eq!(known_of(slice.file()), Some(How::AtOnce));
    }

    #[test]
    fn bytes_outside_the_page_cache_are_read_from_the_disk() {
        let content = pattern(300_000);
        let slice = slice(&content);
        slice.file().sync_all().unwrap();
        rustix::fs::fadvise(slice.file(), 0, None, rustix::fs::Advice::DontNeed).unwrap();
        assert_eq!(all(&mut FileReader::new(), slice), content);
    }

    /// Whether the file system says which pages it has.
    fn tells(file: &Arc<File>) -> bool {
        let mut reader = FileReader::new();
        let told = reader.is_cached(file, 0);
        assert!(told || reader.how(file) != How::NoWait, "it was just written");
        told && reader.how(file) == How::NoWait
    }

    #[test]
    fn a_slice_is_at_hand_if_its_pages_are_and_the_file_has_them() {
        let slice = slice(&pattern(200_000));
        if !tells(slice.file()) {
            println!("skipped: the file system does not say which pages it has");
            return;
        }
        let at = |offset, len| FileSlice::new(Arc::clone(slice.file()), offset, len);
        let at_hand = |slice: &FileSlice| FileReader::new().is_at_hand(slice);
        for (offset, len, expected) in [
            (0, 200_000, true),
            (4095, 2, true),
            (199_999, 1, true),
            (0, 200_001, false),
            (200_000, 1, false),
            (7, 0, false),
        ] {
            assert_eq!(at_hand(&at(offset, len)), expected, "{len} from {offset}");
        }
        slice.file().sync_all().unwrap();
        for advice in [rustix::fs::Advice::Random, rustix::fs::Advice::DontNeed] {
            rustix::fs::fadvise(slice.file(), 0, None, advice).unwrap();
        }
        assert!(!at_hand(&slice), "evicted");
        // Random: only the page that was read comes back.
        for offset in [0, 2 * MAX_GAP] {
            rustix::io::pread(slice.file(), &mut [0; 1][..], offset).unwrap();
        }
        assert!(at_hand(&at(0, 4096)));
        assert!(!at_hand(&at(0, 2 * MAX_GAP + 1)), "the middle is missing");
    }

    #[test]
    fn while_a_slice_is_being_read_it_is_not_at_hand() {
        let slice = slice(b"abc");
        let pending = Some(Pending::start(&slice, 3, How::Pool));
        let mut reader = FileReader { pending, ..FileReader::new() };
        assert!(!reader.is_at_hand(&slice));
        assert_eq!(next(&mut reader, &slice).unwrap(), b"abc"[..]);
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
        drop(FileReader { pending: Some(Pending::start(&rest, 9, How::Pool)), ..FileReader::new() });

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
