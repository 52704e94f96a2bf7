//! What `top` shows, and what keys do to it. Knows no terminal, no socket and no clock.

use super::columns::{Sort, View};
use super::live::Live;
use super::paces::{Paces, Times};
use super::rows::{self, Row};

/// What was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Quit,
    /// Gives the terminal back to the shell for a while (Ctrl-Z).
    Suspend,
    Pause,
    View(View),
    /// The next view, or the one before.
    Turn(bool),
    Sort(Sort),
    /// The next column to sort by, or the one before.
    TurnSort(bool),
    Reverse,
    /// Moves by so many rows.
    Move(isize),
    /// Moves by so many pages.
    Page(isize),
    First,
    Last,
    Open,
    Back,
    Help,
    /// Shows it anew.
    Redraw,
}

/// What the caller does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Stay,
    Quit,
    Suspend,
    Redraw,
}

/// Whether states come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Live,
    /// Why not. It is tried again.
    Lost(String),
}

pub(super) struct Top {
    /// The admin listener, as it was typed.
    pub(super) place: String,
    pub(super) link: Link,
    pub(super) live: Live,
    pub(super) paces: Paces,
    pub(super) view: View,
    pub(super) sort: Sort,
    pub(super) is_reversed: bool,
    pub(super) is_paused: bool,
    pub(super) is_help: bool,
    /// The row whose transfers alone are shown.
    pub(super) only: Option<String>,
    /// The transfer whose way is shown.
    pub(super) way: Option<String>,
    /// The row that was chosen, and where it was.
    chosen: Option<(String, usize)>,
    /// The first row that is shown.
    first: usize,
    /// Rows that there was room for.
    page: usize,
    /// What came while it was paused, and when.
    waiting: Option<(Live, u64)>,
    /// When it was paused: until then it is shown.
    paused_at: u64,
}

impl Top {
    pub(super) fn new(place: String, sort: Sort) -> Self {
        Self {
            place,
            link: Link::Live,
            live: Live::default(),
            paces: Paces::default(),
            view: View::Transfers,
            sort,
            is_reversed: false,
            is_paused: false,
            is_help: false,
            only: None,
            way: None,
            chosen: None,
            first: 0,
            page: 1,
            waiting: None,
            paused_at: 0,
        }
    }

    /// Takes a state that came at `now`, in milliseconds of our own clock. While it is paused, the last one waits.
    pub(super) fn take(&mut self, live: Live, now: u64) {
        if self.is_paused {
            let unseen = self.waiting.take();
            self.waiting = Some((live.in_place_of(unseen.as_ref().map(|(live, _)| live)), now));
            return;
        }
        let counters = rows::counters(&live);
        let counters = counters.iter().map(|(key, bytes, kind)| (&**key, *bytes, *kind));
        let Live { at, elapsed, quiet_until, .. } = live;
        self.paces.take(Times { at, elapsed, quiet_until, came: now }, counters);
        self.live = live;
    }

    /// Adds a second to the graphs.
    pub(super) fn tick(&mut self, now: u64) {
        if !self.is_paused {
            self.paces.tick(now);
        }
    }

    /// The time that is shown at `now`.
    pub(super) fn shown_at(&self, now: u64) -> u64 {
        if self.is_paused { self.paused_at } else { now }
    }

    /// The rows of the view at `now`.
    pub(super) fn rows(&self, now: u64) -> Vec<Row> {
        let only = self.only.as_deref();
        let now = self.shown_at(now);
        rows::of(&self.live, (&self.paces, now), self.view, (self.sort, self.is_reversed), only)
    }

