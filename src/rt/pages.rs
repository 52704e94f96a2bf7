//! Memory that returns to the system when it is dropped.
//!
//! Allocators keep most of what is freed: one small live allocation above a thousand large freed ones keeps their memory in
//! the process. Buffers of slow readers come and go by the thousand, so larger ones are separate mappings.

use std::fmt;
use std::ops::{Deref, DerefMut};

use memmap2::{MmapMut, MmapOptions};

/// Smaller buffers are allocated: cheaper than a system call and page faults, and little is kept.
const MIN_MAPPED: usize = 32 * 1024;

/// Mappings up to this size are populated at once, which saves page faults; larger ones may never be used in full.
const MAX_POPULATED: usize = 64 * 1024;

/// Writable bytes, initially zero. Empty by default.
pub struct Pages(Memory);

enum Memory {
    Mapped(MmapMut),
    Allocated(Box<[u8]>),
}

impl Pages {
    /// Creates `len` bytes: allocated if they are few or no further mapping is allowed (`vm.max_map_count`).
    pub fn new(len: usize) -> Self {
        let mapped = (len >= MIN_MAPPED).then(|| {
            let mut options = MmapOptions::new();
            options.len(len);
            if len <= MAX_POPULATED {
                options.populate();
            }
            options.map_anon().ok()
        });
        Self(match mapped.flatten() {
            Some(mapped) => Memory::Mapped(mapped),
            None => Memory::Allocated(vec![0; len].into_boxed_slice()),
        })
    }
}

impl Default for Pages {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Memory::Mapped(mapped) => mapped,
            Memory::Allocated(bytes) => bytes,
        }
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Memory::Mapped(mapped) => mapped,
            Memory::Allocated(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pages({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_as_many_bytes_as_asked_for_whatever_they_are_made_of() {
        for (len, mapped) in [(1, false), (MIN_MAPPED - 1, false), (MIN_MAPPED, true), (100_001, true)] {
            let mut pages = Pages::new(len);
            assert_eq!(matches!(pages.0, Memory::Mapped(_)), mapped, "{len}");
            assert!(pages.len() == len && pages.iter().all(|&byte| byte == 0));
            pages[len - 1] = 7;
            assert_eq!(pages[len - 1], 7);
        }
    }
}
