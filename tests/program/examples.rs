//! The examples do what they say.

#[allow(dead_code)] // its main
#[path = "../../examples/custom_filter.rs"]
mod custom_filter;

#[allow(dead_code)] // its main
#[path = "../../examples/custom_server.rs"]
mod custom_server;

use sluicegate::clock::Instant;
use sluicegate::filter::Counts;
use testkit::folder::folder;
use testkit::timeline::by_instant;

#[test]
fn the_custom_filter_masks_long_numbers_and_is_paced() {
    let counts = Counts::default();
    let timeline = custom_filter::timeline(&custom_filter::LOG, &counts).unwrap();
    let text: Vec<u8> = timeline.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
    assert_eq!(
        std::str::from_utf8(&text).unwrap(),
        "2026-03-01 payment from ******** to ******** on port 8080\n\
         2026-03-01 refund to 1234567, which is too short, and to ********, which is not\n\
         2026-03-02 nothing happened 2026"
    );
    assert_eq!(counts.bytes(), custom_filter::LOG.concat().len() as u64);
    assert_eq!((counts.streams(), counts.ended()), (1, 1));

    // 100 bytes/s: 20 bytes each 200 ms, the remainder with the last of them.
    for (n, (instant, bytes)) in timeline.iter().enumerate() {
        assert_eq!(*instant, Instant::from_millis(200 * n as u64));
        assert_eq!(bytes.len() < 40, n + 1 == timeline.len() || bytes.len() == 20, "{timeline:?}");
    }
    assert_eq!(timeline.len(), text.len() / 20);
}

#[test]
fn the_custom_filter_does_not_care_how_its_input_is_cut() {
    let whole: &'static str = custom_filter::LOG.concat().leak();
    let letters: Vec<&'static str> = (0..whole.len()).map(|at| &whole[at..=at]).collect();
    let timeline = |pieces: &[&'static str]| {
        let timeline = custom_filter::timeline(pieces, &Counts::default()).unwrap();
        by_instant(timeline.iter().map(|(at, bytes)| (*at, bytes.len())))
    };
    assert_eq!(timeline(&letters), timeline(&[whole]));
}

#[test]
fn the_custom_server_shouts_by_code_and_by_name() {
    let folder = folder(&[("a.txt", b"hello\n")]);
    let root = folder.path().to_str().unwrap();
    for server in [custom_server::by_code(root).unwrap(), custom_server::by_name(root).unwrap()] {
        let answer = custom_server::ask(server, "/a.txt").unwrap();
        assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with("\r\n\r\nHELLO\n"), "{answer}");
    }
}
