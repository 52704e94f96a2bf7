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

/// What subscribers were told.
#[derive(Debug, Default)]
pub struct Told {
    /// Gaps that they were sent.
    pub gaps: usize,
    /// Events that they had and that are not in the log, or in another place.
    pub lost: usize,
    /// Events that they had again after a gap.
    pub again: usize,
}

impl Told {
    pub fn add(&mut self, other: &Self) {
        self.gaps += other.gaps;
        self.lost += other.lost;
        self.again += other.again;
    }
}

/// What was acknowledged is there unless it is excused; a batch is there once, and whole unless it is excused, and batches are in the
/// order in which they were published; events without ids are there once at most.
pub fn has_what_was_published(log: &Log, name: &str, said: &Said, excuses: &[Excuse]) {
    let is_excused = |batch: u64| {
        excuses.iter().any(|excuse| excuse.publisher == name && excuse.batches.contains(&batch))
    };
    let own = |id: &str| id.strip_prefix(name)?.strip_prefix('-')?.parse::<u64>().ok();
    let mut next = 0;
    for (at, (id, data)) in log.events.iter().enumerate() {
        let Some(number) = own(id) else { continue };
        assert_eq!(data.split(' ').next(), Some(&*number.to_string()), "at {at}");
        assert!(number >= next, "{id} is behind {name}-{next}");
        assert!((next..number).all(|lost| is_excused(lost / 3)), "between {name}-{next} and {id} is nothing");
        if number % 3 > 0 && !is_excused(number / 3) {
            assert_eq!(log.events[at - 1].0, format!("{name}-{}", number - 1), "nothing is within a batch");
        }
        next = number + 1;
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
        assert!(times(&format!("plain {plain}")) == 1 || is_excused(*batches), "{plain} was acknowledged");
    }
}

/// What a subscriber saw, from the beginning of the log to its end. Where it had what the log does not have in that place, it must have
/// been sent a gap before it had anything that follows, and then all of the log again.
pub fn told_to(log: &Log, seen: &[Seen]) -> Told {
    let mut told = Told::default();
    // The place of what comes next; not one any more behind an event that is not where it was.
    let mut next = Some(0);
    let mut most = 0;
    for (at, seen) in seen.iter().enumerate() {
        match seen {
            Seen::Begin(id) => panic!("it began anew at {id}"),
            Seen::Gap(_) => {
                told.gaps += 1;
                next = Some(0);
            }
            Seen::Event(id) => match (next, log.places.get(id)) {
                (Some(place), Some(found)) if place == *found => {
                    told.again += usize::from(place < most);
                    next = Some(place + 1);
                    most = most.max(place + 1);
                }
                (Some(place), _) => {
                    told.lost += 1;
                    next = None;
                    println!("{id}, the {at}th that it saw, is in the place of {:?}", log.events.get(place));
                }
                (None, _) => told.lost += 1,
            },
        }
    }
    assert_eq!(next, Some(log.len()), "{told:?}: it has not come to the end, or was not told what it had in vain");
    told
}
