//! The book by examples: who gets what, and when.

use std::time::Duration;

use sluicegate::clock::Instant;
use sluicegate::quota::book::{
    Allocation, Answer, Beat, Book, BookError, BookSettings, Interest, MAX_WEIGHT,
};
use sluicegate::quota::{Id, MAX_ID_LEN, MICRO, ResourceLimit, Unit};

const TIMEOUT: Duration = Duration::from_secs(30);
const EPOCH: u64 = 7;

pub fn id(text: &str) -> Id {
    text.parse().unwrap()
}

pub fn requests(per_second: u64) -> ResourceLimit {
    ResourceLimit::new(Unit::Requests, per_second).unwrap()
}

const fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// A book that has learned already, with `api=100/s`.
fn book() -> Book {
    let settings = BookSettings { learning: Duration::ZERO, ..BookSettings::default() };
    let mut book = Book::new(settings, EPOCH, Instant::ZERO);
    book.set_limit(Instant::ZERO, &id("api"), requests(100)).unwrap();
    book
}

fn join(book: &mut Book, now: Instant, client: &str) -> Allocation {
    book.register(now, &id(client), "").unwrap();
    beat(book, now, client, 0)
}

fn try_beat(
    book: &mut Book,
    now: Instant,
    client: &str,
    interests: &[Interest],
) -> Result<Answer, BookError> {
    book.heartbeat(now, Beat { client: &id(client), instance: "", epoch: EPOCH, sequence: 0, interests })
}

/// A heartbeat with interest in `api` that acknowledges a version.
fn beat(book: &mut Book, now: Instant, client: &str, applied: u64) -> Allocation {
    beat_with(book, now, client, Interest { applied, ..Interest::new(id("api")) })
}

fn beat_with(book: &mut Book, now: Instant, client: &str, interest: Interest) -> Allocation {
    try_beat(book, now, client, &[interest]).unwrap().allocations.remove(0)
}

fn per_second(allocation: &Allocation) -> u64 {
    allocation.rate / MICRO
}

#[test]
fn the_first_client_has_it_all_and_a_second_one_waits_for_its_half() {
    let mut book = book();
    let a = join(&mut book, at(0), "a");
    assert_eq!((per_second(&a), a.retry_after, a.clients), (100, None, 1));

    let b = join(&mut book, at(1000), "b");
    assert_eq!((b.rate, b.target, b.clients), (0, 50 * MICRO, 2));
    assert_eq!(b.retry_after, Some(TIMEOUT / 3));

    let lower = beat(&mut book, at(2000), "a", a.version);
    assert_eq!(per_second(&lower), 50);
    assert_eq!(beat(&mut book, at(2000), "b", b.version).rate, 0, "a may not have heard it");
    let same = beat(&mut book, at(2001), "a", lower.version);
    assert_eq!((same.rate, same.version), (lower.rate, lower.version));
    let b = beat(&mut book, at(2001), "b", b.version);
    assert_eq!((per_second(&b), b.retry_after), (50, None), "a has said that it heard");
}

#[test]
fn an_unacknowledged_share_is_handed_on_when_its_lease_ends_and_not_a_nanosecond_before() {
    let mut book = book();
    let a = join(&mut book, at(0), "a");
    let b = join(&mut book, at(0), "b");
    // Told the half at 10 s; its answer is lost, so it goes on at 100 until 30 s.
    beat(&mut book, at(10_000), "a", a.version);
    let end = at(0) + TIMEOUT;
    beat(&mut book, at(20_000), "b", b.version);
    let just_before = Instant::from_nanos(end.as_nanos() - 1);
    assert_eq!(beat(&mut book, just_before, "b", b.version).rate, 0);
    assert_eq!(book.next_due(), Some(end));
    assert_eq!(per_second(&beat(&mut book, end, "b", b.version)), 50);
}

#[test]
fn a_client_expires_exactly_at_the_timeout() {
    let mut book = book();
    join(&mut book, at(0), "a");
    let end = at(0) + TIMEOUT;
    book.advance(Instant::from_nanos(end.as_nanos() - 1));
    assert_eq!(book.live(), 1);
    book.advance(end);
    assert_eq!((book.live(), book.resources(end, None, 9)[0].granted), (0, 0));
    assert_eq!(try_beat(&mut book, end, "a", &[]), Err(BookError::UnknownClient(id("a"))));
    assert_eq!(per_second(&join(&mut book, end, "a")), 100, "it may come again");
}

