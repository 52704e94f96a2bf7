//! The normal form of a request's path: what requests are routed by and sources are asked for.
//!
//! Pure. RFC 3986 §6.2.2: characters that need no percent-encoding have none, all others have one with
//! capital letters, and dot segments are removed. Two rules are ours:
//!
//! - **An empty segment means nothing.** `/a//b` is `/a/b`, as in a file system and as in nginx.
//! - **`%2F` is a character of a name and never a separator**, nor is `\`.
//!
//! Beyond the RFC, sub-delimiters, `:` and `@` are decoded too: a path may contain them literally, and files and
//! most backends treat both spellings as one name. A `%` without two hexadecimal digits stands for itself,
//! which is `%25`, so that no second reading finds an encoding in it.

use std::borrow::Cow;

/// Whether a character may stand in a path literally: `pchar` of RFC 3986 without percent-encodings.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let characters = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@";
    let mut at = 0;
    while at < characters.len() {
        plain[characters[at] as usize] = true;
        at += 1;
    }
    plain
};

/// Returns the normal form of `path`. A text without a leading slash is no path and is returned unchanged. `None` if
/// the path leads above its root: RFC 3986 §5.2.4 would clip it, but no client means that.
///
/// Allocates only if the path is not in normal form. Idempotent.
pub(super) fn normal(path: &str) -> Option<Cow<'_, str>> {
    if !path.starts_with('/') || is_normal(path.as_bytes()) {
        return Some(Cow::Borrowed(path));
    }
    let mut normal = String::with_capacity(path.len());
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        let start = normal.len();
        normal.push('/');
        push_segment(&mut normal, segment);
        match &normal[start..] {
            "/" | "/." => normal.truncate(start),
            "/.." => {
                normal.truncate(start);
                normal.truncate(normal.rfind('/')?);
            }
            _ => continue,
        }
        if segments.peek().is_none() {
            normal.push('/');
        }
    }
    Some(Cow::Owned(normal))
}

/// Whether every reader that decodes the path once gets the same names: no segment is `.` or `..`, however its dots
/// are encoded, and each `%` begins an encoding.
pub(super) fn is_unambiguous(path: &str) -> bool {
    path.split('/').all(|segment| {
        let mut rest = segment;
        let mut dots = 0;
        while let Some(behind) = [".", "%2e", "%2E"].iter().find_map(|dot| rest.strip_prefix(dot)) {
            rest = behind;
            dots += 1;
        }
        let is_dots = rest.is_empty() && (dots == 1 || dots == 2);
        !is_dots
            && memchr::memchr_iter(b'%', segment.as_bytes())
                .all(|at| encoded(&segment.as_bytes()[at + 1..]).is_some())
    })
}

fn is_normal(path: &[u8]) -> bool {
    let mut at = 0;
    while let Some(&byte) = path.get(at) {
        at += match byte {
            b'/' => match path[at + 1..] {
                [b'/', ..] | [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..] => {
                    return false;
                }
                _ => 1,
            },
            b'%' => match encoded(&path[at + 1..]) {
                Some(byte) if !PLAIN[usize::from(byte)] && !has_small_letters(&path[at + 1..at + 3]) => 3,
                _ => return false,
            },
            byte if PLAIN[usize::from(byte)] => 1,
            _ => return false,
        }
    }
    true
}

/// Appends a segment in normal form.
fn push_segment(normal: &mut String, segment: &str) {
    let segment = segment.as_bytes();
    let mut at = 0;
    while let Some(&byte) = segment.get(at) {
        at += 1;
        let byte = match byte {
            b'%' => match encoded(&segment[at..]) {
                Some(byte) => {
                    at += 2;
                    byte
                }
                None => b'%',
            },
            byte => byte,
        };
        if PLAIN[usize::from(byte)] {
            normal.push(char::from(byte));
        } else {
            normal.push_str(percent_encoding::percent_encode_byte(byte));
        }
    }
}

