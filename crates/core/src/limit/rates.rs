//! Rates that follow one another by the bytes a stream has sent.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::per_second::Rate;
use super::units::{RateOrOff, Size};
use crate::excerpt::excerpt;

/// How many characters of an invalid text are quoted.
const MAX_QUOTED: usize = 40;

/// The rate of a stream by the bytes it has sent: one rate, or first others, each for some bytes.
///
/// As text a single rate, or `2m for 10m, 500k`: 2 MiB/s for the first 10 MiB, then 500 KiB/s. `off` is unlimited. The last
/// rate of several is never `off`.
///
/// ```
/// use sluicegate_core::limit::{Rate, Rates};
///
/// let rates: Rates = "off for 64k, 2m for 10m, 500k".parse()?;
/// assert_eq!(rates.at(65_535), None);
/// assert_eq!(rates.at(65_536), Rate::or_unlimited(2 << 20));
/// assert_eq!(rates.at(u64::MAX), Rate::or_unlimited(500 << 10));
/// assert_eq!(rates.to_string(), "off for 64k, 2m for 10m, 500k");
/// # Ok::<(), sluicegate_core::limit::RatesError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// `None` if there is one rate only. Never empty.
    first: Option<Arc<[Part]>>,
    last: Option<Rate>,
}

/// A rate that holds for some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// `None` is unlimited.
    pub(crate) rate: Option<Rate>,
    /// The position in the stream at which it ends.
    pub(crate) end: u64,
}

impl Rates {
    /// The most rates before the last.
    pub const MAX_FIRST: usize = 16;

    /// Creates rates that hold for the bytes beside each, then `last`.
    ///
    /// # Errors
    /// A part has no bytes, there are more than [`MAX_FIRST`](Self::MAX_FIRST) parts or than 2⁶⁴ bytes in them, or the last
    /// of several is unlimited.
    pub fn new(first: &[(Option<Rate>, u64)], last: Option<Rate>) -> Result<Self, RatesError> {
        let error = |text: &str| Err(RatesError(text.to_owned()));
        if first.is_empty() {
            return Ok(last.into());
        }
        if first.len() > Self::MAX_FIRST {
            return error("there are more than 16 rates before the last; leave some out");
        }
        if last.is_none() {
            return error("the last rate cannot be off: it holds for the rest of the stream; write a rate");
        }
        let mut end = 0_u64;
        let mut parts = Vec::with_capacity(first.len());
        for &(rate, bytes) in first {
            if bytes == 0 {
                return error("a rate for no bytes does nothing; leave it out");
            }
            let Some(sum) = end.checked_add(bytes) else {
                return error("the rates before the last are for more than 2^64 bytes");
            };
            end = sum;
            parts.push(Part { rate, end });
        }
        Ok(Self { first: Some(parts.into()), last })
    }

    /// Reads rates from their texts in order, such as `2m for 10m` and `500k`.
    ///
    /// # Errors
    /// One is not a rate with its bytes, the last is not a rate, or those of [`new`](Self::new).
    pub fn from_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, RatesError> {
        let mut texts: Vec<&str> = texts.into_iter().map(str::trim).collect();
        let Some(last) = texts.pop() else {
            return Err(RatesError("it has no rate; write one, such as 500k".to_owned()));
        };
        let first = texts.into_iter().map(part).collect::<Result<Vec<_>, _>>()?;
        if words(last).is_some() {
            let text = excerpt(last, MAX_QUOTED);
            return Err(RatesError(format!(
                "nothing follows {text:?}; the last rate holds for the rest of the stream, and has no size"
            )));
        }
        let RateOrOff(last) = last.parse().map_err(RatesError::of)?;
        Self::new(&first, last)
    }

    /// Returns the rate of the rest of the stream; `None` is unlimited.
    pub fn last(&self) -> Option<Rate> {
        self.last
    }

    /// Returns whether one rate holds for the whole stream.
    pub fn is_single(&self) -> bool {
        self.first.is_none()
    }

    /// Returns the rate of the byte behind the first `sent`; `None` is unlimited.
    pub fn at(&self, sent: u64) -> Option<Rate> {
        self.first().iter().find(|part| sent < part.end).map_or(self.last, |part| part.rate)
    }

    /// Returns the fastest; `None` if one is unlimited.
    pub fn fastest(&self) -> Option<Rate> {
        self.first().iter().map(|part| part.rate).try_fold(self.last?, |most, rate| Some(most.max(rate?)))
    }

    /// Returns each as it is written, such as `2m for 10m` and `500k`.
    pub fn texts(&self) -> Vec<String> {
        let mut begin = 0;
        let first = self.first().iter().map(|part| {
            let bytes = part.end - std::mem::replace(&mut begin, part.end);
            format!("{} for {}", RateOrOff(part.rate), Size::new(bytes))
        });
        first.chain([RateOrOff(self.last).to_string()]).collect()
    }

