//! What must be true of a log that several servers shared, and of what a subscriber saw of it.

use std::ops::Range;

use crate::chaos::publisher::Said;
use crate::chaos::server_log::Log;
use crate::chaos::subscriber::Seen;

/// Batches of a publisher that Redis may have lost, and events without ids between them.
pub struct Excuse {
    pub publisher: &'static str,
    pub batches: Range<u64>,
}

/// The number in the id of an event of the publisher `name`.
fn number_of(name: &str, id: &str) -> Option<u64> {
    id.strip_prefix(name)?.strip_prefix('-')?.parse().ok()
}

/// What was lost, and what subscribers were told.
#[derive(Debug, Default, PartialEq)]
pub struct Told {
    /// Events that were acknowledged and are not in the log.
    pub acknowledged_and_lost: u64,
    /// Gaps that they were sent.
    pub gaps: usize,
    /// Events that they had and that are not in the log, or in another place.
    pub lost: usize,
    /// Events that they had again after a gap, or when they had come back.
    pub again: usize,
    /// Times that they came back and were sent all from an earlier place on: the id that they brought may have been that of a lost event.
    pub back: usize,
}

impl Told {
    pub fn add(&mut self, other: &Self) {
        self.gaps += other.gaps;
        self.lost += other.lost;
        self.again += other.again;
        self.back += other.back;
    }
}

/// What was acknowledged is there unless it is excused; a batch is there once, and whole unless it is excused, and batches are in the
/// order in which they were published; events without ids are there once at most. Returns how many were acknowledged and are not there.
pub fn has_what_was_published(log: &Log, name: &str, said: &Said, excuses: &[Excuse]) -> u64 {
    let is_excused =
        |batch: u64| excuses.iter().any(|excuse| excuse.publisher == name && excuse.batches.contains(&batch));
    let (mut next, mut there) = (0, 0);
    for (at, (id, data)) in log.events.iter().enumerate() {
        let Some(number) = number_of(name, id) else { continue };
        assert_eq!(data.split(' ').next(), Some(&*number.to_string()), "at {at}");
        assert!(number >= next, "{id} is behind {name}-{next}");
        assert!((next..number).all(|lost| is_excused(lost / 3)), "between {name}-{next} and {id} is nothing");
        if number % 3 > 0 && !is_excused(number / 3) {
            assert_eq!(log.events[at - 1].0, format!("{name}-{}", number - 1), "nothing is within a batch");
        }
        next = number + 1;
        there += u64::from(number < said.batches * 3);
    }
    // The last may be there without having been acknowledged, but not the one after it.
    let whole = (next..said.batches * 3).all(|lost| is_excused(lost / 3));
    assert!(whole && next <= (said.batches + 1) * 3, "{next} events of {name}, {} batches", said.batches);
    assert!(next % 3 == 0 || is_excused(next / 3), "a batch of {name} is cut: {next} events");

    let begin = format!("plain {name}.");
    let plain: Vec<&str> = log.events.iter().map(|(_, data)| data.as_str()).collect();
    let times = |data: &str| plain.iter().filter(|other| **other == data).count();
    for data in plain.iter().filter(|data| data.starts_with(&begin)) {
        assert_eq!(times(data), 1, "{data}");
    }
    for (plain, batches) in &said.plain {
        let is_there = times(&format!("plain {plain}")) == 1;
        assert!(is_there || is_excused(*batches), "{plain} was acknowledged");
        there += u64::from(is_there);
    }
    said.batches * 3 + said.plain.len() as u64 - there
}

/// What a subscriber saw, from the beginning of the log to its end. Where it had what the log does not have in that place, it must have
/// been sent a gap before it had anything that follows, and then all of the log again. Or it came back by the id of one that was published again, and
/// was sent all from where it had parted from the log.
pub fn told_to(log: &Log, seen: &[Seen]) -> Told {
    let mut told = Told::default();
    // The place of what comes next; not one any more behind an event that is not where it was.
    let mut next = Some(0);
    // Up to here it had what the log has.
    let mut parted = 0;
    let mut is_back = false;
    for (at, seen) in seen.iter().enumerate() {
        let id = match seen {
            Seen::Begin(id) => panic!("it began anew at {id}"),
            Seen::Open => {
                is_back = true;
                continue;
            }
            Seen::Gap(_) => {
                told.gaps += 1;
                next = Some(0);
                continue;
            }
            Seen::Event(id) => id,
        };
        let found = log.places.get(id).copied();
        if std::mem::take(&mut is_back) && next != found && found.is_some_and(|place| place <= parted) {
            told.back += 1;
            next = found;
        }
        if next.is_some() && next == found {
            told.again += usize::from(next < Some(parted));
            next = next.map(|place| place + 1);
            parted = parted.max(next.unwrap_or(0));
        } else {
            if let Some(place) = next {
                println!(
                    "{id}, the {at}th that it saw, is in the place of {:?}",
                    log.events.get(place).map(|(id, _)| id)
                );
            }
            told.lost += 1;
            next = None;
        }
    }
    assert_eq!(
        next,
        Some(log.len()),
        "{told:?}: it has not come to the end, or was not told what it had in vain"
    );
    told
}
