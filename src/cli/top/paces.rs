//! Paces of all rows: over the last second, and one for each second of the last two minutes.

use std::collections::{HashMap, VecDeque};

use super::kind::Kind;

/// A pace is over this much time, in milliseconds: a few chunks of a paced response.
const WINDOW: u64 = 1_000;

/// Milliseconds without a frame after which nothing moves: a frame comes only if something changed. Where samples are rarer
/// it is twice the time between the last two.
const STILL: u64 = 2_000;

/// Seconds of a graph.
pub(super) const SECONDS: usize = 120;

/// When a state was sampled and came, in milliseconds.
#[derive(Clone, Copy, Default)]
pub(super) struct Times {
    /// When it was sampled, on the server's clock.
    pub(super) at: u64,
    /// How long before that the sample before was taken.
    pub(super) elapsed: u64,
    /// What moved since the state before did so after this, on the server's clock.
    pub(super) quiet_until: u64,
    /// When it came, on ours.
    pub(super) came: u64,
}

#[derive(Default)]
pub(super) struct Paces {
    tracks: HashMap<String, Track>,
    /// Of the last state.
    times: Option<Times>,
}

#[derive(Default)]
struct Track {
    /// Instants on the server's clock, and bytes so far. More than [`WINDOW`] apart are the first two at most.
    recent: VecDeque<(u64, u64)>,
    /// The pace and what held it, second by second.
    graph: VecDeque<(u64, Kind)>,
    kind: Kind,
    /// When it was noted last.
    at: u64,
}

impl Paces {
    /// Takes the counters of a state. All else is forgotten.
    pub(super) fn take<'a>(&mut self, times: Times, counters: impl Iterator<Item = (&'a str, u64, Kind)>) {
        let Times { at, quiet_until, .. } = times;
        let before = self.times.replace(times).map(|times| times.at);
        let was_quiet = before.is_some_and(|before| quiet_until > before + 50);
        let is_back = before.is_some_and(|before| at < before);
        for (key, bytes, kind) in counters {
            let track = match self.tracks.get_mut(key) {
                Some(track) => track,
                None => self.tracks.entry(key.to_owned()).or_default(),
            };
            if is_back || track.recent.back().is_some_and(|(_, before)| bytes < *before) {
                track.recent.clear();
            }
            if let Some((_, before)) = track.recent.back().copied().filter(|_| was_quiet) {
                let last = track.recent.back().map_or(0, |(last, _)| *last);
                track.recent.push_back((last.max(quiet_until.saturating_sub(WINDOW)), before));
                track.recent.push_back((quiet_until, before));
            }
            if track.recent.back().is_none_or(|(last, _)| at > *last) {
                track.recent.push_back((at, bytes));
            }
            while track.recent.len() > 2 && at - track.recent[1].0 >= WINDOW {
                track.recent.pop_front();
            }
            (track.kind, track.at) = (kind, at);
        }
        self.tracks.retain(|_, track| track.at == at);
    }

    /// The pace of a row at `now`, in bytes per second.
    pub(super) fn of(&self, key: &str, now: u64) -> u64 {
        self.tracks.get(key).filter(|_| !self.is_still(now)).map_or(0, Track::pace)
    }

    fn is_still(&self, now: u64) -> bool {
        self.times
            .is_none_or(|times| now.saturating_sub(times.came) > times.elapsed.saturating_mul(2).max(STILL))
    }

    /// Adds a second to all graphs.
    pub(super) fn tick(&mut self, now: u64) {
        let is_still = self.is_still(now);
        for track in self.tracks.values_mut() {
            if track.graph.len() == SECONDS {
                track.graph.pop_front();
            }
            let pace = if is_still { 0 } else { track.pace() };
            track.graph.push_back((pace, track.kind));
        }
    }

    /// Paces of the last seconds of a row and what held it, the latest first.
    pub(super) fn graph(&self, key: &str) -> impl Iterator<Item = (u64, Kind)> {
        self.tracks.get(key).into_iter().flat_map(|track| track.graph.iter().rev().copied())
    }
}

