//! Turns of clients that hang, come in crowds, or are slow.

use std::cell::Cell;
use std::future::pending;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::task::Context;

use super::*;
use crate::clock::ManualClock;

const TIMEOUT: Duration = Duration::from_secs(100);

/// What a turn ended with; `None` if it has not.
type Ended = Option<Result<&'static str, TurnLost>>;

struct Scene {
    manual: Arc<ManualClock>,
    clock: Arc<dyn Clock>,
    turns: Turns,
}

struct Running<'a>(Pin<Box<dyn Future<Output = Result<&'static str, TurnLost>> + 'a>>);

impl Running<'_> {
    fn poll(&mut self) -> Ended {
        let mut cx = Context::from_waker(Waker::noop());
        match self.0.as_mut().poll(&mut cx) {
            Poll::Ready(ended) => Some(ended),
            Poll::Pending => None,
        }
    }
}

impl Scene {
    fn new(most: usize) -> Self {
        let manual = Arc::new(ManualClock::new());
        Self { clock: Arc::clone(&manual) as _, manual, turns: Turns::new(most) }
    }

    /// The work of the client `n` that was polled once.
    fn begin<'a>(&'a self, n: u8, work: impl Future<Output = &'static str> + 'a) -> Running<'a> {
        let client = Some(Ipv4Addr::new(10, 0, 0, n).into());
        let mut run = Running(Box::pin(self.turns.run(client, &self.clock, TIMEOUT, work)));
        assert_eq!(run.poll(), None);
        run
    }

    fn hung(&self, n: u8) -> Running<'_> {
        self.begin(n, pending())
    }

    /// Turns, those that wait, and clients that have either.
    fn numbers(&self) -> (usize, usize, usize) {
        let state = self.turns.state.lock();
        assert_eq!(state.entries.len(), state.running + state.waiting);
        (state.running, state.waiting, state.clients.len())
    }
}

#[test]
fn one_that_had_its_turn_for_a_second_loses_it_to_those_that_wait_and_only_to_them() {
    let scene = Scene::new(2);
    let mut hung = scene.hung(1);
    scene.manual.advance(Duration::from_millis(500));
    let mut late = scene.hung(1);
    scene.manual.advance(Duration::from_secs(60));
    assert_eq!(hung.poll(), None, "nobody waits");
    let mut quick = scene.begin(2, async { "done" });
    assert_eq!(scene.numbers(), (2, 1, 2), "two are the most");
    assert_eq!(hung.poll(), Some(Err(TurnLost::Given)));
    assert_eq!(scene.numbers(), (2, 0, 2));
    assert_eq!(quick.poll(), Some(Ok("done")));
    assert_eq!(late.poll(), None, "nobody waits any more");
    // One that gives up waiting leaves no trace.
    let scene = Scene::new(1);
    let running = scene.hung(1);
    let waiting = scene.hung(2);
    assert_eq!(scene.numbers(), (1, 1, 2));
    drop(waiting);
    assert_eq!(scene.numbers(), (1, 0, 1));
    drop(running);
    assert_eq!(scene.numbers(), (0, 0, 0));
}

#[test]
fn within_its_second_a_turn_is_safe_and_a_freed_one_goes_to_the_next() {
    let scene = Scene::new(1);
    let is_done = Cell::new(false);
    let slow = poll_fn(|_| if is_done.get() { Poll::Ready("slow") } else { Poll::Pending });
    let mut slow = scene.begin(1, slow);
    let mut next = scene.begin(2, async { "next" });
    scene.manual.advance(GRACE - Duration::from_nanos(1));
    assert_eq!((slow.poll(), next.poll()), (None, None));
    is_done.set(true);
    assert_eq!((slow.poll(), next.poll()), (Some(Ok("slow")), Some(Ok("next"))));
}