    /// The parts before the last rate.
    pub(crate) fn first(&self) -> &[Part] {
        self.first.as_deref().unwrap_or_default()
    }

    /// The same parts before another last rate.
    pub(super) fn with_last(first: Option<Arc<[Part]>>, last: Option<Rate>) -> Self {
        Self { first, last }
    }

    pub(super) fn into_parts(self) -> (Option<Arc<[Part]>>, Option<Rate>) {
        (self.first, self.last)
    }
}

/// The two halves of `2m for 10m`.
fn words(text: &str) -> Option<(&str, &str)> {
    let (rate, size) = text.split_once(" for ")?;
    Some((rate.trim(), size.trim()))
}

fn part(text: &str) -> Result<(Option<Rate>, u64), RatesError> {
    let Some((rate, size)) = words(text) else {
        let text = excerpt(text, MAX_QUOTED);
        return Err(RatesError(format!(
            "{text:?} does not say for how many bytes; write such as \"2m for 10m\""
        )));
    };
    let RateOrOff(rate) = rate.parse().map_err(RatesError::of)?;
    let size: Size = size.parse().map_err(RatesError::of)?;
    Ok((rate, size.bytes()))
}

impl From<Option<Rate>> for Rates {
    fn from(rate: Option<Rate>) -> Self {
        Self { first: None, last: rate }
    }
}

impl From<Rate> for Rates {
    fn from(rate: Rate) -> Self {
        Some(rate).into()
    }
}

impl FromStr for Rates {
    type Err = RatesError;

    fn from_str(text: &str) -> Result<Self, RatesError> {
        Self::from_texts(text.split(','))
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.texts().join(", "))
    }
}

/// Why texts are not [`Rates`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RatesError(String);

impl RatesError {
    fn of(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for RatesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RatesError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(bytes_per_second: u64) -> Option<Rate> {
        Rate::or_unlimited(bytes_per_second)
    }

    #[test]
    fn each_rate_holds_up_to_its_edge_and_not_a_byte_longer() {
        let rates: Rates = "2m for 10m, off for 1B, 500k".parse().unwrap();
        let (edge, fast, slow) = (10 << 20, rate(2 << 20), rate(500 << 10));
        for (sent, expected) in
            [(0, fast), (edge - 1, fast), (edge, None), (edge + 1, slow), (u64::MAX, slow)]
        {
            assert_eq!(rates.at(sent), expected, "{sent}");
        }
        assert_eq!((rates.fastest(), rates.last(), rates.is_single()), (None, slow, false));
        assert_eq!("2m for 10m, 500k".parse::<Rates>().unwrap().fastest(), fast);
        assert_eq!("1k for 10m, 500k".parse::<Rates>().unwrap().fastest(), slow);
    }

    #[test]
    fn rates_are_printed_as_they_are_read() {
        for (text, shown) in [
            ("60", "60k"),
            ("off", "off"),
            ("2m for 10m,500k", "2m for 10m, 500k"),
            (" off  for  64k , 8mbit ", "off for 64k, 8mbit"),
            ("1B for 1B, 2B for 2B, 3B", "1B for 1B, 2B for 2B, 3B"),
        ] {
            let rates: Rates = text.parse().unwrap();
            assert_eq!(rates.to_string(), shown, "{text}");
            assert_eq!(shown.parse(), Ok(rates));
        }
        assert_eq!(Rates::from(rate(5)), "5B".parse().unwrap());
    }

    #[test]
    fn what_is_no_list_of_rates_is_refused_with_the_reason() {
        let many = format!("{}1k", "1k for 1k, ".repeat(17));
        for (text, expected) in [
            ("", "it is empty"),
            ("2m, 500k", "\"2m\" does not say for how many bytes; write such as \"2m for 10m\""),
            ("2m for 10m", "nothing follows \"2m for 10m\""),
            ("2m for 10m, off", "the last rate cannot be off"),
            ("2m for 10, 1k", "a plain number does not say bytes or KiB"),
            ("2m for 0B, 1k", "a rate for no bytes"),
            ("0 for 1m, 1k", "at zero nothing would ever leave"),
            ("2x for 1m, 1k", "the unit \"x\" is not known"),
            ("1k for 18446744073709551615B, 1k for 1B, 1k", "more than 2^64 bytes"),
            (&many, "more than 16 rates"),
        ] {
            let error = text.parse::<Rates>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
        assert!("1k for 18446744073709551614B, 1k for 1B, 1k".parse::<Rates>().is_ok());
    }
}
