//! Fields with lists of values, and how those that frame a message are read.

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};

use super::Malformed;
use super::connection_fields::{framing_fields, may_be_listed};

/// Which of the fields that decide a request's framing and treatment its head has.
///
/// Found in one pass over the names: looking up each would cost a small request more than writing its response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FramingFields {
    pub(crate) connection: bool,
    pub(crate) content_length: bool,
    pub(crate) expect: bool,
    pub(crate) te: bool,
    pub(crate) transfer_encoding: bool,
    pub(crate) upgrade: bool,
}

impl FramingFields {
    /// Finds them in `fields`.
    pub(crate) fn of(fields: &HeaderMap) -> Self {
        let mut found = Self::default();
        for name in fields.keys() {
            match name {
                name if *name == CONNECTION => found.connection = true,
                name if *name == CONTENT_LENGTH => found.content_length = true,
                name if *name == EXPECT => found.expect = true,
                name if *name == TE => found.te = true,
                name if *name == TRANSFER_ENCODING => found.transfer_encoding = true,
                name if *name == UPGRADE => found.upgrade = true,
                _ => {}
            }
        }
        found
    }
}

const UNREADABLE: Malformed = Malformed("a field about framing or the connection is not ASCII");

/// Checks that every one of [`framing_fields`] is readable.
///
/// # Errors
/// One is not.
pub(crate) fn check_framing_fields(fields: &HeaderMap) -> Result<(), Malformed> {
    let is_unreadable = |(name, value): (&HeaderName, &HeaderValue)| {
        may_be_listed(name) && value.to_str().is_err() && framing_fields().any(|field| field == name)
    };
    if fields.iter().any(is_unreadable) { Err(UNREADABLE) } else { Ok(()) }
}

/// Returns the members of a comma-separated field, all its lines together.
///
/// # Errors
/// A line has a byte that is not printable ASCII. It must not count as absent: the members beside that byte frame the
/// message or name hop-by-hop fields.
pub(crate) fn tokens<'a>(
    fields: &'a HeaderMap,
    name: &HeaderName,
) -> Result<impl Iterator<Item = &'a str>, Malformed> {
    let lines = || fields.get_all(name).iter().map(HeaderValue::to_str);
    if lines().any(|line| line.is_err()) {
        return Err(UNREADABLE);
    }
    let members = lines().filter_map(Result::ok).flat_map(|line| line.split(','));
    Ok(members.map(str::trim).filter(|token| !token.is_empty()))
}

/// Whether a comma-separated field has the member `token`, ignoring case.
///
/// # Errors
/// The field cannot be read; see [`tokens`].
pub(crate) fn has_token(fields: &HeaderMap, name: &HeaderName, token: &str) -> Result<bool, Malformed> {
    Ok(tokens(fields, name)?.any(|member| member.eq_ignore_ascii_case(token)))
}

/// Whether the client expects `100 Continue` and nothing else (RFC 9110, section 10.1.1), all lines of `Expect`
/// together.
pub(crate) fn expects_continue(fields: &HeaderMap) -> bool {
    let Ok(mut members) = tokens(fields, &EXPECT) else { return false };
    let is_one = |member: &str| member.eq_ignore_ascii_case("100-continue");
    members.next().is_some_and(is_one) && members.all(is_one)
}

/// Returns the value of `Content-Length`. Equal values count once (RFC 9112, section 6.3).
///
/// # Errors
/// A value is not a length, or they differ.
pub(crate) fn content_length(fields: &HeaderMap) -> Result<Option<u64>, Malformed> {
    let mut told = None;
    for value in fields.get_all(CONTENT_LENGTH) {
        // Not by `tokens`: an empty member is an error here.
        for text in value.as_bytes().split(|&byte| byte == b',') {
            let text = text.trim_ascii();
            let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
            let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
            match number.filter(|_| digits) {
                Some(number) if told.is_none_or(|told| told == number) => told = Some(number),
                _ => return Err(Malformed("its Content-Length is not a number, or has several values")),
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
    fn the_fields_that_frame_a_request_are_found_whatever_stands_between_them() {
        let name = |name: &str| name.parse::<HeaderName>().unwrap();
        let all = ["connection", "content-length", "expect", "te", "transfer-encoding", "upgrade"];
        for (at, field) in all.into_iter().enumerate() {
            let fields: HeaderMap = ["host", field, "x", field, "keep-alive"]
                .map(|field| (name(field), HeaderValue::from_static("a")))
                .into_iter()
                .collect();
            let found = FramingFields::of(&fields);
            let told = [
                found.connection,
                found.content_length,
                found.expect,
                found.te,
                found.transfer_encoding,
                found.upgrade,
            ];
            assert_eq!(told, std::array::from_fn(|other| other == at), "{field}");
        }
        assert_eq!(FramingFields::of(&HeaderMap::new()), FramingFields::default());
    }

    #[test]
    fn members_are_found_on_all_lines_and_in_any_case() {
        let lines = [" close ,, X-Hop", "", "Keep-Alive"];
        let fields: HeaderMap =
            lines.iter().map(|line| (CONNECTION, HeaderValue::from_static(line))).collect();
        let members: Vec<_> = tokens(&fields, &CONNECTION).unwrap().collect();
        assert_eq!(members, ["close", "X-Hop", "Keep-Alive"]);
        assert_eq!(has_token(&fields, &CONNECTION, "keep-alive"), Ok(true));
        assert_eq!(has_token(&fields, &CONNECTION, "hop"), Ok(false));
    }

    #[test]
    fn a_line_that_is_not_ascii_is_an_error_and_not_absent() {
        for lines in [&[&b"x-hop, \xff"[..]][..], &[b"close", b"\xff"], &[b"\xc3\xa4", b"close"]] {
            let value = |line: &&[u8]| (CONNECTION, HeaderValue::from_bytes(line).unwrap());
            let fields: HeaderMap = lines.iter().map(value).collect();
            assert!(tokens(&fields, &CONNECTION).is_err(), "{lines:?}");
            assert!(has_token(&fields, &CONNECTION, "close").is_err(), "{lines:?}");
        }
    }
}
