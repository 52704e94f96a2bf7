//! Times of the week, by the clock on the wall of a time zone.
//!
//! Pure: is passed the time. The only module that names jiff.
//!
//! The wall's clock decides, and nothing else: where it jumps over a boundary, as when summer time begins, the state changes at the
//! jump; what it shows twice, as when summer time ends, counts twice.

mod timetable;
mod zone;

use std::fmt;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::AmbiguousOffset;

use crate::words::shorten;
pub use timetable::{Held, Timetable};
pub use zone::{MomentError, Zone, ZoneError};

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// Days that are looked through for a change: two weeks, as the time of one may be passed over, the night before them, and the day at
/// whose end the last begins.
const DAYS: usize = 16;

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Times of the week in a time zone.
///
/// Each is written `Mon-Fri 08:00-18:00`: days, a time, or both. A time that ends before it begins ends on the next day, and its days are
/// those on which it begins. Minutes are whole; the end is not in it.
#[derive(Clone, Debug, PartialEq)]
pub struct During {
    spans: Vec<Span>,
    zone: Zone,
}

/// A time on some days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    /// From Monday on: whether it begins on this day.
    days: [bool; 7],
    /// Minutes after midnight.
    from: u16,
    /// Minutes after midnight; not above `from` if it ends on the next day.
    to: u16,
}

caused_error! {
    /// Why texts are no times of the week. Says what to write.
    DuringError {
        /// Whether there is no time.
        is_empty: empty,
        /// Whether there are more than [`During::MAX`].
        is_too_long: too_long,
    }
}

impl During {
    /// The most times.
    pub const MAX: usize = 64;

    /// Reads times, such as `Mon-Fri 08:00-18:00`, of the clock in `zone`.
    ///
    /// # Errors
    /// There is none or there are more than [`MAX`](Self::MAX), or one is not days and a time.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>, zone: Zone) -> Result<Self, DuringError> {
        let spans = texts.into_iter().map(Span::parse).collect::<Result<Vec<_>, _>>();
        let spans = spans.map_err(DuringError::other)?;
        match spans.len() {
            0 => Err(DuringError::empty("it has no time; write such as \"Mon-Fri 08:00-18:00\"")),
            1..=Self::MAX => Ok(Self { spans, zone }),
            _ => Err(DuringError::too_long(format!("it has more than {} times; leave some out", Self::MAX))),
        }
    }

    /// Returns whether it holds at `at`.
    pub fn holds_at(&self, at: SystemTime) -> bool {
        Timestamp::try_from(at).is_ok_and(|at| self.holds(at))
    }

    /// Returns the first instant after `after` from which on it holds if it does not hold at `after`, or the reverse; `None` if there
    /// is none.
    pub fn next_change(&self, after: SystemTime) -> Option<SystemTime> {
        let after = Timestamp::try_from(after).ok()?;
        let holds = self.holds(after);
        let mut candidates: Vec<Timestamp> = Vec::new();
        let mut date = self.zone.local(after).date().yesterday().ok()?;
        for _ in 0..DAYS {
            for minute in self.spans.iter().flat_map(|span| [span.from, span.to]) {
                candidates.extend(self.instants(date, minute).into_iter().flatten());
            }
            date = date.tomorrow().ok()?;
        }
        // Where the wall's clock jumps a boundary may be passed over.
        let end = self.zone.local_end(date)?;
        candidates.extend(self.zone.jumps(after, end));
        candidates.retain(|at| *at > after);
        candidates.sort_unstable();
        candidates.into_iter().find(|at| self.holds(*at) != holds).map(SystemTime::from)
    }

    /// Returns the time zone.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    fn holds(&self, at: Timestamp) -> bool {
        let local = self.zone.local(at);
        let day = usize::from(local.weekday().to_monday_zero_offset().unsigned_abs()) % 7;
        let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        self.spans.iter().any(|span| span.holds(day, minute))
    }

    /// When the wall's clock shows this time: not at all, once or twice.
    fn instants(&self, date: Date, minute: u16) -> [Option<Timestamp>; 2] {
        let (date, minute) = if minute < DAY { (Some(date), minute) } else { (date.tomorrow().ok(), 0) };
        let Some(date) = date else { return [None; 2] };
        let local = date.at((minute / 60) as i8, (minute % 60) as i8, 0, 0);
        let offsets = match self.zone.offsets(local) {
            AmbiguousOffset::Unambiguous { offset } => [Some(offset), None],
            AmbiguousOffset::Gap { .. } => [None; 2],
            AmbiguousOffset::Fold { before, after } => [Some(before), Some(after)],
        };
        offsets.map(|offset| offset?.to_timestamp(local).ok())
    }
}

