//! Rates, bursts and sizes as text.
//!
//! | text | means | where |
//! |---|---|---|
//! | `60` | 60 KiB (mod_ratelimit's `rate-limit 60`) | rates, bursts |
//! | `500B` | bytes | everywhere |
//! | `64k`, `1.5m`, `1g` | multiples of 1024 bytes (nginx's letters) | everywhere |
//! | `8mbit`, `64kbit`, `1gbit` | multiples of 1000 bits | rates |
//! | `off` | unlimited | where a rate is optional |
//!
//! Letter case is ignored. A text that is not a whole number of bytes is an error, never rounded.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde_core::de::{self, Deserialize, Deserializer};
use serde_core::ser::{Serialize, Serializer};

use super::notation::{Fault, Quantity, UnitError, spell};
use super::per_second::{Rate, ZeroRate};

impl Rate {
    /// Parses a rate, or `off` as `None`, which is unlimited.
    ///
    /// # Errors
    /// The text is neither. Zero is not `off`: a rate lowered by mistake must not lift the limit.
    pub fn parse_or_off(text: &str) -> Result<Option<Self>, UnitError> {
        text.parse().map(|RateOrOff(rate)| rate)
    }
}

/// An optional rate as text; `None`, which is unlimited, is `off`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateOrOff(pub Option<Rate>);

/// Bytes that may pass ahead of the pace. Zero, the default, is no burst.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Burst(u64);

impl Burst {
    /// Creates a burst of `bytes`.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// A size in bytes. Its text needs a unit: unlike a rate or burst, a plain number would be ambiguous.
///
/// ```
/// use sluicegate_core::limit::Size;
///
/// assert_eq!("64k".parse::<Size>()?.bytes(), 64 << 10);
/// assert!("64".parse::<Size>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

impl Size {
    /// Creates a size of `bytes`.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Rate {
    type Err = UnitError;

    /// Parses a rate; `off` is an error.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let bytes = Quantity::Rate.read(text)?;
        Self::new(bytes).map_err(|ZeroRate| Quantity::Rate.error(text, Fault::Zero))
    }
}

impl FromStr for RateOrOff {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text.eq_ignore_ascii_case("off") {
            return Ok(Self(None));
        }
        let bytes = Quantity::RateOrOff.read(text)?;
        Ok(Self(Rate::or_unlimited(bytes)))
    }
}

impl FromStr for Burst {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        Quantity::Burst.read(text).map(Self)
    }
}

impl FromStr for Size {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        Quantity::Size.read(text).map(Self)
    }
}

impl fmt::Display for Rate {
    /// Writes the shortest text that parses to the same rate.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&spell(self.bytes_per_second(), Quantity::Rate))
    }
}

impl fmt::Display for RateOrOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(rate) => rate.fmt(f),
            None => f.pad("off"),
        }
    }
}

impl fmt::Display for Burst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&spell(self.0, Quantity::Burst))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&spell(self.0, Quantity::Size))
    }
}

impl fmt::Debug for Burst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Burst({} B)", self.0)
    }
}

impl fmt::Debug for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Size({} B)", self.0)
    }
}

/// Accepts a string, an integer or a float.
struct Spelling<T>(PhantomData<T>);

impl<T: FromStr<Err = UnitError>> de::Visitor<'_> for Spelling<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or a text such as \"64k\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        // The shortest decimal of this number: as it was typed, without an exponent.
        self.visit_str(&number.to_string())
    }
}

macro_rules! serde_as_spelled {
    ($($type:ty),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Spelling(PhantomData))
            }
        }

        /// The text that [`Display`](fmt::Display) writes, which is read as the same value.
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

serde_as_spelled!(Rate, RateOrOff, Burst, Size);
