//! Parses and prints rates, bursts and sizes as numbers of bytes; the types are in `units.rs`.

use std::fmt;

use crate::excerpt::excerpt;

/// How many characters of an invalid text are quoted.
const MAX_QUOTED: usize = 40;

/// Why a text is not a rate, burst or size; displayed with examples of valid ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitError {
    quantity: Quantity,
    /// The text, shortened.
    text: String,
    fault: Fault,
}

/// What a text is parsed as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    Rate,
    RateOrOff,
    Burst,
    Size,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Empty,
    Space,
    Negative,
    NotANumber,
    UnknownUnit(String),
    NoUnit,
    Bits,
    Zero,
    Off,
    PartOfAByte,
    TooLarge,
}

struct Unit {
    name: &'static str,
    bytes: u64,
    bits: bool,
}

/// Of equally short texts the first unit is printed.
const UNITS: [Unit; 7] = [
    Unit { name: "g", bytes: 1 << 30, bits: false },
    Unit { name: "m", bytes: 1 << 20, bits: false },
    Unit { name: "k", bytes: 1 << 10, bits: false },
    Unit { name: "B", bytes: 1, bits: false },
    Unit { name: "gbit", bytes: 125_000_000, bits: true },
    Unit { name: "mbit", bytes: 125_000, bits: true },
    Unit { name: "kbit", bytes: 125, bits: true },
];

const KIB: u64 = 1 << 10;

/// Parses `text` as bytes, or bytes per second.
fn parse(text: &str, quantity: Quantity) -> Result<u64, Fault> {
    if text.is_empty() {
        return Err(Fault::Empty);
    }
    if text.contains(char::is_whitespace) {
        return Err(Fault::Space);
    }
    if let Some(positive) = text.strip_prefix('-') {
        let is_number = positive.starts_with(|c: char| c.is_ascii_digit());
        return Err(if is_number { Fault::Negative } else { Fault::NotANumber });
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, letters) = text.split_at(end);
    if number.is_empty() {
        return Err(if letters.eq_ignore_ascii_case("off") { Fault::Off } else { Fault::NotANumber });
    }
    let unit = if letters.is_empty() {
        if quantity == Quantity::Size { Err(Fault::NoUnit) } else { Ok(KIB) }
    } else {
        match UNITS.iter().find(|unit| unit.name.eq_ignore_ascii_case(letters)) {
            Some(unit) if unit.bits && !quantity.is_rate() => Err(Fault::Bits),
            Some(unit) => Ok(unit.bytes),
            None => Err(Fault::UnknownUnit(excerpt(letters, MAX_QUOTED))),
        }
    };
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return Err(Fault::NotANumber),
        None => (number, ""),
    };
    if whole.is_empty() || fraction.contains('.') {
        return Err(Fault::NotANumber);
    }
    let bytes = multiply(whole, fraction, unit?)?;
    if bytes == 0 && quantity.is_rate() { Err(Fault::Zero) } else { Ok(bytes) }
}

/// `whole.fraction × unit`, exactly.
fn multiply(whole: &str, fraction: &str, unit: u64) -> Result<u64, Fault> {
    /// More decimals than these never give whole bytes: 2³⁰, the largest power in a unit, has 30.
    const MAX_DECIMALS: usize = 30;

    let unit = u128::from(unit);
    let whole: u64 = match whole.trim_start_matches('0') {
        "" => 0,
        digits => digits.parse().map_err(|_| Fault::TooLarge)?,
    };
    let mut bytes = u128::from(whole) * unit;
    let fraction = fraction.trim_end_matches('0');
    if !fraction.is_empty() {
        if fraction.len() > MAX_DECIMALS {
            return Err(Fault::PartOfAByte);
        }
        let digits: u128 = fraction.parse().map_err(|_| Fault::NotANumber)?;
        let scale = 10_u128.pow(fraction.len() as u32);
        // Reduced first: 30 decimals times 2³⁰ would be too large even for this type.
        let common = greatest_common_divisor(unit, scale);
        let (unit, scale) = (unit / common, scale / common);
        if !(digits * unit).is_multiple_of(scale) {
            return Err(Fault::PartOfAByte);
        }
        bytes += digits * unit / scale;
    }
    u64::try_from(bytes).map_err(|_| Fault::TooLarge)
}

fn greatest_common_divisor(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Returns the shortest text that [`Quantity::read`] parses to the same number.
pub(super) fn spell(bytes: u64, quantity: Quantity) -> String {
    UNITS
        .iter()
        .filter(|unit| quantity.is_rate() || !unit.bits)
        .filter_map(|unit| Some(decimal(bytes, unit.bytes)? + unit.name))
        .min_by_key(String::len)
        .unwrap_or_else(|| format!("{bytes}B"))
}

/// `bytes ÷ unit` with at most three decimals, if that is exact and not below one.
fn decimal(bytes: u64, unit: u64) -> Option<String> {
    let (whole, rest) = (bytes / unit, bytes % unit * 1000);
    if whole == 0 || rest % unit != 0 {
        return None;
    }
    let decimals = format!("{whole}.{:03}", rest / unit);
    Some(decimals.trim_end_matches('0').trim_end_matches('.').to_owned())
}

impl Quantity {
    fn is_rate(self) -> bool {
        matches!(self, Self::Rate | Self::RateOrOff)
    }

    /// Parses `text` as bytes, or bytes per second.
    pub(super) fn read(self, text: &str) -> Result<u64, UnitError> {
        parse(text, self).map_err(|fault| self.error(text, fault))
    }

    pub(super) fn error(self, text: &str, fault: Fault) -> UnitError {
        UnitError { quantity: self, text: excerpt(text, MAX_QUOTED), fault }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Rate | Self::RateOrOff => "rate",
            Self::Burst => "burst",
            Self::Size => "size",
        }
    }

    fn good_spellings(self) -> &'static str {
        match self {
            Self::Rate => "60 (KiB/s), 500B, 64k, 1.5m, 1g (bytes/s) or 8mbit (bits/s)",
            Self::RateOrOff => "60 (KiB/s), 500B, 64k, 1.5m, 1g (bytes/s), 8mbit (bits/s) or off (unlimited)",
            Self::Burst => "256 (KiB), 500B, 64k, 1.5m or 1g; 0 is none",
            Self::Size => "500B, 64k, 1.5m or 1g",
        }
    }
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a {}: ", self.text, self.quantity.name())?;
        match &self.fault {
            Fault::Empty => f.write_str("it is empty"),
            Fault::Space => f.write_str("there is a space in it"),
            Fault::Negative => f.write_str("it is negative"),
            Fault::NotANumber => f.write_str("it does not begin with a plain number"),
            Fault::UnknownUnit(unit) => write!(f, "the unit {unit:?} is not known"),
            Fault::NoUnit => f.write_str("a plain number does not say bytes or KiB"),
            Fault::Bits => f.write_str("bits are for rates only"),
            Fault::Zero if self.quantity == Quantity::RateOrOff => {
                f.write_str("at zero nothing would ever leave; for unlimited use `off`")
            }
            Fault::Zero => f.write_str("at zero nothing would ever leave"),
            Fault::Off => f.write_str("`off` is for a rate that may be unlimited"),
            Fault::PartOfAByte => f.write_str("it is not a whole number of bytes"),
            Fault::TooLarge => f.write_str("it is above 2^64-1 bytes"),
        }?;
        write!(f, "; write {}", self.quantity.good_spellings())
    }
}

impl std::error::Error for UnitError {}
