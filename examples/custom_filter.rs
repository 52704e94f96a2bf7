//! A filter of one's own, chained by code and paced: digits that might be an account number are masked.
//!
//! ```text
//! cargo run --example custom_filter
//! ```
//!
//! Time is a [`ManualClock`], so the seconds of the timeline pass in no time.

use std::error::Error;

use bytes::Bytes;
use sluicegate::brigade::{Brigade, Bucket};
use sluicegate::clock::{Clock, Instant, ManualClock};
use sluicegate::filter::{Chain, Count, Counts, Filter, FilterError, RateFilter, Step, Verdict};
use sluicegate::limit::{Limit, Rate};

/// So many digits in a row are masked; fewer (a year, a port) are left.
const LONG: usize = 8;

/// Puts `*` in the place of each digit of a long run, also of one that lies across bucket borders.
///
/// Digits at the end of what came are held back until it is known how long their run is: at most
/// seven. The length of the content does not change, so neither does `Content-Length`.
#[derive(Default)]
pub struct MaskDigits {
    /// Digits of a run that is not long yet.
    held: Vec<u8>,
    /// The run is long: its further digits are masked as they come.
    masking: bool,
}

// This method is all there is to write: no future, no waking, no polling.
impl Filter for MaskDigits {
    fn filter(
        &mut self,
        _: Instant,
        input: &mut Brigade,
        output: &mut Brigade,
    ) -> Result<Verdict, FilterError> {
        // Data is pushed only while there is room, and what is held back is data too.
        while output.room() > 0 {
            match input.pop_within(output.room()) {
                Some(Bucket::Data(bytes)) => output.push(self.mask(&bytes)),
                // The run may go on behind a flush.
                Some(Bucket::Flush) => output.push(Bucket::Flush),
                // Nothing comes after trailers, an error or the end: what is held is no long run.
                Some(mark) => {
                    output.push(Bytes::from(std::mem::take(&mut self.held)));
                    output.push(mark);
                    if output.is_closed() {
                        break;
                    }
                }
                None => break,
            }
        }
        Ok(Verdict::after(output))
    }
}

impl MaskDigits {
    fn mask(&mut self, bytes: &[u8]) -> Bytes {
        let mut masked = Vec::with_capacity(self.held.len() + bytes.len());
        for byte in bytes {
            if !byte.is_ascii_digit() {
                masked.append(&mut self.held);
                masked.push(*byte);
                self.masking = false;
            } else if self.masking {
                masked.push(b'*');
            } else {
                self.held.push(*byte);
                if self.held.len() == LONG {
                    self.held.clear();
                    masked.extend([b'*'; LONG]);
                    self.masking = true;
                }
            }
        }
        masked.into()
    }
}

/// Sends `pieces` through the filter at 100 bytes/s. Gives what leaves, with its instant.
pub fn timeline(pieces: &[&'static str], counts: &Counts) -> Result<Vec<(Instant, Bytes)>, FilterError> {
    let clock = ManualClock::new();
    // On a server the same filter stands in a route's list; here it is the first of a bare chain.
    let mut chain = Chain::new()
        .then(MaskDigits::default())
        .then(Count::new(counts.clone()))
        .then(RateFilter::new(Limit::new(Rate::or_unlimited(100))));
    let mut pieces = pieces.iter();
    let mut out = Brigade::new();
    let mut left = Vec::new();
    loop {
        match chain.step(clock.now(), &mut out)? {
            Step::Output => {
                left.push((clock.now(), out.to_bytes()));
                out.clear();
            }
            Step::Sleep(due) if !chain.wants_input() => clock.set(due),
            Step::NeedInput | Step::Sleep(_) => chain.input().push(match pieces.next() {
                Some(piece) => Bucket::Data(Bytes::from_static(piece.as_bytes())),
                None => Bucket::Eos,
            }),
            Step::Read(slice) => unreachable!("no file was put in: {slice:?}"),
            Step::Done => return Ok(left),
        }
    }
}

/// A log as it may come from an upstream: cut anywhere.
pub const LOG: [&str; 5] = [
    "2026-03-01 payment from 40123",
    "456 to 98765432 on port 8080\n",
    "2026-03-01 refund to 1234567, which is too short, and to 1234",
    "5678, which is not\n",
    "2026-03-02 nothing happened 2026",
];

fn main() -> Result<(), Box<dyn Error>> {
    let counts = Counts::default();
    for (instant, bytes) in timeline(&LOG, &counts)? {
        println!("{:>5} ms  {:?}", instant.as_nanos() / 1_000_000, String::from_utf8_lossy(&bytes));
    }
    println!("{} bytes in {} stream", counts.bytes(), counts.streams());
    Ok(())
}
