//! The golden timelines of `fixtures/pacing`, on the bare chain and on the model.

mod timeline;

use timeline::chain::ChainRunner;
use timeline::golden::check_all;
use timeline::model::Model;

#[test]
fn the_chain_keeps_every_golden_timeline() {
    check_all(&ChainRunner::default());
}

// Goldens are worked out by hand in their comments. This catches a slip of the pen.
#[test]
fn the_rules_written_down_a_second_time_give_the_same() {
    check_all(&Model);
}

#[test]
fn room_and_looks_do_not_show_in_a_timeline() {
    for (room, look_every) in [(7, 200), (4096, 1), (65_536, 7), (12_288, 60_000)] {
        let runner = ChainRunner { room, look_every: look_every * timeline::MS, ..ChainRunner::default() };
        for golden in timeline::golden::all() {
            // When a live change is seen depends on when one looks.
            if golden.case.changes.is_empty() {
                let is = timeline::lines(&runner, &timeline::Runner::run(&runner, &golden.case));
                assert_eq!(is, golden.lines, "{} with {room} bytes of room", golden.name);
            }
        }
    }
}
