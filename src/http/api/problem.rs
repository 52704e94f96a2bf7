//! Problem details (RFC 9457) and other JSON answers.

use headers::{ContentLength, HeaderMapExt};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::http::answer;
use crate::http::content::Content;

/// Why a request cannot be met and what to do about it: `detail` for people, `code` and `pointer` for programs.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    /// Always `about:blank`: the status is the kind of the problem.
    r#type: &'static str,
    title: &'static str,
    #[serde(serialize_with = "number")]
    status: StatusCode,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    detail: Box<str>,
    /// The member of the content that is wrong, as a JSON pointer in a URI fragment (RFC 6901 section 6).
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<Box<str>>,
    /// Fields of the answer, beside those that every problem has.
    #[serde(skip)]
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Problem"),
            status,
            code: None,
            detail: detail.into().into_boxed_str(),
            pointer: None,
            fields: Vec::new(),
        }
    }

    /// 400: the request is malformed.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 422: the member `name` of the content has a value it cannot have.
    pub(crate) fn bad_member(name: &str, detail: impl Into<String>) -> Self {
        let pointer = format!("#/{}", name.replace('~', "~0").replace('/', "~1"));
        Self {
            pointer: Some(pointer.into_boxed_str()),
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
    }

    /// 405: the resource has only the methods in `allow`.
    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        let detail = format!("This resource has only these methods: {allow}.");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, detail).with_field(ALLOW, HeaderValue::from_static(allow))
    }

    /// Adds a word that programs can tell this problem by.
    pub(crate) fn with_code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    pub(crate) fn with_field(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.fields.push((name, value));
        self
    }

    /// Adds `WWW-Authenticate`: the credential that is missing.
    pub(crate) fn with_challenge(self, challenge: &'static str) -> Self {
        self.with_field(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    pub(crate) fn into_response(self) -> Response<Content> {
        let mut response = json(self.status, &self);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.extend(self.fields);
        response
    }
}

pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response<Content> {
    // Only maps whose keys are not strings cannot be serialized; no answer has one.
    let mut text = serde_json::to_string(value).unwrap_or_default();
    text.push('\n');
    written(status, text)
}

/// An answer of JSON text. It is not cached, and browsers take it for nothing else.
pub(crate) fn written(status: StatusCode, text: impl Into<bytes::Bytes>) -> Response<Content> {
    let text = text.into();
    let mut response = answer::empty(status);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.typed_insert(ContentLength(text.len() as u64));
    *response.body_mut() = Content::text(text);
    response
}

fn number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_where_and_what_to_do() {
        let problem = Problem::bad_member("a/b~c", "not known");
        assert_eq!(
            serde_json::to_string(&problem).unwrap(),
            r##"{"type":"about:blank","title":"Unprocessable Entity","status":422,"detail":"not known","pointer":"#/a~1b~0c"}"##
        );
        let problem = Problem::bad_request("malformed").with_code("bad_json");
        assert_eq!(
            serde_json::to_string(&problem).unwrap(),
            r#"{"type":"about:blank","title":"Bad Request","status":400,"code":"bad_json","detail":"malformed"}"#
        );
        let response = Problem::method_not_allowed("GET, HEAD").with_challenge("Bearer").into_response();
        assert_eq!(response.status().as_u16(), 405);
        for (name, value) in [
            (ALLOW, "GET, HEAD"),
            (WWW_AUTHENTICATE, "Bearer"),
            (CONTENT_TYPE, "application/problem+json"),
            (CACHE_CONTROL, "no-store"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ] {
            assert_eq!(response.headers()[name], value);
        }
    }
}