#[test]
fn a_client_that_leaves_frees_its_share_at_once() {
    let mut book = book();
    let a = join(&mut book, at(0), "a");
    let b = join(&mut book, at(0), "b");
    assert_eq!(book.unregister(at(1), &id("a"), ""), Ok(true));
    assert_eq!(per_second(&beat(&mut book, at(1), "b", b.version)), 100);
    assert_eq!(book.unregister(at(1), &id("a"), ""), Ok(false));
    // Giving up a resource is as good.
    join(&mut book, at(2), "a");
    assert_eq!(
        try_beat(&mut book, at(3), "b", &[]).unwrap(),
        Answer { allocations: vec![], unlimited: vec![] }
    );
    assert_eq!(per_second(&beat(&mut book, at(3), "a", a.version)), 100);
}

#[test]
fn weights_and_wants_divide_max_min_fairly() {
    let mut book = book();
    let wanting = |wants: u64| Interest { wants: Some(wants * MICRO), ..Interest::new(id("api")) };
    for client in ["a", "b", "c"] {
        book.register(at(0), &id(client), "").unwrap();
    }
    beat_with(&mut book, at(0), "a", wanting(10));
    beat_with(&mut book, at(0), "b", Interest { weight: 2, ..Interest::new(id("api")) });
    beat(&mut book, at(0), "c", 0);
    let targets = |book: &mut Book| -> Vec<u64> {
        book.clients(at(0), None, 9).iter().map(|client| client.shares[0].target / MICRO).collect()
    };
    assert_eq!(targets(&mut book), [10, 60, 30]);
    beat_with(&mut book, at(0), "b", wanting(0));
    assert_eq!(targets(&mut book), [10, 0, 90], "an idle one lends");
}

#[test]
fn a_limit_of_one_is_divided_too() {
    let mut book = book();
    book.set_limit(at(0), &id("api"), requests(1)).unwrap();
    for client in ["a", "b", "c"] {
        join(&mut book, at(0), client);
    }
    for client in book.clients(at(0), None, 9) {
        assert_eq!(client.shares[0].target, 333_333);
    }
}

#[test]
fn a_raised_limit_reaches_all_with_their_next_beat_and_a_lowered_one_grows_no_sum() {
    let mut book = book();
    let (a, b) = (join(&mut book, at(0), "a"), join(&mut book, at(0), "b"));
    let a = beat(&mut book, at(1), "a", a.version);
    let a = beat(&mut book, at(1), "a", a.version);
    let b = beat(&mut book, at(1), "b", b.version);
    assert_eq!((per_second(&a), per_second(&b)), (50, 50));

    book.set_limit(at(2), &id("api"), requests(60)).unwrap();
    let c = join(&mut book, at(3), "c");
    assert_eq!(c.rate, 0, "100 are granted still");
    let granted = |book: &mut Book, now| (book.resources(now, None, 1)[0].granted / u128::from(MICRO)) as u64;
    let a = beat(&mut book, at(3), "a", a.version);
    assert_eq!((per_second(&a), granted(&mut book, at(3))), (20, 100));
    let a = beat(&mut book, at(3), "a", a.version);
    assert_eq!(granted(&mut book, at(3)), 70);
    let b = beat(&mut book, at(3), "b", b.version);
    beat(&mut book, at(3), "b", b.version);
    assert_eq!(granted(&mut book, at(3)), 40);
    assert_eq!(per_second(&beat(&mut book, at(3), "c", c.version)), 20);

    book.set_limit(at(4), &id("api"), requests(600)).unwrap();
    assert_eq!(per_second(&beat(&mut book, at(4), "a", a.version)), 200);
}

#[test]
fn a_limit_that_was_deleted_and_made_again_counts_leases_that_run() {
    let mut book = book();
    let a = join(&mut book, at(0), "a");
    book.delete_limit(at(1), &id("api")).unwrap();
    assert_eq!(book.delete_limit(at(1), &id("api")), Err(BookError::NoLimit(id("api"))));
    let api = [Interest::new(id("api"))];
    assert_eq!(try_beat(&mut book, at(10_000), "a", &api).unwrap().unlimited, [id("api")]);
    book.set_limit(at(10_001), &id("api"), requests(100)).unwrap();
    assert_eq!(join(&mut book, at(10_001), "b").rate, 0, "a may be spending all of it");
    // What it was told at 0 s has run out at 30 s, though it beat at 10 s.
    assert_eq!(beat(&mut book, at(29_999), "b", 0).rate, 0);
    assert_eq!(per_second(&beat(&mut book, at(30_000), "b", a.version)), 50);
    // Counted in hours, it is another resource; deleted for good it leaves nothing.
    book.delete_limit(at(30_001), &id("api")).unwrap();
    book.advance(at(90_000));
    let bytes = ResourceLimit::new(Unit::Bytes, 5).unwrap();
    assert!(book.set_limit(at(90_000), &id("api"), bytes).is_ok());
}

