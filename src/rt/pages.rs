//! Memory that is the system's again as soon as it is dropped.
//!
//! What an allocator gets back it mostly keeps: one small thing that lives on above a thousand large ones
//! that were freed, and their memory stays the process's. The buffers of readers that are behind come by
//! the thousand and go together. So these are mappings of their own, as far as that pays.

use std::fmt;
use std::ops::{Deref, DerefMut};

use memmap2::{MmapMut, MmapOptions};

/// Below this the allocator is cheaper than a system call and faults, and what it keeps is little.
const MIN_MAPPED: usize = 32 * 1024;

/// Up to this all pages are there from the beginning, which spares a fault for each; larger memory may
/// never be used to its end.
const MAX_POPULATED: usize = 64 * 1024;

/// Bytes that can be written to, zeroes at first. None by default.
pub struct Pages(Memory);

enum Memory {
    Mapped(MmapMut),
    Allocated(Box<[u8]>),
}

impl Pages {
    /// `len` bytes. Allocated if they are few, or if the system has no further mapping for us
    /// (`vm.max_map_count`).
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
