//! Shared limits that follow the time of the week.

use std::fmt;
use std::time::SystemTime;

use crate::limit::Budget;
use crate::schedule::Timetable;

/// A limit that responses or uploads share, and what it is at which times.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitSchedule {
    /// Which limit.
    pub limit: LimitName,
    /// What it is when none of `times` holds.
    pub own: Budget,
    /// What it is at times of the week. The first that holds counts.
    pub times: Timetable<Budget>,
    /// The limit was set by hand, and that is saved: it stays what it is until that is taken back.
    pub is_by_hand: bool,
}

/// What a limit is at a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitHeld {
    /// The limit.
    pub budget: Budget,
    /// Which of the times holds, from 0; `None` if it is the limit's own.
    pub nth: Option<usize>,
    /// When it changes; `None` for never.
    pub until: Option<SystemTime>,
}

impl LimitSchedule {
    /// Returns what the limit is at `at`, and until when. Reads no clock.
    pub fn at(&self, at: SystemTime) -> LimitHeld {
        let held = self.times.at(at);
        let (nth, budget) = held.holds.map_or((None, self.own), |(nth, budget)| (Some(nth), *budget));
        LimitHeld { budget, nth, until: held.until }
    }
}

/// The name of a limit that is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitName {
    /// What it is a limit of.
    pub of: LimitOf,
    /// Which of its limits.
    pub part: LimitPart,
}

/// What has limits that are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitOf {
    /// The server.
    Server,
    /// A class of clients, by its name.
    Class(String),
    /// A route, by its name.
    Route(String),
    /// A port of raw TCP, by its place among the ports from 0, and as it is configured.
    Port(usize, String),
}

/// Which limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitPart {
    /// All responses together.
    Total,
    /// All responses to each client together.
    Client,
    /// All uploads together.
    UploadTotal,
    /// All uploads of each client together.
    UploadClient,
}

impl LimitPart {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Total, Self::Client, Self::UploadTotal, Self::UploadClient];
}

/// Such as `server`, `each client of class vip` or `all uploads to /a`.
impl fmt::Display for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = match &self.of {
            LimitOf::Server => "server".to_owned(),
            LimitOf::Class(name) => format!("class {name}"),
            LimitOf::Route(name) => format!("route {name}"),
            LimitOf::Port(_, name) => name.clone(),
        };
        match self.part {
            LimitPart::Total => f.write_str(&of),
            LimitPart::Client => write!(f, "each client of {of}"),
            LimitPart::UploadTotal => write!(f, "uploads of {of}"),
            LimitPart::UploadClient => write!(f, "uploads of each client of {of}"),
        }
    }
}