/// Once those that came at the same time got one turn together, and the others waited on.
#[test]
fn as_many_turns_are_lost_as_are_waited_for() {
    let scene = Scene::new(4);
    let mut hung = [(); 4].map(|()| scene.hung(1));
    scene.manual.advance(GRACE);
    assert_eq!(hung.each_mut().map(|hung| hung.poll()), [None; 4]);
    let mut waiting = [2, 2, 3].map(|n| scene.begin(n, async { "done" }));
    let lost = Some(Err(TurnLost::Given));
    assert_eq!(hung.each_mut().map(|hung| hung.poll()), [lost, lost, lost, None]);
    assert_eq!(waiting.each_mut().map(|waiting| waiting.poll()), [Some(Ok("done")); 3]);
    // And one that becomes overdue while others wait.
    let mut others = [(); 3].map(|()| scene.hung(4));
    let mut next = scene.begin(5, async { "next" });
    assert_eq!((hung[3].poll(), next.poll()), (lost, Some(Ok("next"))));
    let mut next = [(); 2].map(|()| scene.hung(5));
    scene.manual.advance(GRACE);
    assert_eq!(others.each_mut().map(|other| other.poll()), [lost, None, None]);
    assert_eq!((next[0].poll(), next[1].poll(), scene.numbers()), (None, None, (4, 0, 2)));
}

#[test]
fn a_free_turn_goes_to_the_client_with_the_fewest_and_there_to_the_last_that_came() {
    let scene = Scene::new(2);
    let (first, _second) = (scene.hung(1), scene.hung(1));
    let mut flood = [(); 3].map(|()| scene.begin(1, async { "flood" }));
    let mut others = [2, 3].map(|n| scene.begin(n, async { "other" }));
    let _late = scene.begin(1, async { "flood" });
    drop(first);
    assert_eq!(others[0].poll(), None);
    assert_eq!(others[1].poll(), Some(Ok("other")));
    assert_eq!(flood.each_mut().map(|one| one.poll()), [None; 3]);
    assert_eq!(others[0].poll(), Some(Ok("other")));
    assert_eq!(flood.each_mut().map(|one| one.poll()), [None; 3], "the last that came goes first");
}

#[test]
fn a_slow_client_keeps_its_turn_from_one_that_has_more() {
    let scene = Scene::new(3);
    let (mut slow, mut flood) = (scene.hung(1), [(); 2].map(|()| scene.hung(2)));
    scene.manual.advance(GRACE);
    assert_eq!(slow.poll(), None);
    let mut more = scene.hung(2);
    assert_eq!((slow.poll(), more.poll(), scene.numbers()), (None, None, (3, 1, 2)));
    assert_eq!(flood[0].poll(), Some(Err(TurnLost::Given)), "its own is overdue too by now");
    assert_eq!((more.poll(), scene.numbers()), (None, (3, 0, 2)));
}

#[test]
fn the_wait_and_the_turn_have_the_whole_timeout_each() {
    let scene = Scene::new(1);
    let mut hung = scene.hung(1);
    scene.manual.advance(TIMEOUT - Duration::from_nanos(1));
    let mut waiting = scene.hung(2);
    scene.manual.advance(Duration::from_nanos(1));
    assert_eq!(hung.poll(), Some(Err(TurnLost::TooSlow)));
    drop(hung);
    assert_eq!(waiting.poll(), None);
    scene.manual.advance(TIMEOUT - Duration::from_nanos(1));
    assert_eq!(waiting.poll(), None);
    scene.manual.advance(Duration::from_nanos(1));
    assert_eq!(waiting.poll(), Some(Err(TurnLost::TooSlow)));
    drop(waiting);

    let (_first, mut in_vain) = (scene.hung(1), scene.hung(1));
    scene.manual.advance(TIMEOUT - Duration::from_nanos(1));
    assert_eq!(in_vain.poll(), None);
    scene.manual.advance(Duration::from_nanos(1));
    assert_eq!(in_vain.poll(), Some(Err(TurnLost::NoTurn)));
    assert_eq!(scene.numbers().1, 0);
}
