//! Why headers are refused.

use std::fmt;

use crate::rt::{Outcomes, Reason, TurnLost};

/// Headers of a server's listeners: received from trusted proxies, or refused for a reason.
pub type HeaderCounts = Outcomes<HeaderReason>;

/// Why a connection without a valid header is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderReason {
    /// The peer is not a trusted proxy.
    Untrusted,
    /// Something else came first, often plain HTTP or TLS.
    Missing,
    /// The peer closed the connection without a byte, as health checks do.
    Closed,
    /// The peer closed the connection within the header.
    Truncated,
    /// It is not a header of version 1 or 2.
    Malformed,
    /// It is longer than a header may be.
    TooLong,
    /// It took longer than it may.
    Timeout,
    /// Others had all turns for too long, or waited for its own when it had had that for long enough.
    Crowded,
}

impl Reason for HeaderReason {
    const ALL: &'static [Self] = &[
        Self::Untrusted,
        Self::Missing,
        Self::Closed,
        Self::Truncated,
        Self::Malformed,
        Self::TooLong,
        Self::Timeout,
        Self::Crowded,
    ];
}

impl HeaderReason {
    /// Its name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Untrusted => "untrusted",
            Self::Missing => "missing",
            Self::Closed => "closed",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::TooLong => "too_long",
            Self::Timeout => "timeout",
            Self::Crowded => "crowded",
        }
    }
}

/// Why a header was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeaderFailure {
    /// Why, in one word.
    pub reason: HeaderReason,
    detail: &'static str,
}

impl HeaderFailure {
    pub(super) const fn new(reason: HeaderReason, detail: &'static str) -> Self {
        Self { reason, detail }
    }

    /// The peer is not a trusted proxy.
    pub const UNTRUSTED: Self = Self::new(HeaderReason::Untrusted, "the peer is not one of trusted_proxies");
}

impl From<TurnLost> for HeaderFailure {
    fn from(lost: TurnLost) -> Self {
        match lost {
            TurnLost::NoTurn => {
                Self::new(HeaderReason::Crowded, "others had all turns for the whole of header_timeout")
            }
            TurnLost::Given => {
                Self::new(HeaderReason::Crowded, "others waited, and it had had its turn for a second")
            }
            TurnLost::TooSlow => {
                Self::new(HeaderReason::Timeout, "the header took longer than header_timeout")
            }
        }
    }
}

impl fmt::Display for HeaderFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail)
    }
}
