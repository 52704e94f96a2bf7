//! An address that could not be read, as messages show it: without what may be a password.

use crate::excerpt::excerpt;

/// Characters of the longest one.
const MOST: usize = 60;

/// `text` without what stands before its last `@`, or behind a `?` or `#`; no more than its scheme if one of these stands
/// before the `@`, for then nobody knows where a password ends.
pub(crate) fn shown_address(text: &str) -> String {
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
    let behind = text.find(['?', '#']);
    let shown = match (text.rfind('@'), behind) {
        (Some(at), Some(behind)) if behind < at => format!("{scheme}://…"),
        (Some(at), Some(behind)) => text[at + 1..behind].to_owned(),
        (Some(at), None) => text[at + 1..].to_owned(),
        (None, Some(behind)) => format!("{}…", &text[..behind]),
        (None, None) => text.to_owned(),
    };
    excerpt(&shown, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_may_be_a_password_is_shown() {
        for (text, expected) in [
            ("redis://host:1/2", "redis://host:1/2"),
            ("redis://user:secret@host", "host"),
            ("redis://user:secret@secret@host:1/x?a", "host:1/x"),
            ("redis://user:secret?secret@host", "redis://…"),
            ("redis://user:secret#secret@host", "redis://…"),
            ("redis://host?password=secret@secret", "redis://…"),
            ("redis://host?password=secret", "redis://host…"),
            ("redis://host#secret", "redis://host…"),
            ("redis+unix:/run/a.sock?pass=secret", "redis+unix:/run/a.sock…"),
            ("", ""),
        ] {
            assert_eq!(shown_address(text), expected, "{text}");
        }
    }
}
