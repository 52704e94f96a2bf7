//! Limits of resources, in requests or bytes a second, and their spelling. Pure.

use std::fmt;
use std::str::FromStr;

use super::id::{Id, IdError};
use crate::excerpt::excerpt;
use crate::limit::{Rate, RateOrOff, UnitError};

/// The highest limit: 10^13 units a second (10 TB/s). In micro-units it just fits into 64 bits.
pub const MAX_PER_SECOND: u64 = 10_000_000_000_000;

/// Micro-units per unit: shares are counted in millionths of a unit a second, so that a limit of 1/s can be divided.
pub const MICRO: u64 = 1_000_000;

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Requests, or anything else that is counted one by one. Spelled `100/s`.
    Requests,
    /// Bytes. Spelled like every rate of bytes: `100m`, `8mbit`.
    Bytes,
}

/// Units a second shared by all clients of a resource: 1 to 10^13.
///
/// ```
/// use sluicegate::quota::{ResourceLimit, Unit};
///
/// let limit: ResourceLimit = "100/s".parse()?;
/// assert_eq!((limit.unit(), limit.per_second()), (Unit::Requests, 100));
/// let limit: ResourceLimit = "100m".parse()?;
/// assert_eq!((limit.unit(), limit.per_second()), (Unit::Bytes, 100 << 20));
/// assert_eq!(limit.to_string(), "100m");
/// # Ok::<(), sluicegate::quota::LimitError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceLimit {
    unit: Unit,
    per_second: u64,
}

/// A resource and its limit, spelled `api=100/s` or `egress=100m`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedLimit {
    /// The resource.
    pub resource: Id,
    /// Its limit.
    pub limit: ResourceLimit,
}

text_error! {
    /// Why a text or number is not a limit. Says what to write.
    LimitError
}

impl ResourceLimit {
    /// `per_second` units a second.
    ///
    /// # Errors
    /// Zero, or above [`MAX_PER_SECOND`].
    pub fn new(unit: Unit, per_second: u64) -> Result<Self, LimitError> {
        match per_second {
            0 => Err(LimitError("a limit of zero admits nothing; write at least 1 a second".to_owned())),
            1..=MAX_PER_SECOND => Ok(Self { unit, per_second }),
            _ => Err(LimitError(format!("the limit is above {MAX_PER_SECOND} a second; write less"))),
        }
    }

    /// What it counts.
    pub fn unit(self) -> Unit {
        self.unit
    }

    /// Units a second.
    pub fn per_second(self) -> u64 {
        self.per_second
    }

    /// Millionths of a unit a second.
    pub fn micros(self) -> u64 {
        self.per_second * MICRO
    }
}

/// Formats millionths of a unit a second for people: `33.333m`, `12.5/s`.
pub fn spell_micros(unit: Unit, micros: u64) -> String {
    match unit {
        Unit::Requests => {
            let text = format!("{}.{:06}", micros / MICRO, micros % MICRO);
            format!("{}/s", text.trim_end_matches('0').trim_end_matches('.'))
        }
        Unit::Bytes => {
            let bytes = micros / MICRO;
            let scales = [("g", 1u64 << 30), ("m", 1 << 20), ("k", 1 << 10)];
            match scales.into_iter().find(|(_, scale)| bytes >= *scale) {
                Some((letter, scale)) => {
                    // Truncated, not rounded: a share is not shown larger than it is.
                    let thousandths = u128::from(bytes) * 1000 / u128::from(scale);
                    let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
                    format!("{}{letter}", text.trim_end_matches('0').trim_end_matches('.'))
                }
                None => format!("{bytes}B"),
            }
        }
    }
}

impl FromStr for ResourceLimit {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        if let Some(number) = text.strip_suffix("/s") {
            if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
                let shown = excerpt(text, 40);
                return Err(LimitError(format!(
                    "{shown:?} is not a rate of requests; write a whole number: 100/s"
                )));
            }
            return Self::new(Unit::Requests, number.parse().unwrap_or(u64::MAX));
        }
        let rate: Result<Rate, UnitError> = text.parse();
        let rate = rate.map_err(|error| LimitError(format!("{error}; for requests write 100/s")))?;
        Self::new(Unit::Bytes, rate.bytes_per_second())
    }
}

impl FromStr for NamedLimit {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let (name, limit) = text.split_once('=').ok_or_else(|| {
            let shown = excerpt(text, 40);
            LimitError(format!("{shown:?} names no resource; write RESOURCE=LIMIT: egress=100m or api=100/s"))
        })?;
        let resource = name.parse();
        let resource =
            resource.map_err(|error: IdError| LimitError(format!("the resource's name: {error}")))?;
        Ok(Self { resource, limit: limit.parse()? })
    }
}

impl fmt::Display for ResourceLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit {
            Unit::Bytes => RateOrOff(Rate::or_unlimited(self.per_second)).fmt(f),
            Unit::Requests => f.pad(&format!("{}/s", self.per_second)),
        }
    }
}

impl fmt::Display for NamedLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.resource, self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_printed() {
        for (text, unit, per_second) in [
            ("api=100/s", Unit::Requests, 100),
            ("api=1/s", Unit::Requests, 1),
            ("api=10000000000000/s", Unit::Requests, MAX_PER_SECOND),
            ("egress=100m", Unit::Bytes, 100 << 20),
            ("egress=500B", Unit::Bytes, 500),
            ("egress=8mbit", Unit::Bytes, 1_000_000),
        ] {
            let named: NamedLimit = text.parse().unwrap();
            assert_eq!((named.limit.unit(), named.limit.per_second()), (unit, per_second), "{text}");
            assert_eq!(named.to_string(), text);
        }
    }

    #[test]
    fn bad_limits_say_what_to_write() {
        for (text, expected) in [
            ("egress", "names no resource; write RESOURCE=LIMIT"),
            ("=100m", "the id is empty"),
            ("a b=100m", "character that ids do not have"),
            ("api=0/s", "a limit of zero"),
            ("api=/s", "is not a rate of requests"),
            ("api=-1/s", "is not a rate of requests"),
            ("api=1.5/s", "is not a rate of requests"),
            ("api=10000000000001/s", "above 10000000000000 a second"),
            ("api=99999999999999999999999/s", "above 10000000000000 a second"),
            ("egress=0", "at zero nothing would ever leave"),
            ("egress=-1m", "it is negative"),
            ("egress=99999g", "above 10000000000000 a second"),
            ("egress=off", "`off`"),
        ] {
            let error = text.parse::<NamedLimit>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn shares_are_shown_cut_off_at_three_decimals() {
        for (unit, micros, expected) in [
            (Unit::Bytes, 0, "0B"),
            (Unit::Bytes, 999_999, "0B"),
            (Unit::Bytes, 1023 * MICRO, "1023B"),
            (Unit::Bytes, 1024 * MICRO, "1k"),
            (Unit::Bytes, (100 << 20) * MICRO / 3, "33.333m"),
            (Unit::Bytes, (3 << 29) * MICRO, "1.5g"),
            (Unit::Bytes, ((1 << 20) - 1) * MICRO, "1023.999k"),
            (Unit::Requests, 100 * MICRO, "100/s"),
            (Unit::Requests, 33_333_333, "33.333333/s"),
            (Unit::Requests, 10, "0.00001/s"),
            (Unit::Requests, 0, "0/s"),
        ] {
            assert_eq!(spell_micros(unit, micros), expected);
        }
    }
}