    /// Says how many rows there is room for. Returns the first one to show, and the chosen one.
    pub(super) fn fit(&mut self, rows: &[Row], page: usize) -> (usize, Option<usize>) {
        self.page = page.max(1);
        let chosen = self.chosen.take().and_then(|(key, at)| {
            let found = rows.iter().position(|row| row.key == key);
            // One that is gone leaves its place to another.
            let at = found.or(rows.len().checked_sub(1).map(|last| at.min(last)))?;
            Some((rows[at].key.clone(), at))
        });
        let last_first = rows.len().saturating_sub(self.page);
        if let Some((_, at)) = &chosen {
            self.first = self.first.clamp((at + 1).saturating_sub(self.page), *at);
        }
        self.first = self.first.min(last_first);
        self.chosen = chosen;
        (self.first, self.chosen.as_ref().map(|(_, at)| *at))
    }

    /// Does what was typed at `now`.
    pub(super) fn press(&mut self, input: Input, now: u64) -> Then {
        if self.is_help && !matches!(input, Input::Quit | Input::Suspend | Input::Redraw) {
            self.is_help = false;
            return Then::Stay;
        }
        match input {
            Input::Quit => return Then::Quit,
            Input::Suspend => return Then::Suspend,
            Input::Redraw => return Then::Redraw,
            Input::Help => self.is_help = true,
            Input::Pause => self.pause(now),
            Input::View(view) => self.look_at(view),
            Input::Turn(is_next) => self.look_at(turned(&View::ALL, &self.view, is_next)),
            Input::Sort(sort) if sort.heading(self.view).is_some() => self.sort = sort,
            Input::Sort(_) => {}
            Input::TurnSort(is_next) => {
                let all = Sort::ALL.map(|(_, sort)| sort);
                let known: Vec<Sort> =
                    all.into_iter().filter(|sort| sort.heading(self.view).is_some()).collect();
                self.sort = turned(&known, &self.sort, is_next);
            }
            Input::Reverse => self.is_reversed = !self.is_reversed,
            Input::Move(by) => self.step(by, now),
            Input::Page(by) => self.step(by.saturating_mul(self.page as isize), now),
            Input::First => self.choose(0, now),
            Input::Last => self.choose(usize::MAX, now),
            Input::Open => self.open(),
            Input::Back => self.back(),
        }
        Then::Stay
    }

    fn pause(&mut self, now: u64) {
        self.is_paused = !self.is_paused;
        self.paused_at = now;
        if let Some((live, came)) = self.waiting.take() {
            self.take(live, came);
        }
    }

    fn look_at(&mut self, view: View) {
        if view != self.view {
            (self.view, self.chosen, self.first, self.way, self.only) = (view, None, 0, None, None);
        }
    }

    fn step(&mut self, by: isize, now: u64) {
        let at = match &self.chosen {
            Some((_, at)) => at.saturating_add_signed(by),
            // The first step chooses a row that is seen.
            None => self.first,
        };
        self.choose(at, now);
    }

    fn choose(&mut self, at: usize, now: u64) {
        let rows = self.rows(now);
        let at = rows.len().checked_sub(1).map(|last| at.min(last));
        self.chosen = at.map(|at| (rows[at].key.clone(), at));
        if self.way.is_some() {
            self.open();
        }
    }

    /// Of a transfer shows its way; of a client, route or class its transfers.
    fn open(&mut self) {
        let Some((key, _)) = &self.chosen else { return };
        match self.view {
            View::Transfers => self.way = key.strip_prefix("transfer ").map(str::to_owned),
            View::Clients | View::Routes | View::Classes => {
                let key = key.clone();
                self.look_at(View::Transfers);
                self.only = Some(key);
            }
            View::Limits | View::Streams => {}
        }
    }

    fn back(&mut self) {
        if self.way.take().is_none() && self.only.take().is_none() {
            self.chosen = None;
        }
    }
}

fn turned<T: Copy + PartialEq>(all: &[T], now: &T, is_next: bool) -> T {
    let at = all.iter().position(|one| one == now);
    let step = if is_next { 1 } else { all.len() - 1 };
    all[at.map_or(0, |at| (at + step) % all.len())]
}