/// The times as they are written, with the zone.
impl fmt::Display for During {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, span) in self.spans.iter().enumerate() {
            write!(f, "{}{span}", if at > 0 { ", " } else { "" })?;
        }
        write!(f, " {}", self.zone)
    }
}

impl Span {
    fn holds(self, day: usize, minute: u16) -> bool {
        let is_on = self.days[day];
        if self.from < self.to {
            return is_on && (self.from..self.to).contains(&minute);
        }
        is_on && minute >= self.from || self.days[(day + 6) % 7] && minute < self.to
    }

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            let text = shorten(text);
            format!("{text:?} is not a time of the week: {why}; write such as \"Mon-Fri 08:00-18:00\"")
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let is_time = |word: &&str| word.starts_with(|first: char| first.is_ascii_digit());
        let (days, time) = match words[..] {
            [days, time] if !is_time(&days) => (Some(days), Some(time)),
            [time] if is_time(&time) => (None, Some(time)),
            [days] => (Some(days), None),
            _ => return Err(wrong("it is not days, a time, or days and a time")),
        };
        let days = days.map_or(Ok([true; 7]), days_of).map_err(|why| wrong(&why))?;
        let (from, to) = time.map_or(Ok((0, DAY)), times_of).map_err(|why| wrong(&why))?;
        Ok(Self { days, from, to })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for day in (0..7).filter(|day| self.days[*day]) {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == day => *last = day,
                _ => runs.push((day, day)),
            }
        }
        let name = |(first, last): &(usize, usize)| match last - first {
            0 => WEEKDAYS[*first].to_owned(),
            _ => format!("{}-{}", WEEKDAYS[*first], WEEKDAYS[*last]),
        };
        let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        if self.days != [true; 7] {
            let days: Vec<String> = runs.iter().map(name).collect();
            write!(f, "{} ", days.join(","))?;
        }
        write!(f, "{}-{}", time(self.from), time(self.to))
    }
}

/// The days of `Mon-Wed,Sat`.
fn days_of(text: &str) -> Result<[bool; 7], String> {
    let day = |name: &str| {
        let known = WEEKDAYS.iter().position(|day| day.eq_ignore_ascii_case(name));
        known.ok_or_else(|| format!("{:?} is not a day from Mon to Sun", shorten(name)))
    };
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut at, last) = (day(first)?, day(last)?);
        days[at] = true;
        while at != last {
            at = (at + 1) % 7;
            days[at] = true;
        }
    }
    Ok(days)
}

/// The minutes of `08:00-18:00`.
fn times_of(text: &str) -> Result<(u16, u16), String> {
    let time = |text: &str| {
        let digits = |text: &str| {
            let is_plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            is_plain.then(|| text.parse::<u16>().ok()).flatten()
        };
        let read = text.split_once(':').and_then(|(hour, minute)| Some((digits(hour)?, digits(minute)?)));
        let minutes = read.filter(|(_, minute)| *minute < 60).map(|(hour, minute)| hour * 60 + minute);
        minutes
            .filter(|minutes| *minutes <= DAY)
            .ok_or_else(|| format!("{:?} is not a time from 00:00 to 24:00", shorten(text)))
    };
    let (from, to) = text.split_once('-').ok_or("it has no end")?;
    match (time(from)?, time(to)?) {
        (DAY, _) => Err("it begins at 24:00, which is 00:00 of the next day".to_owned()),
        (from, to) if from == to => Err("it ends when it begins; a whole day is 00:00-24:00".to_owned()),
        // Midnight at the end of the day.
        (from, 0) => Ok((from, DAY)),
        times => Ok(times),
    }
}

#[cfg(test)]
mod tests;