#[test]
fn interest_that_was_there_before_the_limit_gets_its_share_with_it() {
    let mut book = book();
    book.register(at(0), &id("a"), "").unwrap();
    let interests = [Interest::new(id("new"))];
    assert_eq!(try_beat(&mut book, at(0), "a", &interests).unwrap().unlimited, [id("new")]);
    let ask = |book: &mut Book| book.allocation(at(1), &id("a"), "", &id("new"));
    assert_eq!(ask(&mut book), Err(BookError::NoLimit(id("new"))));
    book.set_limit(at(1), &id("new"), requests(5)).unwrap();
    assert_eq!(per_second(&ask(&mut book).unwrap()), 5);
}

#[test]
fn a_server_that_learns_honours_claims_and_gives_newcomers_nothing() {
    let mut book = Book::new(BookSettings::default(), EPOCH, at(0));
    book.set_limit(at(0), &id("api"), requests(100)).unwrap();
    let claim = |held: u64| Interest { held: held * MICRO, ..Interest::new(id("api")) };
    for client in ["a", "b", "new"] {
        book.register(at(0), &id(client), "").unwrap();
    }
    let new = beat_with(&mut book, at(0), "new", claim(0));
    assert!(new.learning && new.rate == 0 && new.retry_after.is_some());
    assert_eq!(per_second(&beat_with(&mut book, at(1), "a", claim(70))), 70);
    assert_eq!(per_second(&beat_with(&mut book, at(1), "b", claim(30))), 30);
    beat(&mut book, at(1), "new", 0);
    assert_eq!(per_second(&beat(&mut book, at(29_999), "a", 0)), 70, "as long as it learns");
    assert_eq!(book.next_due(), Some(at(30_000)));
    let a = beat(&mut book, at(30_000), "a", 0);
    assert_eq!((per_second(&a), a.learning), (33, false));
}

#[test]
fn claims_above_the_limit_are_honoured_as_far_as_it_goes_and_then_shrink() {
    let mut book = Book::new(BookSettings::default(), EPOCH, at(0));
    book.set_limit(at(0), &id("api"), requests(50)).unwrap();
    let claim = Interest { held: 50 * MICRO, ..Interest::new(id("api")) };
    for client in ["a", "b"] {
        book.register(at(0), &id(client), "").unwrap();
    }
    let a = beat_with(&mut book, at(0), "a", claim.clone());
    assert_eq!(per_second(&a), 50);
    let b = beat_with(&mut book, at(0), "b", claim.clone());
    assert_eq!(b.rate, 0);
    let a = beat_with(&mut book, at(1), "a", Interest { applied: a.version, ..claim.clone() });
    assert_eq!(per_second(&a), 25);
    beat_with(&mut book, at(1), "a", Interest { applied: a.version, ..claim.clone() });
    assert_eq!(per_second(&beat_with(&mut book, at(1), "b", claim)), 25);
}

