//! Fields whose values are lists.

use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};

use super::Malformed;

/// The members of a comma-separated field, all its lines together.
pub(crate) fn tokens<'a>(fields: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = fields.get_all(name).iter().map(HeaderValue::to_str).filter_map(Result::ok);
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

/// Whether a comma-separated field has this member, whatever its case.
pub(crate) fn has_token(fields: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(fields, name).any(|member| member.eq_ignore_ascii_case(token))
}

/// What `Content-Length` tells. Several that are equal are one (RFC 9112, section 6.3).
///
/// # Errors
/// One of them is no length, or they differ.
pub(crate) fn content_length(fields: &HeaderMap) -> Result<Option<u64>, Malformed> {
    let mut told = None;
    for value in fields.get_all(CONTENT_LENGTH) {
        // An empty member is no length, so the members are not `tokens`.
        for text in value.as_bytes().split(|&byte| byte == b',') {
            let text = text.trim_ascii();
            let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
            let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
            match number.filter(|_| digits) {
                Some(number) if told.is_none_or(|told| told == number) => told = Some(number),
                _ => return Err(Malformed("its Content-Length is no length")),
            }
        }
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::CONNECTION;

    #[test]
    fn members_are_found_on_all_lines_and_in_any_case() {
        let lines = [" close ,, X-Hop", "", "Keep-Alive"];
        let fields: HeaderMap =
            lines.iter().map(|line| (CONNECTION, HeaderValue::from_static(line))).collect();
        assert_eq!(tokens(&fields, &CONNECTION).collect::<Vec<_>>(), ["close", "X-Hop", "Keep-Alive"]);
        assert!(has_token(&fields, &CONNECTION, "keep-alive") && !has_token(&fields, &CONNECTION, "hop"));
    }
}
