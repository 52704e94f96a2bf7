//! One version of a file: its size, and the fields of answers with it.

use std::fs::Metadata;
use std::io;
use std::time::SystemTime;

use http::HeaderMap;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderValue, LAST_MODIFIED};

use super::media_type::Types;
use super::path::Below;
use super::validators::Validators;
use crate::http1::KeptLines;

/// What the answers say of a file as it was at one moment. The fields are made once for all of them.
#[derive(Debug)]
pub(super) struct Version {
    pub(super) size: u64,
    pub(super) validators: Validators,
    /// Of an answer with all of it. `Last-Modified` is missing where an HTTP date cannot express it.
    pub(super) fields: HeaderMap,
    /// The same as lines.
    pub(super) lines: KeptLines,
}

impl Version {
    /// The version of the file `name` that has this metadata `now`.
    ///
    /// # Errors
    /// If the file system keeps no modification time.
    pub(super) fn new(name: &Below, metadata: &Metadata, now: SystemTime, types: &Types) -> io::Result<Self> {
        let size = metadata.len();
        let validators = Validators::new(metadata.modified()?, size, now);
        let mut fields = HeaderMap::with_capacity(5);
        fields.insert(CONTENT_TYPE, types.of(name.as_path()));
        fields.insert(CONTENT_LENGTH, size.into());
        fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        fields.insert(ETAG, validators.etag());
        if let Some(date) = validators.last_modified() {
            fields.insert(LAST_MODIFIED, date);
        }
        let lines = KeptLines::new(&fields);
        Ok(Self { size, validators, fields, lines })
    }
}
