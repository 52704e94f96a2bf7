//! Shared limits that follow the calendar, and rules of uploads, under transfers that are on their way.

use std::time::Duration;

use super::pipe::{Client, Road};
use super::{GET, Page, World, content};
use crate::http::classes::{ClassLimits, ClassMatch, ClassSettings};
use crate::http::limit_schedules::{LimitName, LimitOf, LimitPart, LimitSchedule};
use crate::http::limits::{SharedLimits, UploadLimits};
use crate::http::route::Route;
use crate::http::server::Settings;
use crate::limit::{Budget, Rate};
use crate::schedule::{During, Timetable, Zone};

/// The world's calendar begins at 100 s after the beginning of 1970, a Thursday: this holds from its 140th second for a minute.
const MINUTE: &str = "Thu 00:04-00:05";

const DAY: u64 = 100_000;
const NIGHT: u64 = 20_000;

fn rate(bytes_per_second: u64) -> Budget {
    Budget::of(Rate::or_unlimited(bytes_per_second))
}

fn schedule(of: LimitOf, part: LimitPart, own: u64, then: u64) -> LimitSchedule {
    let during = During::parse([MINUTE], Zone::default()).unwrap();
    let times = Timetable::new(vec![(during, rate(then))]);
    LimitSchedule { limit: LimitName { of, part }, own: rate(own), times, is_by_hand: false }
}

fn world(limits: SharedLimits) -> World {
    let page = Page { status: 200, bytes: content(50_000_000), sized: true };
    World::on(Settings { limits, ..Settings::default() }, Route::handler("/", page))
}

fn read(clients: &[Client]) -> u64 {
    clients.iter().map(|client| client.read(usize::MAX).len() as u64).sum()
}

#[test]
fn at_a_boundary_a_shared_limit_holds_from_the_next_interval_and_gives_no_burst() {
    for (of, part) in [
        (LimitOf::Server, LimitPart::Total),
        (LimitOf::Server, LimitPart::Client),
        (LimitOf::Class("all".to_owned()), LimitPart::Total),
        (LimitOf::Class("all".to_owned()), LimitPart::Client),
    ] {
        for (own, then) in [(DAY, NIGHT), (NIGHT, DAY)] {
            let mut world = world(SharedLimits::default());
            let matches =
                ClassMatch { network: vec!["192.0.2.0/24".parse().unwrap()], ..ClassMatch::default() };
            let class = ClassSettings {
                name: "all".parse().unwrap(),
                matches,
                except: ClassMatch::default(),
                required: false,
                limits: ClassLimits::default(),
            };
            world.handle.set_classes(&[class]).unwrap();
            // A class has limits of its own: that of all clients is for those without one.
            let of = match (&of, part) {
                (LimitOf::Server, LimitPart::Client) => {
                    world.handle.set_classes(&[]).unwrap();
                    of.clone()
                }
                _ => of.clone(),
            };
            world.handle.set_schedules(&[schedule(of.clone(), part, own, then)]);
            world.pass(Duration::from_secs(130));
            let clients: Vec<Client> = (0..10).map(|_| world.connect(Road::WIDE)).collect();
            clients.iter().for_each(|client| client.send(GET));
            // The first interval may give a second one: the bucket is full.
            world.pass(Duration::from_secs(2));
            read(&clients);
            world.pass(Duration::from_secs(8));
            let (before, name) = (read(&clients), format!("{of:?} {part:?} {own} to {then}"));
            assert!(before.abs_diff(own * 8) <= own / 5, "{name}: {before} in 8 s");
            world.handle.follow_calendar();
            world.pass(Duration::from_millis(200));
            let first = read(&clients);
            assert!(first <= own.max(then) / 5 + then / 5, "{name}: {first} at the boundary");
            world.pass(Duration::from_secs(10));
            let after = read(&clients);
            assert!(after.abs_diff(then * 10) <= then / 5, "{name}: {after} in 10 s");
            for number in 1..=clients.len() {
                world.cut(number);
            }
        }
    }
}

#[test]
fn all_of_the_servers_limits_follow_the_calendar_by_themselves() {
    let limits = SharedLimits {
        server: rate(1_000),
        client: rate(1_000),
        upload: UploadLimits { server: rate(1_000), client: rate(1_000) },
        ..SharedLimits::default()
    };
    let mut world = world(limits);
    let all = LimitPart::ALL.map(|part| schedule(LimitOf::Server, part, 1_000, 2_000));
    world.handle.set_schedules(&all);
    let rates = |world: &World| {
        let budgets = world.handle.budgets();
        let (down, up) = (budgets.clients(), budgets.uploads());
        [down.parent().budget(), down.budget(), up.parent().budget(), up.budget()]
    };
    assert_eq!(rates(&world), [rate(1_000); 4]);
    world.pass(Duration::from_millis(139_990));
    assert_eq!(rates(&world), [rate(1_000); 4]);
    world.until("the boundary", |world| rates(world) == [rate(2_000); 4]);
    // The clock jumps over the end.
    world.clock.advance(Duration::from_secs(1_800));
    world.until("the end", |world| rates(world) == [rate(1_000); 4]);
}

#[test]
fn a_limit_that_was_set_by_hand_stays_so_until_it_is_told_to_follow_again() {
    let mut world = world(SharedLimits::default());
    let following = schedule(LimitOf::Server, LimitPart::Total, 1_000, 2_000);
    let name = following.limit.clone();
    world.handle.set_schedules(std::slice::from_ref(&following));
    let now = |world: &World| world.handle.budgets().server().budget().rate.map(Rate::bytes_per_second);
    assert_eq!(now(&world), Some(1_000));
    for follows_again in
        [(|world, name| world.handle.set_by_hand(name, false)) as fn(&World, &LimitName), |world, name| {
            let known = world.handle.schedule_of(name).unwrap();
            assert!(known.is_by_hand);
            world.handle.set_schedules(&[(*known.schedule).clone()]);
        }]
    {
        world.handle.set_by_hand(&name, true);
        world.handle.budgets().server().set(rate(7_000));
        // Both boundaries, and both times.
        for _ in 0..4 {
            world.pass(Duration::from_secs(70));
            world.handle.follow_calendar();
            assert_eq!(now(&world), Some(7_000));
        }
        follows_again(&world, &name);
        let held = following.at(world.handle.calendar());
        assert_eq!(now(&world), held.budget.rate.map(Rate::bytes_per_second));
        assert!(!world.handle.schedule_of(&name).unwrap().is_by_hand);
    }
    world.handle.set_schedules(&[]);
    assert!(world.handle.schedule_of(&name).is_none());
}