#[test]
fn bad_calls_are_refused_and_disturb_nobody() {
    let settings = BookSettings {
        learning: Duration::ZERO,
        most_clients: 2,
        most_resources: 1,
        most_interests: 2,
        ..BookSettings::default()
    };
    let mut book = Book::new(settings, EPOCH, at(0));
    book.set_limit(at(0), &id("api"), requests(100)).unwrap();
    join(&mut book, at(0), "a");
    let before = book.clients(at(0), None, 9);

    let expires_in = Duration::from_secs(29);
    let other = || BookError::OtherInstance { client: id("a"), expires_in };
    assert_eq!(book.register(at(1000), &id("a"), ""), Err(other()), "two places without a name");
    assert_eq!(book.register(at(1000), &id("a"), "second"), Err(other()));
    assert_eq!(book.unregister(at(1000), &id("a"), "second"), Err(other()));
    let long = "i".repeat(MAX_ID_LEN + 1);
    assert_eq!(book.register(at(1000), &id("x"), &long), Err(BookError::LongInstance(MAX_ID_LEN + 1)));
    let api = || Interest::new(id("api"));
    for (interests, expected) in [
        (vec![api(), api()], BookError::NamedTwice(id("api"))),
        (vec![Interest { weight: 0, ..api() }], BookError::BadWeight(0)),
        (vec![Interest { weight: MAX_WEIGHT + 1, ..api() }], BookError::BadWeight(MAX_WEIGHT + 1)),
        (["x", "y", "z"].map(|name| Interest::new(id(name))).to_vec(), BookError::TooManyInterests(2)),
    ] {
        assert_eq!(try_beat(&mut book, at(1000), "a", &interests), Err(expected));
    }
    assert_eq!(try_beat(&mut book, at(1000), "nobody", &[]), Err(BookError::UnknownClient(id("nobody"))));
    let none = book.allocation(at(1000), &id("a"), "", &id("other"));
    assert_eq!(none, Err(BookError::NoInterest { client: id("a"), resource: id("other") }));
    assert_eq!(book.set_limit(at(1000), &id("two"), requests(1)), Err(BookError::TooManyResources(1)));
    let bytes = ResourceLimit::new(Unit::Bytes, 100).unwrap();
    let unit = BookError::OtherUnit { resource: id("api"), unit: Unit::Requests };
    assert_eq!(book.set_limit(at(1000), &id("api"), bytes), Err(unit));
    book.register(at(1000), &id("b"), "").unwrap();
    assert_eq!(book.register(at(1000), &id("c"), ""), Err(BookError::TooManyClients(2)));
    book.unregister(at(1000), &id("b"), "").unwrap();

    assert_eq!(book.clients(at(0), None, 9)[0].shares, before[0].shares);
    assert_eq!(book.live(), 1);
}

#[test]
fn a_named_instance_may_say_everything_twice_and_a_late_heartbeat_counts_for_nothing() {
    let mut book = book();
    for _ in 0..2 {
        book.register(at(0), &id("a"), "run-1").unwrap();
    }
    let api = [Interest::new(id("api"))];
    let mut beat = |sequence, instance, interests| {
        book.heartbeat(at(1), Beat { client: &id("a"), instance, epoch: EPOCH, sequence, interests })
    };
    beat(2, "run-1", &api).unwrap();
    assert_eq!(beat(1, "run-1", &[]), Err(BookError::StaleHeartbeat(id("a"))));
    assert_eq!(beat(2, "run-1", &[]), Err(BookError::StaleHeartbeat(id("a"))));
    assert!(matches!(beat(3, "run-2", &[]), Err(BookError::OtherInstance { .. })));
    assert!(matches!(beat(3, "", &[]), Err(BookError::OtherInstance { .. })));
    beat(3, "run-1", &api).unwrap();
    assert_eq!(book.resources(at(1), None, 9)[0].clients, 1);
}

#[test]
fn acknowledgements_for_another_run_of_the_server_are_not_counted() {
    let mut book = book();
    let a = join(&mut book, at(0), "a");
    join(&mut book, at(0), "b");
    let lower = beat(&mut book, at(1), "a", a.version);
    let interests = [Interest { applied: lower.version, ..Interest::new(id("api")) }];
    let stale = Beat { client: &id("a"), instance: "", epoch: EPOCH + 1, sequence: 0, interests: &interests };
    book.heartbeat(at(2), stale).unwrap();
    assert_eq!(beat(&mut book, at(2), "b", 0).rate, 0);
}

#[test]
fn a_clock_that_steps_back_changes_nothing() {
    let mut book = book();
    join(&mut book, at(20_000), "a");
    beat(&mut book, at(5_000), "a", 0);
    book.advance(at(49_999));
    assert_eq!(book.live(), 1, "the heartbeat at 5 s counts as one at 20 s");
    book.advance(at(50_000));
    book.advance(Instant::ZERO);
    assert_eq!(book.live(), 0);
}

#[test]
fn lists_come_by_id_a_page_at_a_time() {
    let mut book = book();
    for client in ["c", "a", "b"] {
        join(&mut book, at(0), client);
    }
    let mut names = |after: Option<&str>, most| -> Vec<String> {
        let after = after.map(id);
        book.clients(at(0), after.as_ref(), most).iter().map(|client| client.client.to_string()).collect()
    };
    assert_eq!(names(None, 2), ["a", "b"]);
    assert_eq!(names(Some("b"), 2), ["c"]);
    assert!(names(Some("c"), 2).is_empty());
}
