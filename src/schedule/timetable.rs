//! What holds at which times of the week.

use std::time::SystemTime;

use super::During;

/// Things that each hold at some times of the week. Where several could hold it is the first of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Timetable<T>(Vec<(During, T)>);

/// What holds at a point in time.
#[derive(Debug, PartialEq, Eq)]
pub struct Held<'a, T> {
    /// Its place among all, and itself; `None` if it is the time for none.
    pub holds: Option<(usize, &'a T)>,
    /// When another holds, or none; `None` if that never comes.
    pub until: Option<SystemTime>,
}

impl<T> Timetable<T> {
    /// The most things.
    pub const MAX: usize = 64;

    /// Creates one of things in order; those beyond the first [`MAX`](Self::MAX) are left out.
    pub fn new(mut all: Vec<(During, T)>) -> Self {
        all.truncate(Self::MAX);
        Self(all)
    }

    /// Whether nothing ever holds.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them with their times, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&During, &T)> {
        self.0.iter().map(|(during, value)| (during, value))
    }

    /// Returns what holds at `at`, and until when.
    pub fn at(&self, at: SystemTime) -> Held<'_, T> {
        let nth = self.0.iter().position(|(during, _)| during.holds_at(at));
        // It ends with its own time, or when one before it begins; those behind it do not count.
        let counted = nth.map_or(self.0.len(), |nth| nth + 1);
        let until = self.0[..counted].iter().filter_map(|(during, _)| during.next_change(at)).min();
        Held { holds: nth.map(|nth| (nth, &self.0[nth].1)), until }
    }
}

impl<T> Default for Timetable<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Zone;
    use super::*;

    fn table(texts: &[&str]) -> Timetable<usize> {
        let during = |text: &&str| During::parse(text.split("; "), Zone::default()).unwrap();
        Timetable::new(texts.iter().map(during).enumerate().map(|(nth, during)| (during, nth)).collect())
    }

    fn at(text: &str) -> SystemTime {
        Zone::default().moment(text).unwrap()
    }

    // The 23rd of November 2026 is a Monday.
    #[test]
    fn the_first_whose_time_it_is_holds_until_it_ends_or_one_before_it_begins() {
        let all = ["12:00-13:00", "Mon-Fri 08:00-18:00", "06:00-20:00"];
        for (now, holds, until) in [
            ("2026-11-23 05:00", None, "2026-11-23 06:00"),
            ("2026-11-23 06:00", Some(2), "2026-11-23 08:00"),
            ("2026-11-23 08:00", Some(1), "2026-11-23 12:00"),
            ("2026-11-23 12:00", Some(0), "2026-11-23 13:00"),
            ("2026-11-23 17:59:59", Some(1), "2026-11-23 18:00"),
            ("2026-11-23 18:00", Some(2), "2026-11-23 20:00"),
            ("2026-11-28 10:00", Some(2), "2026-11-28 12:00"),
        ] {
            let table = table(&all);
            let held = table.at(at(now));
            assert_eq!(held.holds, holds.as_ref().map(|nth| (*nth, nth)), "{now}");
            assert_eq!(held.until, Some(at(until)), "{now}");
        }
        assert_eq!(table(&[]).at(at("2026-11-23 05:00")), Held { holds: None, until: None });
        let always = table(&["00:00-24:00", "Mon"]);
        assert_eq!(always.at(at("2026-11-23 05:00")), Held { holds: Some((0, &0)), until: None });
    }

    proptest! {
        // Minute by minute: what holds does not change before `until`, and does then.
        #[test]
        fn nothing_changes_before_until_and_something_does_then(
            spans in prop::collection::vec((0u16..7, 0u16..24, 1u16..24), 1..5),
            begin in 0u64..7 * 24 * 60,
        ) {
            const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
            let texts: Vec<String> = spans
                .iter()
                .map(|&(day, from, hours)| {
                    format!("{} {from:02}:00-{:02}:00", DAYS[usize::from(day)], (from + hours) % 24)
                })
                .collect();
            let table = table(&texts.iter().map(String::as_str).collect::<Vec<_>>());
            let minute = |nth: u64| at("2026-11-23 00:00") + std::time::Duration::from_secs(nth * 60);
            let held = table.at(minute(begin));
            let holds = |nth: u64| table.at(minute(nth)).holds;
            let next = (begin + 1..begin + 8 * 24 * 60).find(|nth| holds(*nth) != held.holds);
            prop_assert_eq!(held.until, next.map(minute));
        }
    }
}
