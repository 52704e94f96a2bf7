//! Time zones by name, and points in time as people write them.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::words::shorten;

/// A time zone by its name in the IANA database, such as `Europe/Berlin`. The default is UTC.
///
/// The system's database is used if there is one, else that which comes with the program.
#[derive(Clone, PartialEq)]
pub struct Zone(TimeZone);

text_error! {
    /// Why a text names no time zone. Says what to write.
    ZoneError
}

text_error! {
    /// Why a text is no point in time. Says what to write.
    MomentError
}

impl Zone {
    /// Returns the point in time that `text` names: `2026-12-24 23:30` by the clock of this zone, or with an offset,
    /// `2026-12-24T23:30:00Z`. A time that the clock shows twice is the first, one that it jumps over is as much later.
    ///
    /// # Errors
    /// It is not one.
    pub fn moment(&self, text: &str) -> Result<SystemTime, MomentError> {
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(at.into());
        }
        let at = text.parse::<DateTime>().ok().and_then(|local| self.0.to_timestamp(local).ok());
        at.map(SystemTime::from).ok_or_else(|| {
            let text = shorten(text);
            MomentError(format!("{text:?} is not a point in time; write such as \"2026-12-24 23:30\""))
        })
    }

    /// Returns `at` by the clock of this zone, such as `Thu 2026-12-24 23:30 CET`, with seconds where they are not zero.
    pub fn show(&self, at: SystemTime) -> String {
        let Ok(at) = Timestamp::try_from(at) else { return "a time beyond the calendar".to_owned() };
        let zoned = at.to_zoned(self.0.clone());
        let form = if zoned.second() == 0 { "%a %Y-%m-%d %H:%M %Z" } else { "%a %Y-%m-%d %H:%M:%S %Z" };
        zoned.strftime(form).to_string()
    }

    pub(super) fn local(&self, at: Timestamp) -> DateTime {
        self.0.to_datetime(at)
    }

    pub(super) fn offsets(&self, local: DateTime) -> AmbiguousOffset {
        self.0.to_ambiguous_timestamp(local).offset()
    }

    /// When the day before `date` ends.
    pub(super) fn local_end(&self, date: Date) -> Option<Timestamp> {
        self.0.to_timestamp(date.at(0, 0, 0, 0)).ok()
    }

    /// When the clock jumps after `after`, up to `end`.
    pub(super) fn jumps(&self, after: Timestamp, end: Timestamp) -> impl Iterator<Item = Timestamp> {
        let jumps = self.0.following(after).map(|jump| jump.timestamp());
        jumps.take_while(move |at| *at <= end).collect::<Vec<_>>().into_iter()
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Self, ZoneError> {
        TimeZone::get(text).map(Self).map_err(|_| {
            let text = shorten(text);
            ZoneError(format!(
                "no time zone is called {text:?}; write a name of the IANA database, such as Europe/Berlin"
            ))
        })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.iana_name().unwrap_or("UTC"))
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({self})")
    }
}
