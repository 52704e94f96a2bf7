//! One version of a file: its size, and the fields that every answer with it has.

use std::fs::Metadata;
use std::io;
use std::time::SystemTime;

use http::HeaderValue;

use super::media_type::Types;
use super::path::Below;
use super::validators::Validators;

/// What the answers say of a file as it was at one moment. The fields are made once for all of them.
#[derive(Debug)]
pub(super) struct Version {
    pub(super) size: u64,
    pub(super) validators: Validators,
    pub(super) etag: HeaderValue,
    /// `None` where an HTTP date cannot express it.
    pub(super) last_modified: Option<HeaderValue>,
    pub(super) media_type: HeaderValue,
}

impl Version {
    /// The version of the file `name` that has this metadata `now`.
    ///
    /// # Errors
    /// If the file system keeps no modification time.
    pub(super) fn new(name: &Below, metadata: &Metadata, now: SystemTime, types: &Types) -> io::Result<Self> {
        let size = metadata.len();
        let validators = Validators::new(metadata.modified()?, size, now);
        Ok(Self {
            size,
            etag: validators.etag(),
            last_modified: validators.last_modified(),
            media_type: types.of(name.as_path()),
            validators,
        })
    }
}
