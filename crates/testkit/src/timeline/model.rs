//! A second opinion: the pacing rules of `docs/pacing.md` as a model of their own, which shares no code with the crate.
//!
//! Where the crate keeps a level that rises, this keeps, as GCRA does, the one instant at which the
//! allowance will be whole, as an exact fraction of a nanosecond. It has no look-ahead, no room, no
//! brigades and no calls: everything that has arrived is in hand, and the bytes are numbers.

use std::collections::VecDeque;

use super::{Case, Event, Item, Mark, Runner, What};

/// Runs cases of one rate, without live changes.
pub struct Model;

impl Runner for Model {
    fn run(&self, case: &Case) -> Vec<Event> {
        let mut connection = Connection::new(case);
        for response in &case.responses {
            connection.now += response.after;
            let asked = connection.now;
            let arrivals = response.arrivals.iter().map(|arrival| (asked + arrival.at, &arrival.items[..]));
            if !connection.run(arrivals.collect()) {
                break;
            }
        }
        connection.events
    }

    fn can_run(&self, case: &Case) -> bool {
        case.changes.is_empty() && case.first.is_empty()
    }
}

/// A byte, in parts that make every sum here whole: a rate of R gives R of them each nanosecond.
const BYTE: i128 = 1_000_000_000;

struct Connection<'a> {
    case: &'a Case,
    now: u64,
    /// Bytes per second; zero is unlimited. Instants times this are what the fields below count in.
    rate: i128,
    /// When the allowance is whole: `whole / rate` nanoseconds on the clock.
    whole: i128,
    /// Parts of the burst that were spent and not earned back.
    burst_spent: i128,
    events: Vec<Event>,
}

/// What the rules say of the bytes in hand.
enum Ruling {
    Send(u64),
    /// Nothing leaves before the clock times the rate is this much.
    WaitFor(i128),
}

impl<'a> Connection<'a> {
    fn new(case: &'a Case) -> Self {
        let rate = case.rate.unwrap_or(0).into();
        Self { case, now: 0, rate, whole: 0, burst_spent: 0, events: Vec::new() }
    }

    /// What the rate gives in an interval, at least a byte.
    fn chunk(&self) -> i128 {
        (self.rate * i128::from(self.case.interval)).max(BYTE)
    }

    /// Parts that may leave without waiting; below zero what is owed.
    fn level(&self) -> i128 {
        self.chunk() - (self.whole - self.clock()).max(-self.spare())
    }

    fn clock(&self) -> i128 {
        i128::from(self.now) * self.rate
    }

    /// Runs a response to its end; false if it has none.
    fn run(&mut self, mut arrivals: VecDeque<(u64, &[Item])>) -> bool {
        let mut hand: VecDeque<Item> = VecDeque::new();
        let mut burst: Option<u64> = None;
        let mut holding = false;
        loop {
            self.now = self.case.awake(self.now);
            while let Some((_, items)) = arrivals.front().filter(|(at, _)| *at <= self.now) {
                hand.extend(items.iter().filter(|item| !matches!(item, Item::Data(0) | Item::File(0))));
                arrivals.pop_front();
            }
            if self.marks_out(&mut hand) {
                return true;
            }
            let in_hand: u64 = hand.iter().map(|item| item.bytes()).sum();
            let next = arrivals.front().map(|(at, _)| *at);
            if in_hand == 0 {
                let Some(next) = next else { return false };
                self.now = next;
                continue;
            }
            let ends = hand.back() == Some(&Item::Mark(Mark::Eos));
            let left = self.burst_at_first_bytes(&mut burst);
            match self.rule(in_hand, ends && !self.case.paced_end, left, &mut holding) {
                Ruling::Send(bytes) => {
                    burst = Some(left - self.spend(bytes, left));
                    self.bytes_out(&mut hand, bytes);
                }
                Ruling::WaitFor(parts) => {
                    let due = u64::try_from((parts + self.rate - 1) / self.rate).unwrap_or(u64::MAX);
                    self.now = next.map_or(due, |next| next.min(due));
                }
            }
        }
    }

    /// Rules 2, 3 and 8.
    fn rule(&self, in_hand: u64, on_credit: bool, burst: u64, holding: &mut bool) -> Ruling {
        if self.rate == 0 {
            return Ruling::Send(in_hand);
        }
        let remainder = |bytes: u64| on_credit && i128::from(bytes) * BYTE < self.chunk() && bytes < 61_440;
        let no_debt = self.whole - self.chunk();
        let owes = self.level() < 0;
        *holding &= self.clock() < self.whole;
        let covered = if *holding { 0 } else { u64::try_from(self.level().max(0) / BYTE).unwrap() + burst };
        let (covered, rest) = (covered.min(in_hand), in_hand.saturating_sub(covered));
        match (rest, covered) {
            (0, _) => Ruling::Send(in_hand),
            (rest, _) if remainder(rest) && !owes => Ruling::Send(in_hand),
            (rest, 0) if remainder(rest) => Ruling::WaitFor(no_debt),
            (_, 0) => {
                *holding = true;
                Ruling::WaitFor(self.whole)
            }
            (_, covered) => Ruling::Send(covered),
        }
    }

    /// Parts above a chunk that time not used may give.
    fn spare(&self) -> i128 {
        (self.rate * i128::from(self.case.catch_up) - self.chunk()).max(0)
    }

    /// Rule 6: what is left of the burst, fixed when the first bytes of a response are in hand.
    fn burst_at_first_bytes(&mut self, left: &mut Option<u64>) -> u64 {
        let is_first = left.is_none();
        self.rest(if is_first { 0 } else { self.spare() });
        *left.get_or_insert_with(|| {
            let left = i128::from(self.case.burst) * BYTE - self.burst_spent;
            u64::try_from(left.max(0) / BYTE).unwrap()
        })
    }

    /// Rule 5: time beyond the instant of being whole earns the burst back, and nothing else. Less than a
    /// nanosecond of it is a clock that knows no fractions, not time. `spare` parts stay to be made up; between responses none.
    fn rest(&mut self, spare: i128) {
        let over = self.clock() - self.whole - spare;
        if over >= self.rate {
            self.burst_spent = (self.burst_spent - over).max(0);
            self.whole = self.clock() - spare;
        }
    }

    /// Books bytes; says how many came out of the burst.
    fn spend(&mut self, bytes: u64, burst: u64) -> u64 {
        let free = bytes.min(burst);
        self.burst_spent += i128::from(free) * BYTE;
        self.whole += i128::from(bytes - free) * BYTE;
        free
    }

    fn out(&mut self, what: What) {
        self.events.push(Event { at: self.now, what });
    }

    /// Lets the marks go that stand before the next byte. True if one ended the stream.
    fn marks_out(&mut self, hand: &mut VecDeque<Item>) -> bool {
        while let Some(Item::Mark(mark)) = hand.front().copied() {
            hand.pop_front();
            self.out(What::Mark(mark));
            if mark.closes() {
                return true;
            }
        }
        false
    }

    fn bytes_out(&mut self, hand: &mut VecDeque<Item>, mut bytes: u64) {
        while bytes > 0 {
            self.marks_out(hand);
            let Some(Item::Data(first) | Item::File(first)) = hand.front_mut() else { return };
            let gone = bytes.min(*first);
            *first -= gone;
            bytes -= gone;
            if *first == 0 {
                hand.pop_front();
            }
            self.out(What::Bytes(gone));
        }
    }
}
