//! What is answered to a request that cannot be met: problem details (RFC 9457).

use headers::{ContentLength, HeaderMapExt};
use http::header::{ALLOW, CONTENT_TYPE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::admin::admission::Refusal;
use crate::http::answer;
use crate::http::content::Content;

/// Why a request was not met, and what to do about it.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    /// Always `about:blank`: the status says what kind of problem it is.
    r#type: &'static str,
    title: &'static str,
    #[serde(serialize_with = "number")]
    status: StatusCode,
    detail: String,
    /// The member of the content that is wrong, as a JSON pointer in a URI fragment (RFC 6901 section 6).
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    /// Methods that are allowed.
    #[serde(skip)]
    allow: Option<&'static str>,
    /// The token is what is missing.
    #[serde(skip)]
    challenge: bool,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Problem"),
            status,
            detail: detail.into(),
            pointer: None,
            allow: None,
            challenge: false,
        }
    }

    /// The member `name` of the content has a value it cannot have.
    pub(super) fn with_member(name: &str, detail: impl Into<String>) -> Self {
        let pointer = format!("#/{}", name.replace('~', "~0").replace('/', "~1"));
        Self { pointer: Some(pointer), ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail) }
    }

    /// Only these methods are allowed.
    pub(super) fn method(allow: &'static str) -> Self {
        let detail = format!("Not with this method: {allow}.");
        Self { allow: Some(allow), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, detail) }
    }

    pub(super) fn into_response(self) -> Response<Content> {
        let mut response = json(self.status, &self);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(Refusal::CHALLENGE));
        }
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self { challenge: refusal == Refusal::NoToken, ..Self::new(refusal.status(), refusal.text()) }
    }
}

/// A response of one JSON value.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response<Content> {
    // Maps with keys that are no texts alone fail, and we have none.
    let mut text = serde_json::to_string(value).unwrap_or_default();
    text.push('\n');
    written(status, text)
}

/// A response of JSON that is written already.
pub(super) fn written(status: StatusCode, text: impl Into<bytes::Bytes>) -> Response<Content> {
    let text = text.into();
    let mut response = answer::empty(status);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
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
        let problem = Problem::with_member("a/b~c", "not known");
        assert_eq!(
            serde_json::to_string(&problem).unwrap(),
            r##"{"type":"about:blank","title":"Unprocessable Entity","status":422,"detail":"not known","pointer":"#/a~1b~0c"}"##
        );
        let response = Problem::method("GET, HEAD").into_response();
        assert_eq!(
            (response.status().as_u16(), &response.headers()[ALLOW]),
            (405, &"GET, HEAD".parse().unwrap())
        );
        let response = Problem::from(Refusal::NoToken).into_response();
        assert!(response.status() == 401 && response.headers().contains_key(WWW_AUTHENTICATE));
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    }
}
