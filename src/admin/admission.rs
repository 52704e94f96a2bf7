//! Admission to the admin listener: by token, or else by the Host field.
//!
//! The Host field is checked against DNS rebinding: a web page can have its own name resolve to 127.0.0.1, and its browser
//! would then let it read the answers. It cannot choose the Host field, which still has that name. With a token the
//! check is not needed, since no page knows it. Browsers do not reach Unix sockets.

use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, Response, StatusCode, request};

use crate::http::answer;
use crate::http::content::Content;
use crate::http::host::{self, HostFault};
use crate::token::Token;

/// What the listener requires of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admission<'a> {
    pub(super) token: Option<&'a Token>,
    /// A token that lets its holder look, and change nothing.
    pub(super) read_only: Option<&'a Token>,
    /// Whether the request came over a Unix socket.
    pub(super) over_unix: bool,
}

/// What an admitted request may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Changes,
    Reads,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// HTTP/1.1 without Host, or with more than one (RFC 9112 section 3.2).
    NotOneHost,
    /// A name that others can make resolve to this machine.
    ForeignHost,
    NoToken,
}

impl Admission<'_> {
    /// Checks a request. A `public` page needs no token, since probes have none.
    pub(super) fn check(&self, head: &request::Parts, public: bool) -> Result<Access, Refusal> {
        let admits = |token: &Token| token.admits(&head.headers);
        match self.token {
            // While both hold the same token, nobody who has it is known to be one who may change things.
            Some(token) if admits(token) && self.read_only.is_some_and(admits) => Ok(Access::Reads),
            Some(token) if admits(token) => Ok(Access::Changes),
            Some(_) if public || self.read_only.is_some_and(admits) => Ok(Access::Reads),
            Some(_) => Err(Refusal::NoToken),
            None if self.over_unix => Ok(Access::Changes),
            None => check_host(head).map(|()| Access::Changes),
        }
    }
}

fn check_host(head: &request::Parts) -> Result<(), Refusal> {
    host::check(&head.uri, &head.headers, head.version, host::is_loopback).map_err(|fault| match fault {
        HostFault::NotOne => Refusal::NotOneHost,
        HostFault::Foreign => Refusal::ForeignHost,
    })
}

impl Refusal {
    pub(super) const CHALLENGE: &str = "Bearer realm=\"sluicegate admin\"";

    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::NotOneHost => StatusCode::BAD_REQUEST,
            Self::ForeignHost => StatusCode::MISDIRECTED_REQUEST,
            Self::NoToken => StatusCode::UNAUTHORIZED,
        }
    }

    /// The reason, and what to do.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::NotOneHost => "A request must have exactly one Host field.",
            Self::ForeignHost => {
                "Without a token this listener is served under localhost and loopback addresses only, since a web \
                 page could use another name to read it through a browser."
            }
            Self::NoToken => "Send the token: Authorization: Bearer TOKEN",
        }
    }

    pub(super) fn into_response(self) -> Response<Content> {
        let mut response = answer::plain(self.status(), self.text());
        if self == Self::NoToken {
            let challenge = HeaderValue::from_static(Self::CHALLENGE);
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use http::header::HOST;
    use http::{Request, Version};

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn head(version: Version, target: &str, hosts: &[&str], authorization: Option<&str>) -> request::Parts {
        let mut request = Request::builder().version(version).uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn without_a_token_only_names_that_nobody_else_can_bind_are_answered() {
        let admission = Admission { token: None, read_only: None, over_unix: false };
        for (host, ours) in
            [("localhost:9180", true), ("127.0.0.1", true), ("evil.example", false), ("", false)]
        {
            let asked = admission.check(&head(Version::HTTP_11, "/metrics", &[host], None), false);
            assert_eq!(asked, if ours { Ok(Access::Changes) } else { Err(Refusal::ForeignHost) }, "{host:?}");
        }
        for (version, target, hosts, expected) in [
            (Version::HTTP_10, "/metrics", &[][..], Ok(Access::Changes)),
            (Version::HTTP_10, "/metrics", &["evil.example"], Err(Refusal::ForeignHost)),
            (Version::HTTP_11, "/metrics", &[], Err(Refusal::NotOneHost)),
            (Version::HTTP_11, "/metrics", &["localhost", "localhost"], Err(Refusal::NotOneHost)),
            (Version::HTTP_11, "http://localhost:1/metrics", &["localhost"], Ok(Access::Changes)),
            (Version::HTTP_11, "http://evil.example/metrics", &["localhost"], Err(Refusal::ForeignHost)),
            (Version::HTTP_11, "http://localhost/metrics", &["evil.example"], Err(Refusal::ForeignHost)),
        ] {
            let asked = admission.check(&head(version, target, hosts, None), true);
            assert_eq!(asked, expected, "{version:?} {target} {hosts:?}");
        }
    }

    #[test]
    fn a_token_takes_the_place_of_the_host_and_probes_need_none() {
        let token = Token::new(TOKEN).unwrap();
        let reader = Token::new("fedcba9876543210").unwrap();
        let right = format!("Bearer {TOKEN}");
        for (over_unix, read_only, looks) in [
            (false, None, Err(Refusal::NoToken)),
            (true, None, Err(Refusal::NoToken)),
            (false, Some(&reader), Ok(Access::Reads)),
            (true, Some(&reader), Ok(Access::Reads)),
        ] {
            let admission = Admission { token: Some(&token), read_only, over_unix };
            for (authorization, public, expected) in [
                (Some(right.as_str()), false, Ok(Access::Changes)),
                (Some(right.as_str()), true, Ok(Access::Changes)),
                (Some("Bearer fedcba9876543210"), false, looks),
                (Some("Bearer wrong"), false, Err(Refusal::NoToken)),
                (None, false, Err(Refusal::NoToken)),
                (None, true, Ok(Access::Reads)),
                (Some("Bearer wrong"), true, Ok(Access::Reads)),
            ] {
                let head = head(Version::HTTP_11, "/metrics", &["any.example"], authorization);
                assert_eq!(admission.check(&head, public), expected, "{authorization:?} {public}");
            }
        }
        let same = Admission { token: Some(&token), read_only: Some(&token), over_unix: false };
        let asked = same.check(&head(Version::HTTP_11, "/metrics", &["any"], Some(&right)), false);
        assert_eq!(asked, Ok(Access::Reads), "one token for both only looks");
        let open = Admission { token: None, read_only: None, over_unix: true };
        assert_eq!(
            open.check(&head(Version::HTTP_11, "/metrics", &["any"], None), false),
            Ok(Access::Changes)
        );
    }
}
