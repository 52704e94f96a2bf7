//! The W3C trace context of a publisher: taken whole or not at all.

use std::fmt;
use std::str::FromStr;

/// A `traceparent` (W3C Trace Context, level 1): sent on with its event, unchanged.
///
/// ```
/// use sluicegate::events::TraceParent;
///
/// let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let parent: TraceParent = text.parse()?;
/// assert_eq!((parent.to_string().as_str(), parent.is_sampled()), (text, true));
/// assert!("00-00000000000000000000000000000000-00f067aa0ba902b7-01".parse::<TraceParent>().is_err());
/// # Ok::<(), sluicegate::events::BadTrace>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    trace: u128,
    parent: u64,
    flags: u8,
}

/// Not a `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadTrace;

impl TraceParent {
    /// The trace's id.
    pub fn trace_id(self) -> u128 {
        self.trace
    }

    /// The id of the publisher's span.
    pub fn parent_id(self) -> u64 {
        self.parent
    }

    /// Whether the publisher samples the trace.
    pub fn is_sampled(self) -> bool {
        self.flags & 1 == 1
    }
}

impl FromStr for TraceParent {
    type Err = BadTrace;

    fn from_str(text: &str) -> Result<Self, BadTrace> {
        let mut parts = text.split('-');
        let mut hex = |len: usize| {
            let part = parts.next().ok_or(BadTrace)?;
            let is_hex = part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            if part.len() == len && is_hex {
                u128::from_str_radix(part, 16).map_err(|_| BadTrace)
            } else {
                Err(BadTrace)
            }
        };
        let (version, trace, parent, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
        // Later versions may have more parts; version 0 has four, and version 255 is invalid.
        let ends = parts.next().is_none();
        if version == 0xff || (version == 0 && !ends) || trace == 0 || parent == 0 {
            return Err(BadTrace);
        }
        Ok(Self { trace, parent: parent as u64, flags: flags as u8 })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.parent, self.flags)
    }
}

impl fmt::Display for BadTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a traceparent: write 00-<32 hex digits>-<16 hex digits>-<2 hex digits>, lower case")
    }
}

impl std::error::Error for BadTrace {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_recommendation_calls_valid_is_taken() {
        let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        for (text, good) in [
            (format!("00-{trace}-{parent}-01"), true),
            (format!("00-{trace}-{parent}-00"), true),
            (format!("01-{trace}-{parent}-01"), true),
            (format!("01-{trace}-{parent}-01-what-the-future-will-be-like"), true),
            (format!("00-{trace}-{parent}-01-more"), false),
            (format!("ff-{trace}-{parent}-01"), false),
            (format!("00-{trace}-{}-01", "0".repeat(16)), false),
            (format!("00-{}-{parent}-01", "0".repeat(32)), false),
            (format!("00-{}-{parent}-01", trace.to_uppercase()), false),
            (format!("00-{trace}-{parent}"), false),
            (format!("00-+bf92f3577b34da6a3ce929d0e0e4736-{parent}-01"), false),
            (String::new(), false),
        ] {
            assert_eq!(text.parse::<TraceParent>().is_ok(), good, "{text}");
        }
    }
}
