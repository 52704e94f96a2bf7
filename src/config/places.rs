//! Where the keys of a route stand in the file.

use std::ops::Range;

use super::route::RouteFault;

/// Where the keys stand that the check of a whole route may find at fault.
pub(super) struct Places {
    pub(super) path: Range<usize>,
    pub(super) burst: Option<Range<usize>>,
    pub(super) end_of_stream: Option<Range<usize>>,
    pub(super) filters: Vec<Range<usize>>,
}

impl Places {
    pub(super) fn of(&self, fault: &RouteFault) -> Option<Range<usize>> {
        match fault.key {
            "path" => Some(self.path.clone()),
            "burst" => self.burst.clone(),
            "end_of_stream" => self.end_of_stream.clone(),
            _ => fault.index.and_then(|index| self.filters.get(index)).cloned(),
        }
    }
}
