//! Routes that refuse every request.

use http::{Request, Response, StatusCode};

use super::answer;
use super::body::RequestBody;
use super::content::Content;
use super::source::{Answer, Source, Visitor};
use crate::keys::Keys;

/// What a route answers that refuses every request, so that none of another route is served there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusalSource {
    /// The status: 400 to 599.
    pub status: StatusCode,
}

impl RefusalSource {
    /// Refuses with `status`.
    pub fn new(status: StatusCode) -> Self {
        Self { status }
    }

    /// Reads the key of a route that refuses. `None` if it is not there, or no status of an error.
    pub(crate) fn read(keys: &Keys<'_>) -> Option<Self> {
        let number = keys.number("refuse", 400..=599)?;
        let status = u16::try_from(number).ok().and_then(|number| StatusCode::from_u16(number).ok())?;
        Some(Self::new(status))
    }

    fn answer(self) -> Response<Content> {
        let reason = self.status.canonical_reason().unwrap_or("Refused");
        answer::plain(self.status, &format!("{reason}: this server does not serve this path."))
    }
}

/// A source that refuses.
pub(super) struct Refusal(pub(super) RefusalSource);

impl Source for Refusal {
    fn respond<'a>(&'a self, _: Request<RequestBody>, _: &'a str, _: Visitor<'a>) -> Answer<'a> {
        Box::pin(async move { self.0.answer() })
    }
}
