//! How files are read that `preadv2` with `RWF_NOWAIT` refuses.
//!
//! Not every file system knows `RWF_NOWAIT` (overlayfs, on which most containers stand, and tmpfs do
//! not). The refusal says nothing about the file system, so it is asked once which one it is:
//! - one that lives in memory (tmpfs, ramfs) is read at once, by a plain `pread`. There is no device
//!   to wait for; a page that was swapped out costs what any page of our own memory would.
//! - of all others every read goes to the pool.

use std::fs::File;
use std::io::IoSliceMut;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::disk::Disk;
use crate::sync::Mutex;

/// Whether `preadv2` was found to be missing: an old kernel, or a sandbox.
static NO_PREADV2: AtomicBool = AtomicBool::new(false);

/// Whether it was said that files are read on the pool.
static SAID: AtomicBool = AtomicBool::new(false);

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
    device: (u32, u32),
    /// [`How::AtOnce`] or [`How::Pool`].
    how: How,
}

/// How the reads of one open file are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// With `RWF_NOWAIT`, and on the pool what is not in the page cache.
    NoWait,
    /// At once: the file lives in memory.
    AtOnce,
    /// On the pool.
    Pool,
    /// On the pool, which is to find out how the next read is done.
    Ask,
}

/// Remembers that there is no `preadv2`, and says so the first time.
pub(super) fn give_up_preadv2(error: Errno) {
    if !NO_PREADV2.swap(true, Ordering::Relaxed) {
        log::warn!(error:%; "this kernel or sandbox has no preadv2: files are read on the blocking pool");
    }
}

/// How files of a file system that refused before are read.
pub(super) fn known_of(file: &File) -> Option<How> {
    Disk::of(file).device().and_then(remembered)
}

/// Whether `preadv2` has not been found to be missing.
pub(super) fn has_preadv2() -> bool {
    !NO_PREADV2.load(Ordering::Relaxed)
}

/// Fills `space` with the file's first bytes. False if that would wait for a disk, or the file has fewer: then a
/// [`FileReader`](super::FileReader) has the last word.
pub(crate) fn read_at_once(file: &File, space: &mut [u8]) -> bool {
    if !has_preadv2() {
        return false;
    }
    let read = loop {
        match preadv2(file, &mut [IoSliceMut::new(space)], 0, ReadWriteFlags::NOWAIT) {
            Err(Errno::INTR) => {}
            Err(Errno::NOTSUP | Errno::INVAL) if known_of(file) == Some(How::AtOnce) => {
                break rustix::io::pread(file, &mut *space, 0);
            }
            read => break read,
        }
    };
    read == Ok(space.len())
}

/// What is known of a file system that refused.
fn remembered(device: (u32, u32)) -> Option<How> {
    REFUSING.lock().iter().find(|known| known.device == device).map(|known| known.how)
}

/// Asks in which file system the file lives, and remembers the answer. May wait.
pub(super) fn ask(file: &File) -> How {
    let in_memory = rustix::fs::fstatfs(file)
        .is_ok_and(|stat| matches!(stat.f_type as u64 & 0xffff_ffff, TMPFS_MAGIC | RAMFS_MAGIC));
    let how = if in_memory { How::AtOnce } else { How::Pool };
    let Some(device) = Disk::of(file).device() else { return how };
    let mut table = REFUSING.lock();
    if table.len() < REMEMBERED && !table.iter().any(|known| known.device == device) {
        table.push(Device { device, how });
        drop(table);
        if how == How::Pool && !SAID.swap(true, Ordering::Relaxed) {
            log::info!(
                "a file system does not say what the page cache has: its files are read on the blocking pool"
            );
        }
    }
    how
}
