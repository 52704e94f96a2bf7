//! Those who do not read, until they are asked what became of them.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::scene::{STALLED, Scene, get};
use testkit::served::connect_narrow;
use testkit::sse::Answer;

pub struct Stalled {
    socket: TcpStream,
    token: String,
    /// The number of the first event that is published after it came.
    first: usize,
}

/// What became of the events for one.
pub struct Had {
    /// It read them on its stream.
    pub given: u64,
    /// It was told that they are missing.
    pub missing: u64,
}

/// As many as there are to be, connected and subscribed.
pub fn come(scene: &Scene, round: usize) -> Vec<Stalled> {
    let come = |number| {
        let mut socket = connect_narrow(scene.program.addr());
        let token = format!("stalled-{round:08}-{number:08}");
        write!(socket, "GET /events/s?token={token} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        // The status line says that it is subscribed; more it does not read.
        let mut begin = [0; 12];
        socket.read_exact(&mut begin).unwrap();
        assert_eq!(&begin, b"HTTP/1.1 200");
        Stalled { socket, token, first: scene.published() }
    };
    (0..STALLED).map(come).collect()
}

impl Stalled {
    /// Reads what there is, to its end, and polls for the rest. Everything is there, in order, or named as
    /// missing.
    pub fn is_paused_and_gets_the_gap(&mut self, scene: &Scene) -> Had {
        let mut answer = Answer::default();
        answer.push(b"HTTP/1.1 200");
        let (mut next, mut given, mut last, mut pause) = (self.first, 0, None, None);
        let mut piece = vec![0; 65_536];
        while !answer.ended {
            let len = self.socket.read(&mut piece).unwrap();
            assert!(len > 0, "{}: cut", self.token);
            answer.push(&piece[..len]);
            for event in answer.by_ref() {
                match event.kind.as_str() {
                    "sluicegate.open" => {
                        assert_eq!(event.json()["token"], self.token.as_str());
                        last = event.id;
                    }
                    "message" => {
                        assert!(pause.is_none(), "an event behind the pause");
                        assert!(event.data.starts_with(&format!("{next:08} ")), "{next}: {}", event.data);
                        (next, given, last) = (next + 1, given + 1, event.id);
                    }
                    "sluicegate.pause" => pause = Some(event.json()),
                    _ => panic!("{event:?}"),
                }
            }
        }
        let pause = pause.unwrap_or_else(|| panic!("{}: no pause", self.token));
        assert_eq!(pause["last_id"].as_str(), last.as_deref());
        let mut at = pause["poll"].as_str().unwrap().to_owned();
        let mut missing = 0;
        while next < scene.published() {
            let polled: serde_json::Value =
                serde_json::from_str(&get(scene.program.addr(), &at, "localhost")).unwrap();
            assert_eq!(polled["suspended"], true);
            if let Some(gap) = polled["gap"]["missing"].as_u64() {
                assert_eq!(polled["gap"]["reason"], "evicted");
                (next, missing) = (next + gap as usize, missing + gap);
            }
            for event in polled["events"].as_array().unwrap() {
                let data = event["data"].as_str().unwrap();
                assert!(data.starts_with(&format!("{next:08} ")), "{next}: {data}");
                next += 1;
            }
            at = format!("/events/s/poll?token={}&after={}", self.token, polled["last_id"].as_str().unwrap());
        }
        assert_eq!(next, scene.published());
        Had { given, missing }
    }
}
