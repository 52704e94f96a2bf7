//! The syntax of one element of `Forwarded` (RFC 7239, section 4).

/// Splits off the element that `text` begins with; returns it and the text after its comma. `None` if malformed.
pub(super) fn element(text: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t']);
    loop {
        match rest.as_bytes().first() {
            None => return Some((pairs, rest)),
            Some(b',') => return Some((pairs, rest[1..].trim_start_matches([' ', '\t']))),
            Some(b';') => rest = rest[1..].trim_start_matches([' ', '\t']),
            Some(_) => {
                let (name, behind) = rest.split_once('=')?;
                let name = name.to_ascii_lowercase();
                let is_new = pairs.iter().all(|(known, _)| *known != name);
                if !is_new || name.is_empty() || !name.bytes().all(is_token) {
                    return None;
                }
                let (value, behind) = value(behind)?;
                pairs.push((name, value));
                rest = behind.trim_start_matches([' ', '\t']);
                if !matches!(rest.as_bytes().first(), None | Some(b';' | b',')) {
                    return None;
                }
            }
        }
    }
}

/// Splits off the value that `text` begins with, unquoted. IPv6 addresses are accepted without quotes too.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',', ' ', '\t']).unwrap_or(text.len());
        let (value, behind) = text.split_at(end);
        let is_value =
            !value.is_empty() && value.bytes().all(|byte| is_token(byte) || b"[]:".contains(&byte));
        return is_value.then(|| (value.to_owned(), behind));
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (at, char) in quoted.char_indices() {
        match char {
            _ if escaped => {
                value.push(char);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Some((value, &quoted[at + 1..])),
            char => value.push(char),
        }
    }
    None
}

/// Whether a byte may stand in a token (RFC 9110, section 5.6.2).
pub(in crate::http) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
