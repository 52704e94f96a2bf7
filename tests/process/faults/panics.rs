//! A filter of somebody else's that panics: its connection is lost, and nothing else is.

use std::io::Read;

use sluicegate::filter::{Filter, factory_fn};
use sluicegate::sink::SinkSettings;

use super::ground::{Ground, by_path};
use testkit::filters::{by, pass};
use testkit::versions::{BOTH, Version};
use testkit::wire::End;

/// Passes some bytes on, and has had enough then.
fn panicking() -> impl Filter {
    let mut passed = 0;
    by(move |_, input, output| {
        assert!(passed < 20_000, "this panic belongs to the test");
        let before = output.bytes();
        let verdict = pass(input, output);
        passed += output.bytes() - before;
        verdict
    })
}

fn ground() -> Ground {
    Ground::with(SinkSettings::default(), 100_000, by_path, |backend| {
        backend.route(100_000).filter(factory_fn(panicking))
    })
}

#[test]
fn a_filter_that_panics_ends_its_answer_in_a_reset_and_leaves_nothing() {
    for version in BOTH {
        let ground = ground();
        let mut stream = ground.served.send(version.get("/proxied/page"));
        let end = version.answer(&mut stream).end;
        assert_eq!(end, if version == Version::Http1 { End::Reset } else { End::StreamReset });
        ground.assert_forgets(stream);
        // The thread that ran it lives on.
        let mut stream = ground.served.send(version.get("/files/page"));
        assert_eq!(version.answer(&mut stream).end, End::Complete);
    }
}

// Without a length there is nothing but the end to tell a whole answer from a part.
#[test]
fn a_part_of_an_answer_without_a_length_does_not_look_whole() {
    let ground = ground();
    let mut stream = ground.served.send(b"GET /proxied/endless HTTP/1.0\r\n\r\n");
    let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    ground.assert_forgets(stream);
}