impl Track {
    fn pace(&self) -> u64 {
        match (self.recent.front(), self.recent.back()) {
            (Some((from, before)), Some((to, after))) if to > from => {
                let rate = u128::from(after - before) * 1000 / u128::from(to - from);
                u64::try_from(rate).unwrap_or(u64::MAX)
            }
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a state that came right after the sample before it.
    fn take(paces: &mut Paces, (at, elapsed, came): (u64, u64, u64), bytes: u64) {
        let times = Times { at, elapsed, quiet_until: at - elapsed, came };
        paces.take(times, [("a", bytes, Kind::Pace)].into_iter());
    }

    #[test]
    fn a_pace_is_over_the_last_second() {
        let mut paces = Paces::default();
        for tick in 0..20 {
            take(&mut paces, (10_000 + tick * 200, 200, tick * 200), tick * 20_000);
        }
        assert_eq!(paces.of("a", 3_800), 100_000);
        // It stops: the second before still counts, until it is over.
        take(&mut paces, (14_000, 200, 4_000), 380_000);
        assert_eq!(paces.of("a", 4_000), 80_000);
        assert_eq!(paces.of("a", 6_001), 0, "nothing came for two seconds");
        assert_eq!(paces.of("b", 4_000), 0);
    }

    #[test]
    fn where_samples_are_rare_a_row_flows_on_between_them() {
        let mut paces = Paces::default();
        take(&mut paces, (10_000, 5_000, 0), 0);
        take(&mut paces, (15_000, 5_000, 5_000), 500_000);
        assert_eq!((paces.of("a", 9_900), paces.of("a", 15_001)), (100_000, 0));
    }

    #[test]
    fn what_moves_after_a_quiet_time_did_so_in_the_last_sample() {
        let mut paces = Paces::default();
        take(&mut paces, (10_000, 0, 0), 0);
        // Of ten seconds the last fifth: over that, and a window before it in which nothing moved.
        take(&mut paces, (20_000, 200, 10_000), 60_000);
        assert_eq!(paces.of("a", 10_000), 50_000);
        take(&mut paces, (20_200, 200, 10_200), 140_000);
        assert_eq!(paces.of("a", 10_200), 100_000);
    }

    #[test]
    fn states_that_nobody_took_were_no_quiet_time() {
        let mut paces = Paces::default();
        let mut bytes = 0;
        // Of every three states the last is taken, at 100 000 bytes a second.
        for third in 0..20 {
            let at = 10_000 + third * 600;
            let times = Times { at, elapsed: 200, quiet_until: at - 600, came: third * 600 };
            paces.take(times, [("a", bytes, Kind::Pace)].into_iter());
            assert_eq!(paces.of("a", third * 600), if third == 0 { 0 } else { 100_000 }, "{third}");
            bytes += 60_000;
        }
        // Of a whole state it is not known since when it is so: half a minute of as much.
        let times = Times { at: 51_400, elapsed: 200, quiet_until: 0, came: 41_400 };
        paces.take(times, [("a", bytes - 60_000 + 3_000_000, Kind::Pace)].into_iter());
        assert_eq!(paces.of("a", 41_400), 100_000);
    }

    #[test]
    fn a_server_that_begins_again_counts_from_nothing() {
        let mut paces = Paces::default();
        take(&mut paces, (10_000, 200, 0), 1_000_000);
        take(&mut paces, (10_200, 200, 200), 500);
        assert_eq!(paces.of("a", 200), 0);
        take(&mut paces, (10_400, 200, 400), 700);
        assert_eq!(paces.of("a", 400), 1_000);
        // And so does one whose clock was set back.
        take(&mut paces, (5_000, 200, 600), 800);
        take(&mut paces, (5_200, 200, 800), 1_000);
        assert_eq!(paces.of("a", 800), 1_000);
    }

    #[test]
    fn a_graph_has_two_minutes_the_latest_first() {
        let mut paces = Paces::default();
        for second in 0..SECONDS as u64 + 9 {
            take(&mut paces, (10_000 + second * 1_000, 1_000, second * 1_000), second * second * 10);
            paces.tick(second * 1_000);
        }
        let graph: Vec<_> = paces.graph("a").collect();
        assert_eq!((graph.len(), graph[0], graph[119]), (SECONDS, (2_550, Kind::Pace), (170, Kind::Pace)));
        paces.take(Times { at: 900_000, ..Times::default() }, std::iter::empty());
        assert_eq!(paces.graph("a").count(), 0, "it is gone");
    }
}
