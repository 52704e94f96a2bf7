//! From the path of a URL to a name below the root.
//!
//! Pure. What the kernel would refuse as well is refused here first where it is cheap to see; the
//! promise that nothing leaves the root is `confine`'s, not this module's.

use std::borrow::Cow;
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use percent_encoding::percent_decode_str;

/// The longest name below the root, in bytes: the kernel's `PATH_MAX`, its end mark included.
const PATH_MAX: usize = 4096;

/// The one name with a dot that is served unless others are: RFC 8615 has it at the top of a site.
const WELL_KNOWN: &[u8] = b".well-known";

/// A name below the root: relative, decoded, without `.`, `..`, empty or hidden segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Below {
    /// `.` for the root itself.
    name: CString,
    folder: bool,
    dot_files: bool,
}

/// Whether a name in a folder begins with a dot and is not served for it. `is_top`: the folder is the root.
pub(super) fn is_hidden(name: &[u8], is_top: bool) -> bool {
    name.first() == Some(&b'.') && !(is_top && name == WELL_KNOWN)
}

impl Below {
    /// Reads the still percent-encoded path of a URL, without the slash before it.
    ///
    /// `None` for what no file can be reached by:
    /// - `.` and `..`, encoded or not, and unless `dot_files` all that [`is_hidden`];
    /// - empty segments: the root, and `//`, which would give one file many names;
    /// - NUL, an encoded slash, and the backslash, which browsers take for a slash;
    /// - a name longer than the kernel takes.
    ///
    /// A path that ends in a slash, or is empty, means a folder. A `%` without two hexadecimal digits
    /// stands for itself.
    pub(super) fn parse(path: &str, dot_files: bool) -> Option<Self> {
        if path.is_empty() {
            return Some(Self { name: c".".to_owned(), folder: true, dot_files });
        }
        let names = path.strip_suffix('/').unwrap_or(path);
        // Its end mark too.
        let mut name = Vec::with_capacity(names.len() + 1);
        for segment in names.split('/') {
            push(&mut name, &Cow::from(percent_decode_str(segment)), dot_files)?;
        }
        Some(Self { name: CString::new(name).ok()?, folder: path.ends_with('/'), dot_files })
    }

    /// The file called `segment` in this folder; `None` for a name that is not served.
    pub(super) fn child(&self, segment: &[u8]) -> Option<Self> {
        let folder = if self.is_root() { b"" } else { self.name.as_bytes() };
        let mut name = Vec::with_capacity(folder.len() + segment.len() + 2);
        name.extend_from_slice(folder);
        push(&mut name, segment, self.dot_files)?;
        Some(Self { name: CString::new(name).ok()?, folder: false, dot_files: self.dot_files })
    }

    /// Whether a folder is meant.
    pub(super) fn is_folder(&self) -> bool {
        self.folder
    }

    /// Whether this is the root itself.
    pub(super) fn is_root(&self) -> bool {
        self.name.as_bytes() == b"."
    }

    /// The name as system calls take it.
    pub(super) fn as_c_str(&self) -> &CStr {
        &self.name
    }

    /// The name as a path.
    pub(super) fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.name.as_bytes()))
    }
}

/// Appends a segment to the name of a folder; `None` if it, or what comes of it, is not served.
fn push(name: &mut Vec<u8>, segment: &[u8], dot_files: bool) -> Option<()> {
    let is_dots = matches!(segment, b"." | b"..");
    let is_hidden = !dot_files && is_hidden(segment, name.is_empty());
    if segment.is_empty() || is_dots || is_hidden || segment.iter().any(|byte| b"/\\\0".contains(byte)) {
        return None;
    }
    if !name.is_empty() {
        name.push(b'/');
    }
    name.extend_from_slice(segment);
    (name.len() < PATH_MAX).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_that_are_served() {
        for (path, name, folder) in [
            ("", ".", true),
            ("a", "a", false),
            ("a/", "a", true),
            ("a/b.txt", "a/b.txt", false),
            ("a%20b/caf%C3%A9", "a b/café", false),
            ("café", "café", false),
            ("100%", "100%", false),
            ("%zz", "%zz", false),
            ("%2541", "%41", false),
            ("a..b/c.", "a..b/c.", false),
            ("a+b", "a+b", false),
        ] {
            let below = Below::parse(path, false).unwrap_or_else(|| panic!("{path} was refused"));
            assert_eq!((below.as_path(), below.is_folder()), (Path::new(name), folder), "{path}");
            assert_eq!(below.is_root(), path.is_empty());
        }
        assert_eq!(Below::parse("%ff", false).unwrap().as_c_str(), c"\xff", "names need not be UTF-8");
    }

    #[test]
    fn names_that_are_not() {
        for path in [
            "/",
            "//",
            "a//b",
            "/a",
            "a//",
            ".",
            "..",
            "../a",
            "a/..",
            "a/../b",
            "a/./b",
            ".git/config",
            "a/.b/",
            "%2e%2e/a",
            "%2E./a",
            ".%2e",
            "a/%2e%2e%2fb",
            "a%2fb",
            "%2fetc/passwd",
            "a%00",
            "%00",
            "a%00.txt",
            "..\\a",
            "a\\..\\b",
            "a%5cb",
            "\\",
        ] {
            assert_eq!(Below::parse(path, false), None, "{path}");
        }
    }

    #[test]
    fn names_with_a_dot_are_served_if_asked_for_and_one_anyway() {
        for (path, by_default) in [
            (".well-known", true),
            (".well-known/acme-challenge/x", true),
            ("%2Ewell-known/", true),
            (".well-known/.x", false),
            ("a/.well-known/x", false),
            (".well-knowns", false),
            (".git/config", false),
            ("a/.b", false),
            ("...", false),
        ] {
            assert_eq!(Below::parse(path, false).is_some(), by_default, "{path}");
            assert!(Below::parse(path, true).is_some(), "{path}");
        }
        for path in [".", "..", "a/../b", "%2e%2e/a", ".a//b", ".a%2fb", ".a%00"] {
            assert_eq!(Below::parse(path, true), None, "{path}");
        }
        let folder = Below::parse("a/", false).unwrap();
        assert!(folder.child(b".x").is_none() && folder.child(b".well-known").is_none());
        assert!(
            Below::parse("a/", true).unwrap().child(b".x").is_some_and(|x| x.as_path() == Path::new("a/.x"))
        );
    }

    #[test]
    fn a_name_is_as_long_as_the_kernel_takes() {
        assert!(Below::parse(&"a/".repeat(2047), false).is_some(), "4093 bytes");
        assert!(Below::parse(&format!("{}b", "a/".repeat(2047)), false).is_some(), "4095 bytes");
        assert!(Below::parse(&format!("{}bb", "a/".repeat(2047)), false).is_none(), "4096 bytes");
    }

    proptest! {
        #[test]
        fn no_segment_is_empty_hidden_or_above(path in "[a./%2eE0f\\\\é-]{0,40}") {
            for dot_files in [false, true] {
                let Some(below) = Below::parse(&path, dot_files) else { continue };
                let is_fine = |segment: &[u8]| match segment {
                    b"" | b"." | b".." => false,
                    [b'.', ..] => dot_files,
                    _ => true,
                };
                prop_assert!(below.is_root() || below.as_c_str().to_bytes().split(|byte| *byte == b'/').all(is_fine));
            }
        }
    }
}
