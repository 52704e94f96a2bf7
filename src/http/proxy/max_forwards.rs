//! `Max-Forwards`: how many proxies an OPTIONS or TRACE may still pass (RFC 9110, section 7.6.2).

use bytes::BytesMut;
use http::header::{
    AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderName, HeaderValue, MAX_FORWARDS, PROXY_AUTHORIZATION,
};
use http::{Method, Request, Response, StatusCode, request};

use super::failure::Refusal;
use crate::http::answer;
use crate::http::content::Content;
use crate::http1::write_head;

/// Fields that the response to a TRACE leaves out: the client's secrets (RFC 9110, section 9.3.8).
const SECRET: [HeaderName; 3] = [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION];

/// Decrements the field, or responds in the upstream's place if it is zero.
///
/// # Errors
/// The field is not a number, or occurs twice.
pub(super) fn count_down(head: &mut request::Parts) -> Result<Option<Response<Content>>, Refusal> {
    if ![Method::OPTIONS, Method::TRACE].contains(&head.method) {
        return Ok(None);
    }
    let mut values = head.headers.get_all(MAX_FORWARDS).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let is_one = values.next().is_none();
    let digits = value.to_str().ok().filter(|text| is_one && text.bytes().all(|byte| byte.is_ascii_digit()));
    let Some(digits) = digits.filter(|digits| !digits.is_empty()) else {
        return Err(Refusal::bad_request("The request's Max-Forwards is not a number."));
    };
    // A number that does not fit counts as the largest.
    match digits.parse::<u64>().unwrap_or(u64::MAX).checked_sub(1) {
        Some(left) => {
            head.headers.insert(MAX_FORWARDS, HeaderValue::from(left));
            Ok(None)
        }
        None => Ok(Some(last_recipient(head))),
    }
}

fn last_recipient(head: &request::Parts) -> Response<Content> {
    if head.method == Method::OPTIONS {
        return answer::empty(StatusCode::NO_CONTENT);
    }
    let mut seen = Request::new(());
    *seen.method_mut() = head.method.clone();
    *seen.uri_mut() = head.uri.clone();
    for (name, value) in head.headers.iter().filter(|(name, _)| !SECRET.contains(name)) {
        seen.headers_mut().append(name, value.clone());
    }
    let mut text = BytesMut::new();
    write_head(&seen.into_parts().0, &mut text);
    let mut response = answer::empty(StatusCode::OK);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("message/http"));
    response.headers_mut().insert(http::header::CONTENT_LENGTH, HeaderValue::from(text.len()));
    *response.body_mut() = Content::text(text.freeze());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(method: Method, values: &[&str]) -> (u16, Vec<String>) {
        let mut request =
            Request::builder().method(method).uri("/x?y").header("cookie", "secret").header("a", "b");
        for value in values {
            request = request.header(MAX_FORWARDS, *value);
        }
        let mut head = request.body(()).unwrap().into_parts().0;
        match count_down(&mut head) {
            Err(refusal) => (refusal.status.as_u16(), Vec::new()),
            Ok(Some(answer)) => {
                let text = match answer.body() {
                    Content::Buckets(text) => String::from_utf8(text.to_bytes().to_vec()).unwrap(),
                    _ => String::new(),
                };
                (answer.status().as_u16(), vec![text])
            }
            Ok(None) => {
                let left = head.headers.get_all(MAX_FORWARDS).iter();
                (0, left.map(|value| value.to_str().unwrap().to_owned()).collect())
            }
        }
    }

    #[test]
    fn an_options_or_a_trace_goes_so_far_and_no_further() {
        let (options, trace) = (Method::OPTIONS, Method::TRACE);
        let is = |text: &str| vec![text.to_owned()];
        for method in [&options, &trace] {
            assert_eq!(counted(method.clone(), &[]), (0, vec![]));
            assert_eq!(counted(method.clone(), &["1"]), (0, is("0")));
            assert_eq!(counted(method.clone(), &["010"]), (0, is("9")));
            assert_eq!(
                counted(method.clone(), &["99999999999999999999999"]),
                (0, is("18446744073709551614"))
            );
            for wrong in [&["-1"][..], &["x"], &[""], &["1, 1"], &["1", "1"], &["+1"]] {
                assert_eq!(counted(method.clone(), wrong), (400, vec![]), "{wrong:?}");
            }
        }
        assert_eq!(counted(options, &["0"]), (204, is("")));
        let seen = "TRACE /x?y HTTP/1.1\r\na: b\r\nmax-forwards: 0\r\n\r\n";
        assert_eq!(counted(trace, &["0"]), (200, is(seen)));
        // Of other methods it means nothing.
        assert_eq!(counted(Method::GET, &["0"]), (0, is("0")));
    }
}
