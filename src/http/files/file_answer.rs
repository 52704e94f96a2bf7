//! The answer with an open file: all of it, its ranges, or the news that the client has it.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use headers::{ContentRange, HeaderMapExt};
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LAST_MODIFIED, RANGE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, request};

use super::conditional::{self, Verdict};
use super::multipart;
use super::range::{self, Selected};
use super::version::Version;
use crate::brigade::{Brigade, Bucket, FileSlice};
use crate::filter::NotSent;
use crate::http::answer;
use crate::http::content::Content;

/// The answer to a request for this version of a file.
pub(super) fn with_file(request: &request::Parts, version: &Version, file: &Arc<File>) -> Response<Content> {
    if wants_whole(request) {
        return whole(version, file);
    }
    let mut response = match conditional::evaluate(&request.headers, &version.validators) {
        Verdict::Failed => answer::plain(
            StatusCode::PRECONDITION_FAILED,
            "The file is not in the state the request asked for.",
        ),
        Verdict::NotModified => {
            let mut response = answer::empty(StatusCode::NOT_MODIFIED);
            let not_sent =
                NotSent { content_type: version.fields[CONTENT_TYPE].clone(), length: version.size };
            response.extensions_mut().insert(not_sent);
            response
        }
        Verdict::Serve { ranges } => {
            let selected = match single(&request.headers) {
                // Ranges are defined for GET only (RFC 9110 §14.2).
                Some(field) if ranges && request.method == Method::GET => {
                    range::select(field.as_bytes(), version.size)
                }
                _ => Selected::Whole,
            };
            let mut response = match selected {
                Selected::Whole => return whole(version, file),
                Selected::Nothing => without_range(version.size),
                Selected::Parts(parts) => in_parts(version, file, &parts),
            };
            response.headers_mut().insert(ACCEPT_RANGES, version.fields[ACCEPT_RANGES].clone());
            response
        }
    };
    for name in [ETAG, LAST_MODIFIED] {
        if let Some(value) = version.fields.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// Whether a request asks for no range, and under no condition: most have none of these fields, and looking each up would
/// cost more than all else here.
pub(in crate::http) fn wants_whole(request: &request::Parts) -> bool {
    !request.headers.keys().any(|name| *name == RANGE || name.as_str().starts_with("if-"))
}

/// The `Range` field, if there is one and not several.
fn single(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut values = headers.get_all(RANGE).iter();
    let value = values.next();
    if values.next().is_some() { None } else { value }
}

/// All bytes of a file.
fn whole(version: &Version, file: &Arc<File>) -> Response<Content> {
    let mut response = Response::new(Content::Buckets(slice(file, 0..version.size)));
    *response.headers_mut() = version.fields.clone();
    response
}

fn without_range(size: u64) -> Response<Content> {
    let text = format!("The file has {size} bytes, and none of those asked for.");
    let mut response = answer::plain(StatusCode::RANGE_NOT_SATISFIABLE, &text);
    response.headers_mut().typed_insert(ContentRange::unsatisfied_bytes(size));
    response
}

/// Some bytes of a file, with the fields that describe them.
fn in_parts(version: &Version, file: &Arc<File>, parts: &[Range<u64>]) -> Response<Content> {
    let mut response = answer::empty(StatusCode::PARTIAL_CONTENT);
    let headers = response.headers_mut();
    let mut content_type = version.fields[CONTENT_TYPE].clone();
    let body = if let [part] = parts {
        // A selected part is never empty and lies within the file.
        let range = ContentRange::bytes(part.clone(), version.size).expect("a range with bytes in it");
        headers.typed_insert(range);
        slice(file, part.clone())
    } else {
        let boundary = multipart::boundary();
        let media_type = content_type.to_str().unwrap_or("application/octet-stream");
        let body = multipart::body(file, version.size, parts, media_type, &boundary);
        content_type = HeaderValue::from_str(&format!("multipart/byteranges; boundary={boundary}"))
            .expect("letters, digits and minus");
        body
    };
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CONTENT_LENGTH, body.bytes().into());
    *response.body_mut() = Content::Buckets(body);
    response
}

fn slice(file: &Arc<File>, range: Range<u64>) -> Brigade {
    let slice = FileSlice::new(Arc::clone(file), range.start, range.end - range.start);
    [Bucket::File(slice), Bucket::Eos].into_iter().collect()
}
