//! What one client holds too much of is taken from it, and the others are served.

use std::time::Duration;

use super::pipe::{Client, Road};
use super::{GET, World};
use crate::http::server::Settings;

const TOTAL: u64 = 1 << 20;

/// A head that has not ended, of 31 KB, and what it is charged at least.
const HEAD: usize = 31_000;

fn world() -> World {
    World::new(Settings { egress_total: Some(TOTAL), ..Settings::default() }, 10, 0)
}

/// Sends most of a head in pieces.
fn begin_head(world: &mut World, client: &Client) {
    let head = [b"GET /page HTTP/1.1\r\nHost: t\r\nA: ".to_vec(), vec![b'x'; HEAD]].concat();
    for piece in head.chunks(4096) {
        client.send(piece);
        world.settle();
    }
}

fn ask(world: &mut World, client: &Client) -> String {
    client.send(GET);
    world.settle();
    String::from_utf8_lossy(&client.read(usize::MAX)).chars().take(12).collect()
}

#[test]
fn unfinished_heads_of_one_address_are_held_up_to_the_total_and_keep_nobody_else_out() {
    let mut world = world();
    let attack = |world: &mut World| -> Vec<Client> {
        let begin = |_| {
            let client = world.connect(Road::WIDE);
            begin_head(world, &client);
            assert!(world.handle.egress().held().total() <= TOTAL);
            client
        };
        (0..100).map(begin).collect()
    };
    let first = attack(&mut world);
    assert!(!world.lives(1) && world.lives(100), "the oldest heads made room");
    let second = world.connect_from([192, 0, 2, 2], Road::WIDE);
    for _ in 0..3 {
        assert_eq!(ask(&mut world, &second), "HTTP/1.1 200");
    }
    // Also while the attack goes on.
    let more = attack(&mut world);
    assert_eq!(ask(&mut world, &second), "HTTP/1.1 200");
    assert!(world.lives(101), "a connection that holds nothing is not ended");
    drop((first, more, second));
    world.pass(Duration::from_secs(120));
}

/// Answers that their readers do not take hold bytes too: those are not taken away, but their client is refused.
#[test]
fn who_holds_its_share_with_answers_under_way_is_refused_and_the_others_are_served() {
    let mut world = World::new(Settings { egress_total: Some(TOTAL), ..Settings::default() }, 100_000, 0);
    let narrow = Road { capacity: 4096, ..Road::WIDE };
    let mut readers = Vec::new();
    while !world.handle.is_shedding() {
        let reader = world.connect(narrow);
        reader.send(GET);
        world.settle();
        readers.push(reader);
    }
    let own = world.connect(Road::WIDE);
    assert_eq!(ask(&mut world, &own), "HTTP/1.1 503");
    let second = world.connect_from([192, 0, 2, 2], Road::WIDE);
    assert_eq!(ask(&mut world, &second), "HTTP/1.1 200");
    assert!((1..=readers.len()).all(|number| world.lives(number)), "answers under way go on");
    drop((readers, own, second));
    world.pass(Duration::from_secs(120));
}
