//! Fields of one hop, and others that a proxy does not pass on, in heads and trailers, in any spelling.
//!
//! CGI, WSGI and the like map `X_Forwarded_For` and `X-Forwarded-For` to one variable. So `_` in a name counts as
//! `-`, and a field that only looks like a guarded one is never passed on.

use http::header::{HeaderMap, HeaderName};

use super::connection_fields::is_of_connection;

/// Fields that claim a request's origin; also all that begin with `x-forwarded-`.
const CLAIMS: [&str; 3] = ["forwarded", "x-forwarded", "x-real-ip"];

/// Further fields that this hop reads, writes or removes.
const HOPS_OWN: [&str; 7] = [
    "content-encoding",
    "content-type",
    "expect",
    "host",
    "max-forwards",
    // CGI programs would see it as HTTP_PROXY ("httpoxy").
    "proxy",
    "via",
];

/// Further fields that must precede the content (RFC 9110, section 6.5.1): they change the meaning of the request or
/// of its response.
const BEFORE_CONTENT: [&str; 20] = [
    "age",
    "authorization",
    "cache-control",
    "content-range",
    "cookie",
    "date",
    "expires",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "location",
    "pragma",
    "range",
    "retry-after",
    "set-cookie",
    "vary",
    "warning",
    "www-authenticate",
];

/// Whether a field claims a request's origin, in any spelling.
pub(crate) fn is_claim(name: &HeaderName) -> bool {
    let name = name.as_str();
    CLAIMS.iter().any(|claim| is_alike(name, claim)) || begins_alike(name, "x-forwarded-")
}

/// Removes from a request's head what a client may not tell a backend: `Proxy`, spellings with `_` of guarded fields,
/// and unless the peer is `trusted`, all claims.
pub(crate) fn strip_request(fields: &mut HeaderMap, trusted: bool) {
    let passes = |name: &HeaderName| match name.as_str() {
        "proxy" => false,
        text if text.contains('_') => !is_claim(name) && !is_hops_own(text),
        _ => trusted || !is_claim(name),
    };
    // Usually there is nothing to remove, and nothing is allocated.
    let unfit: Vec<HeaderName> = fields.keys().filter(|name| !passes(name)).cloned().collect();
    for name in unfit {
        fields.remove(name);
    }
}

/// Whether a field may be a trailer. Fields that frame, route, authorize or name hops must precede the content, and
/// hop-by-hop fields do not describe it. Applies to trusted peers too.
pub(crate) fn may_trail(name: &HeaderName) -> bool {
    let text = name.as_str();
    let must_lead = BEFORE_CONTENT.iter().any(|field| is_alike(text, field));
    !must_lead && !is_claim(name) && !is_hops_own(text)
}

fn is_hops_own(name: &str) -> bool {
    is_of_connection(name)
        || HOPS_OWN.iter().any(|field| is_alike(name, field))
        || begins_alike(name, "x-accel-")
}

/// Whether `name`, in lower case, is `field` with `-` or `_`.
pub(crate) fn is_alike(name: &str, field: &str) -> bool {
    name.len() == field.len() && begins_alike(name, field)
}

fn begins_alike(name: &str, field: &str) -> bool {
    let spelt = |byte| if byte == b'_' { b'-' } else { byte };
    name.len() >= field.len() && name.bytes().zip(field.bytes()).all(|(one, other)| spelt(one) == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(names: &[&str]) -> HeaderMap {
        names.iter().map(|name| (name.parse().unwrap(), "1".parse().unwrap())).collect()
    }

    fn left(names: &[&str], trusted: bool) -> Vec<String> {
        let mut fields = fields(names);
        strip_request(&mut fields, trusted);
        let mut left: Vec<String> = fields.keys().map(|name| name.as_str().to_owned()).collect();
        left.sort();
        left
    }

    #[test]
    fn claims_pass_from_a_trusted_peer_only_and_look_alikes_from_nobody() {
        let claims = ["Forwarded", "X-Forwarded-For", "x-forwarded-port", "X-REAL-IP"];
        assert_eq!(left(&claims, false), [""; 0]);
        assert_eq!(left(&claims, true), ["forwarded", "x-forwarded-for", "x-forwarded-port", "x-real-ip"]);
        let never = [
            "X_Forwarded_For",
            "X-Forwarded_Proto",
            "x_forwarded-host",
            "X_Real_IP",
            "X-Real_IP",
            "X_Forwarded",
            "Proxy",
            "Content_Length",
            "Transfer_Encoding",
            "Keep_Alive",
            "Proxy_Authorization",
            "X_Accel_Redirect",
            "X-Accel_Limit_Rate",
        ];
        for trusted in [false, true] {
            assert_eq!(left(&never, trusted), [""; 0]);
        }
        // What only begins or ends alike, or is nobody's here, passes.
        let kept = ["forwarded-by", "proxys", "x-forward", "x-real-ip-2", "x_request_id", "xforwardedfor"];
        for trusted in [false, true] {
            assert_eq!(left(&kept, trusted), kept);
        }
    }

    #[test]
    fn trailers_describe_the_content_and_nothing_else() {
        for name in
            ["x-sum", "grpc-status", "grpc-message", "etag", "server-timing", "content-digest", "x_sum"]
        {
            assert!(may_trail(&name.parse().unwrap()), "{name}");
        }
        for name in [
            "Content-Length",
            "content_length",
            "Transfer-Encoding",
            "transfer_encoding",
            "Host",
            "Trailer",
            "TE",
            "Connection",
            "Keep-Alive",
            "Upgrade",
            "Via",
            "X-Accel-Redirect",
            "x_accel_limit_rate",
            "Forwarded",
            "X-Forwarded-For",
            "X_Forwarded_For",
            "X-Real_IP",
            "Proxy",
            "Authorization",
            "Proxy-Authorization",
            "Cookie",
            "Set-Cookie",
            "set_cookie",
            "Content-Type",
            "Content-Encoding",
            "Content-Range",
            "Cache-Control",
            "Range",
            "If-Range",
            "Expect",
            "Max-Forwards",
            "Location",
            "Vary",
            "WWW-Authenticate",
            "http2-settings",
            "proxy-connection",
            "proxy-authenticate",
        ] {
            assert!(!may_trail(&name.parse().unwrap()), "{name}");
        }
    }
}
