//! What a shared store has of what clients may be spending.

/// What the store keeps of the book.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    /// The store may have a record that the next leader reads.
    pub(super) is_on: bool,
    /// That has all but the changes of clients that the book names.
    pub(super) is_complete: bool,
    /// How often shares had grown when it was written.
    pub(super) raised: u64,
}

impl Keeping {
    /// The record is what the book was filled with.
    #[cfg(feature = "redis")]
    pub(super) fn restored(raised: u64) -> Self {
        Self { is_on: true, is_complete: true, raised }
    }

    /// Whether clients may be told of what was granted by then.
    pub(super) fn covers(&self, raised: u64) -> bool {
        !self.is_on || self.raised >= raised
    }
}