/// The character whose two hexadecimal digits `digits` begins with.
fn encoded(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let [high, low, ..] = digits else { return None };
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

fn has_small_letters(digits: &[u8]) -> bool {
    digits.iter().any(u8::is_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    #[test]
    fn each_spelling_has_one_normal_form() {
        for (path, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("//", "/"),
            ("//a", "/a"),
            ("/a//b", "/a/b"),
            ("/a///", "/a/"),
            ("/.", "/"),
            ("/./a", "/a"),
            ("/a/.", "/a/"),
            ("/a/./b", "/a/b"),
            ("/a/..", "/"),
            ("/a/b/../c", "/a/c"),
            ("/a//../b", "/b"),
            ("/a/b/%2E%2e/.%2e/c", "/c"),
            ("/%2e/a", "/a"),
            ("/.a/..b/...", "/.a/..b/..."),
            ("/.well-known/x", "/.well-known/x"),
            ("/%73low/%7Ex", "/slow/~x"),
            ("/a%20b%2fc%2F", "/a%20b%2Fc%2F"),
            ("/a\\b%5c", "/a%5Cb%5C"),
            ("/%21%24%26%27%28%29%2a%2b%2c%3b%3d%3a%40", "/!$&'()*+,;=:@"),
            ("/caf\u{e9}", "/caf%C3%A9"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/%ff", "/%FF"),
            ("/\"{|}^`<>", "/%22%7B%7C%7D%5E%60%3C%3E"),
            // A text that is no encoding does not become one.
            ("/100%", "/100%25"),
            ("/%zz%4", "/%25zz%254"),
            ("/%%37%33", "/%2573"),
            ("/%2573", "/%2573"),
            // No paths.
            ("*", "*"),
            ("", ""),
        ] {
            let found = normal(path).unwrap();
            assert_eq!(found, expected, "{path}");
            assert_eq!(matches!(found, Cow::Borrowed(_)), path == expected, "{path}");
        }
    }

    #[test]
    fn above_the_root_there_is_nothing() {
        for path in ["/..", "/../a", "/a/../..", "/a//../..", "/%2e%2E/a", "/./../"] {
            assert_eq!(normal(path), None, "{path}");
        }
    }

    #[test]
    fn a_path_with_dot_segments_or_half_an_encoding_is_ambiguous() {
        for path in
            ["/.", "/a/..", "/a/./b", "/%2e/a", "/.%2E", "/%2E%2e/", "/100%", "/a%/b", "/%%37%33", "/%4"]
        {
            assert!(!is_unambiguous(path), "{path}");
        }
        for path in ["/", "/a//b", "/...", "/.a", "/a.", "/%2e%2e%2e", "/..%2f", "/%2f..", "/%73", "/\u{e9}"]
        {
            assert!(is_unambiguous(path), "{path}");
        }
    }

    proptest! {
        #[test]
        fn a_normal_form_is_one_and_names_what_the_path_names(path in "/[a./%2eE0f37s\\\\;é-]{0,40}") {
            let once = normal(&path).map(Cow::into_owned);
            // Read as files read it: decoded once, segment by segment.
            let mut names: Vec<Vec<u8>> = Vec::new();
            let mut is_above = false;
            for segment in path.split('/') {
                match percent_decode_str(segment).collect::<Vec<u8>>() {
                    name if name.is_empty() || name == b"." => {}
                    name if name == b".." => is_above |= names.pop().is_none(),
                    name => names.push(name),
                }
            }
            prop_assert_eq!(once.is_none(), is_above, "{}", path);
            let Some(once) = once else { return Ok(()) };
            prop_assert!(matches!(normal(&once), Some(Cow::Borrowed(_))), "{path} {once}");
            prop_assert!(is_unambiguous(&once));
            prop_assert!(!once.contains("//") && once.starts_with('/'));
            let found: Vec<Vec<u8>> = once.split('/').filter(|segment| !segment.is_empty())
                .map(|segment| percent_decode_str(segment).collect()).collect();
            prop_assert_eq!(found, names);
        }
    }
}
