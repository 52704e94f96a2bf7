//! A filter of somebody else's that panics: its connection is lost, and nothing else is.

use std::io::Read;

use sluicegate::brigade::Brigade;
use sluicegate::clock::Instant;
use sluicegate::filter::{Filter, FilterError, Verdict, factory_fn};
use sluicegate::sink::SinkSettings;

use super::ground::{Ground, by_path};
use testkit::versions::{BOTH, Version};
use testkit::wire::End;

/// Passes some bytes on, and has had enough then.
#[derive(Default)]
struct Panics {
    passed: u64,
}

impl Filter for Panics {
    fn filter(
        &mut self,
        _: Instant,
        input: &mut Brigade,
        output: &mut Brigade,
    ) -> Result<Verdict, FilterError> {
        assert!(self.passed < 20_000, "this panic belongs to the test");
        while let Some(bucket) = input.pop_within(output.room()) {
            self.passed += bucket.len();
            output.push(bucket);
        }
        Ok(Verdict::after(output))
    }
}

fn ground() -> Ground {
    Ground::with(SinkSettings::default(), 100_000, by_path, |backend| {
        backend.route(100_000).filter(factory_fn(Panics::default))
    })
}

#[test]
fn a_filter_that_panics_ends_its_answer_in_a_reset_and_leaves_nothing() {
    for version in BOTH {
        let ground = ground();
        let mut stream = ground.served.send(version.get("/proxied/page"));
        let end = version.answer(&mut stream).end;
        assert_eq!(end, if version == Version::Http1 { End::Reset } else { End::StreamReset });
        drop(stream);
        ground.assert_forgotten();
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
    drop(stream);
    ground.assert_forgotten();
}
