//! Shortens text for messages and log lines.

/// Returns the first `most` characters of `text`, with an ellipsis if more were cut off.
pub fn excerpt(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_text_is_cut_between_characters() {
        for (text, expected) in [("", ""), ("äöü", "äöü"), ("äöü.", "äöü…"), ("äöüß.", "äöü…")]
        {
            assert_eq!(excerpt(text, 3), expected);
        }
    }
}
