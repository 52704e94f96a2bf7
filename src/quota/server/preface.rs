//! Checks that a request is a gRPC call over HTTP/2 ("Requests" in the protocol's description).

use http::header::{ALLOW, CONTENT_TYPE, HeaderMap, TE};
use http::{HeaderValue, Method, Response, StatusCode};
use tonic::body::Body;

/// Why a request is not a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoCall {
    /// The method is not POST.
    Method,
    /// The content type is not gRPC.
    ContentType,
    /// `te: trailers` is missing: a proxy in between might drop trailers, and with them the status.
    Te,
}

/// Checks the head of a request.
pub(super) fn check(method: &Method, headers: &HeaderMap) -> Result<(), NoCall> {
    if method != Method::POST {
        return Err(NoCall::Method);
    }
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    match (kinds.next(), kinds.next()) {
        (Some(kind), None) if is_grpc(kind) => {}
        _ => return Err(NoCall::ContentType),
    }
    let mut codings =
        headers.get_all(TE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    if codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers")) {
        Ok(())
    } else {
        Err(NoCall::Te)
    }
}

/// `application/grpc`, with or without the message's format and parameters. The one format there is here is proto.
fn is_grpc(kind: &HeaderValue) -> bool {
    let Ok(kind) = kind.to_str() else { return false };
    let kind = kind.split(';').next().unwrap_or_default().trim();
    ["application/grpc", "application/grpc+proto"].iter().any(|grpc| kind.eq_ignore_ascii_case(grpc))
}

impl NoCall {
    /// A plain HTTP answer, since the caller does not speak gRPC.
    pub(super) fn into_response(self) -> Response<Body> {
        let (status, text) = match self {
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "Calls of gRPC are POST.\n"),
            Self::ContentType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "This is a gRPC server: send content-type: application/grpc.\n",
            ),
            Self::Te => (
                StatusCode::BAD_REQUEST,
                "A call has te: trailers; if its client sends that, a proxy before this server drops it.\n",
            ),
        };
        let mut response = Response::new(Body::new(text.to_owned()));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if self == Self::Method {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_post_of_grpc_whose_caller_reads_trailers() {
        for (method, kinds, codings, expected) in [
            ("POST", &["application/grpc"][..], &["trailers"][..], Ok(())),
            ("POST", &["Application/GRPC+proto"], &["gzip, Trailers"], Ok(())),
            ("POST", &["application/grpc; charset=utf-8"], &["gzip", "trailers"], Ok(())),
            ("GET", &["application/grpc"], &["trailers"], Err(NoCall::Method)),
            ("POST", &[], &["trailers"], Err(NoCall::ContentType)),
            ("POST", &["text/plain"], &["trailers"], Err(NoCall::ContentType)),
            ("POST", &["application/grpc-web"], &["trailers"], Err(NoCall::ContentType)),
            ("POST", &["application/grpc+json"], &["trailers"], Err(NoCall::ContentType)),
            ("POST", &["application/grpcx"], &["trailers"], Err(NoCall::ContentType)),
            ("POST", &["application/grpc", "text/plain"], &["trailers"], Err(NoCall::ContentType)),
            ("POST", &["application/grpc"], &[], Err(NoCall::Te)),
            ("POST", &["application/grpc"], &["trailer"], Err(NoCall::Te)),
        ] {
            let mut headers = HeaderMap::new();
            kinds.iter().for_each(|kind| _ = headers.append(CONTENT_TYPE, kind.parse().unwrap()));
            codings.iter().for_each(|coding| _ = headers.append(TE, coding.parse().unwrap()));
            assert_eq!(check(&method.parse().unwrap(), &headers), expected, "{method} {kinds:?} {codings:?}");
        }
    }
}
