//! Every golden timeline of `fixtures/pacing`, run by the driver.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::task::Poll;

use http::HeaderMap;
use sluicegate::brigade::{Bucket, FileSlice, SourceError};
use sluicegate::clock::{Clock, Instant, ManualClock};
use sluicegate::filter::Chain;
use sluicegate::limit::{Carryover, Limit, Rate};

use super::fixture::{Reading, Timed};
use testkit::timeline::chain::content;
use testkit::timeline::golden::check_all;
use testkit::timeline::{Case, Event, Item, Mark, Response, Runner, What};

/// Runs a case as an HTTP body whose reader takes what there is, at once, but for stalls.
struct BodyRunner {
    /// Nanoseconds between polls that nobody asked for; 0 polls when woken only.
    meddle_every: u64,
}

impl Runner for BodyRunner {
    fn run(&self, case: &Case) -> Vec<Event> {
        let clock = Arc::new(ManualClock::new());
        let limit = case.limit();
        let carryover = Carryover::default();
        let mut events = Vec::new();
        for response in &case.responses {
            clock.set(Instant::from_nanos(clock.now().as_nanos() + response.after));
            let rate = case.filter(&limit, &carryover);
            let source = Timed::at(&clock, arrivals(response, clock.now()));
            let mut reading = Reading::through(&clock, Chain::new().then(rate), source);
            let ended = self.read(case, &limit, &mut reading, &mut events);
            drop(reading);
            assert_eq!(clock.sleepers(), 0, "a sleeper outlived its body");
            if !ended {
                break;
            }
        }
        events
    }

    /// HTTP has no flushes: its framing flushes whenever there is nothing more at the moment.
    fn sees(&self, mark: Mark) -> bool {
        mark != Mark::Flush
    }

    /// A reader that is late by less than an interval may count as on time (`Lateness`), which the chain
    /// cannot know; see `a_short_stall_is_forgiven`. Polls that nobody asked for see a live change earlier.
    fn can_run(&self, case: &Case) -> bool {
        let short = |(from, to): &(u64, u64)| to - from < case.interval;
        !case.stalls.iter().any(short) && (self.meddle_every == 0 || case.changes.is_empty())
    }
}

impl BodyRunner {
    /// Reads one response and checks that each byte is the one that was to come. False if its source
    /// went silent without an end.
    fn read(
        &self,
        case: &Case,
        limit: &Limit,
        reading: &mut Reading<Timed>,
        events: &mut Vec<Event>,
    ) -> bool {
        let clock = Arc::clone(&reading.clock);
        let mut position = 0;
        loop {
            clock.set(Instant::from_nanos(case.awake(clock.now().as_nanos())));
            let at = clock.now().as_nanos();
            if let Some((_, rate)) = case.changes.iter().rfind(|(from, _)| *from <= at) {
                limit.set_rate(rate.and_then(Rate::or_unlimited));
            }
            reading.task.take_wake();
            let mut tell = |what| events.push(Event { at, what });
            match reading.poll() {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) => {
                        assert!(!bytes.is_empty(), "an empty frame at {at}");
                        assert_eq!(bytes, content(position, bytes.len() as u64), "at {position}");
                        position += bytes.len() as u64;
                        tell(What::Bytes(bytes.len() as u64));
                    }
                    Err(_) => tell(What::Mark(Mark::Trailers)),
                },
                Poll::Ready(Some(Err(error))) => {
                    assert!(error.is_source(), "{error}");
                    tell(What::Mark(Mark::Error));
                    return true;
                }
                Poll::Ready(None) => {
                    tell(What::Mark(Mark::Eos));
                    return true;
                }
                Poll::Pending if reading.task.take_wake() => {}
                Poll::Pending => match clock.next_deadline() {
                    None => reading.task.wait(),
                    Some(Instant::MAX) => return false,
                    Some(_) if self.meddle_every > 0 => {
                        let next = clock.next_deadline().map_or(at, Instant::as_nanos);
                        clock.set(Instant::from_nanos(next.min(at + self.meddle_every)));
                    }
                    Some(_) => drop(clock.advance_to_next()),
                },
            }
        }
    }
}

fn arrivals(response: &Response, asked: Instant) -> VecDeque<(Instant, Bucket)> {
    let file = Arc::new(tempfile::tempfile().unwrap());
    let mut position = 0;
    let mut all = VecDeque::new();
    for arrival in &response.arrivals {
        let at = Instant::from_nanos(asked.as_nanos() + arrival.at);
        for item in &arrival.items {
            all.push_back((at, bucket(*item, position, &file)));
            position += item.bytes();
        }
    }
    all
}

fn bucket(item: Item, position: u64, file: &Arc<File>) -> Bucket {
    match item {
        Item::Data(len) => Bucket::Data(content(position, len)),
        Item::File(len) => {
            file.write_all_at(&content(position, len), position).unwrap();
            Bucket::File(FileSlice::new(Arc::clone(file), position, len))
        }
        Item::Mark(Mark::Flush) => Bucket::Flush,
        Item::Mark(Mark::Trailers) => Bucket::Trailers(Box::new(HeaderMap::new())),
        Item::Mark(Mark::Error) => Bucket::Error(SourceError::new("the recording says so")),
        Item::Mark(Mark::Eos) => Bucket::Eos,
    }
}

#[test]
fn the_driver_keeps_every_golden_timeline() {
    check_all(&BodyRunner { meddle_every: 0 });
}

// A connection polls its body whenever anything at all happens on it.
#[test]
fn polls_that_nobody_asked_for_do_not_show_in_a_timeline() {
    for millis in [1, 7, 130] {
        check_all(&BodyRunner { meddle_every: millis * super::fixture::MS });
    }
}
