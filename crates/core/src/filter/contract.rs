//! Checks the contract of [`Filter`] at every call. A breach is an error, and in debug builds a panic.

use super::{Filter, FilterError, Verdict};
use crate::brigade::{Brigade, Bucket};
use crate::clock::Instant;

/// Calls that must confirm a changed verdict. More than one, since a filter that counts calls instead of using the time may
/// return the same at every other call.
const CONFIRMATIONS: usize = 3;

/// The state of the check of one filter.
#[derive(Debug, Default)]
pub(super) struct Contract {
    /// What closed the filter's input.
    closing: Option<Closing>,
    /// Its verdict once changed although neither time nor input had: a change of the limit may do that.
    changed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    Eos,
    Error,
}

impl Contract {
    /// Calls `filter` and checks the result.
    pub(super) fn call(
        &mut self,
        filter: &mut dyn Filter,
        now: Instant,
        input: &mut Brigade,
        output: &mut Brigade,
    ) -> Result<Verdict, FilterError> {
        if input.ends() {
            self.closing = Some(Closing::Eos);
        } else if input.is_closed() {
            self.closing = Some(Closing::Error);
        }
        let verdict = self.call_once(filter, now, input, output)?;
        if cfg!(debug_assertions) && matches!(verdict, Verdict::SleepUntil(_)) {
            return self.call_early(verdict, filter, now, input, output);
        }
        Ok(verdict)
    }

    fn call_once(
        &self,
        filter: &mut dyn Filter,
        now: Instant,
        input: &mut Brigade,
        output: &mut Brigade,
    ) -> Result<Verdict, FilterError> {
        // Others may have pushed before.
        output.take_overrun();
        let held = output.len();
        let verdict = filter.filter(now, input, output)?;
        match self.breach(verdict, now, input, output, held) {
            None => Ok(verdict),
            Some(rule) => Err(breach_of(rule)),
        }
    }

    /// Calls a sleeping filter again, early and with nothing new: its verdict must be the same, and nothing may move.
    ///
    /// A limit set by another thread in between may change the verdict. So one change is accepted in a filter's life, if
    /// further calls confirm it.
    fn call_early(
        &mut self,
        first: Verdict,
        filter: &mut dyn Filter,
        now: Instant,
        input: &mut Brigade,
        output: &mut Brigade,
    ) -> Result<Verdict, FilterError> {
        const RULE: &str = "called early, with nothing new, a sleeping filter gives the same answer";
        let shape =
            |input: &Brigade, output: &Brigade| (input.len(), input.bytes(), output.len(), output.bytes());
        let before = shape(input, output);
        let second = self.call_once(filter, now, input, output)?;
        let after = shape(input, output);
        if second == first && after == before {
            return Ok(first);
        }
        if std::mem::replace(&mut self.changed, true) {
            return Err(breach_of(RULE));
        }
        if matches!(second, Verdict::SleepUntil(_)) {
            for _ in 0..CONFIRMATIONS {
                let again = self.call_once(filter, now, input, output)?;
                if again != second || shape(input, output) != after {
                    return Err(breach_of(RULE));
                }
            }
        }
        Ok(second)
    }

    /// Returns the rule that a call broke. `held` buckets were in the output before it.
    fn breach(
        &self,
        verdict: Verdict,
        now: Instant,
        input: &Brigade,
        output: &mut Brigade,
        held: usize,
    ) -> Option<&'static str> {
        if output.take_overrun() {
            return Some("data was pushed although the output had no room");
        }
        let mut pushed = output.iter().skip(held);
        if pushed.find(|bucket| matches!(bucket, Bucket::Eos | Bucket::Error(_))).is_some()
            && pushed.next().is_some()
        {
            return Some("something was pushed behind the end of the stream");
        }
        if output.ends() {
            // A filter may end the stream before the error, which then stays in its input.
            return if self.closing == Some(Closing::Error) && !input.is_closed() {
                Some("an error mark went in and a clean end came out")
            } else if verdict != Verdict::Done {
                Some("end of stream is out, so the filter is Done")
            } else {
                None
            };
        }
        match verdict {
            Verdict::Done => Some("Done although end of stream is not out"),
            _ if output.is_closed() => None,
            Verdict::SleepUntil(due) if due <= now => Some("SleepUntil an instant that is not after now"),
            Verdict::Ready if output.room() == 0 => None,
            Verdict::Ready if !input.is_empty() => {
                Some("Ready although there is input and the output has room")
            }
            Verdict::Ready if self.closing.is_some() => {
                Some("Ready although the stream's end went in, did not come out, and the output has room")
            }
            _ => None,
        }
    }
}

fn breach_of(rule: &'static str) -> FilterError {
    debug_assert!(false, "filter contract: {rule}");
    FilterError::Contract(rule)
}
