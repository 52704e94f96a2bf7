//! Fields whose values are lists.

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// The members of a comma-separated field, all its lines together.
pub(crate) fn tokens<'a>(fields: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = fields.get_all(name).iter().map(HeaderValue::to_str).filter_map(Result::ok);
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

/// Whether a comma-separated field has this member, whatever its case.
pub(crate) fn has_token(fields: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(fields, name).any(|member| member.eq_ignore_ascii_case(token))
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
