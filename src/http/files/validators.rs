//! Validators: the entity tag and the modification date of a file (RFC 9110 §8.8).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;

/// How long a file must have been left alone before its validators are strong.
///
/// A file may change again without a new modification time, within what its file system can tell
/// apart: some milliseconds on ext4 and xfs, up to two seconds on FAT. Until then the tag cannot
/// promise that the bytes are the same (§8.8.1), so it is weak: caches may use it, ranges may not be
/// put together by it. Apache does the same, with one second.
pub(super) const SETTLED: Duration = Duration::from_secs(2);

/// The first second of the year 10000, which an HTTP date cannot express.
pub(super) const YEAR_10000: u64 = 253_402_300_800;

/// The validators of one version of a file.
///
/// The tag is made of the modification time in nanoseconds and the size. The inode number is left out
/// so that servers with copies of the same files give the same tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Validators {
    /// The tag with its quotes, without `W/`.
    opaque: String,
    strong: bool,
    /// In whole seconds, as the date in `Last-Modified` is.
    modified: Option<SystemTime>,
}

impl Validators {
    /// The validators of a file of `size` bytes, last modified at `modified`, as seen at `now`.
    pub(super) fn new(modified: SystemTime, size: u64, now: SystemTime) -> Self {
        let (sign, nanos) = match modified.duration_since(UNIX_EPOCH) {
            Ok(after) => ("", after.as_nanos()),
            Err(before) => ("-", before.duration().as_nanos()),
        };
        // A date in the future is replaced by the present (§8.8.2.1).
        let date = modified.min(now).duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs());
        Self {
            opaque: format!("\"{sign}{nanos:x}-{size:x}\""),
            strong: now.duration_since(modified).is_ok_and(|age| age >= SETTLED),
            modified: date
                .filter(|seconds| *seconds < YEAR_10000)
                .map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds)),
        }
    }

    /// The tag without the weakness mark.
    pub(super) fn opaque(&self) -> &str {
        &self.opaque
    }

    /// Whether both validators are strong: the same tag or date means the same bytes.
    pub(super) fn are_strong(&self) -> bool {
        self.strong
    }

    /// The modification date; `None` where an HTTP date cannot express it.
    pub(super) fn modified(&self) -> Option<SystemTime> {
        self.modified
    }

    /// The `ETag` field.
    pub(super) fn etag(&self) -> HeaderValue {
        let weak = if self.strong { "" } else { "W/" };
        format!("{weak}{}", self.opaque).try_into().expect("quotes, hexadecimal digits and a minus")
    }

    /// The `Last-Modified` field.
    pub(super) fn last_modified(&self) -> Option<HeaderValue> {
        let date = httpdate::fmt_http_date(self.modified?);
        Some(date.try_into().expect("letters, digits, blanks, a comma and colons"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn nanos(nanos: u64) -> Duration {
        Duration::from_nanos(nanos)
    }

    #[test]
    fn tags_differ_by_time_and_size_and_are_weak_while_the_file_is_young() {
        let modified = UNIX_EPOCH + nanos(0x1234);
        for (age, weak) in [(nanos(0), true), (SETTLED - nanos(1), true), (SETTLED, false)] {
            let validators = Validators::new(modified, 0xabc, modified + age);
            assert_eq!(validators.opaque(), "\"1234-abc\"");
            assert_eq!(validators.are_strong(), !weak, "{age:?}");
            assert_eq!(validators.etag(), if weak { "W/\"1234-abc\"" } else { "\"1234-abc\"" }, "{age:?}");
        }
        assert!(!Validators::new(modified, 1, UNIX_EPOCH).are_strong(), "from the future");
    }

    #[test]
    fn dates_are_whole_seconds_not_after_now_and_left_out_if_inexpressible() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        let date = |modified| Validators::new(modified, 1, now).modified();
        assert_eq!(date(UNIX_EPOCH + nanos(7_900_000_000)), Some(UNIX_EPOCH + Duration::from_secs(7)));
        assert_eq!(date(now + Duration::from_secs(5)), Some(now));
        assert_eq!(date(UNIX_EPOCH - nanos(1)), None);
        let late = UNIX_EPOCH + Duration::from_secs(YEAR_10000);
        assert_eq!(Validators::new(late, 1, late).modified(), None);
        let last = Validators::new(late - nanos(1), 1, late).last_modified();
        assert_eq!(last.unwrap(), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
