//! A connection and its client as a list of operations: bytes come and are taken in any pieces, time passes, the
//! source gives what it has bit by bit, limits change, either side goes.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::pipe::{Client, Road};
use super::super::{From, World, content};
use super::answers::{self, Said};
use super::{MARK, note};
use crate::brigade::{Brigade, Bucket};
use crate::generator::Generator;
use crate::http::body::RequestBody;
use crate::http::content::Content;
use crate::http::route::{Answer, Handler};
use crate::http::server::{HalfClose, Settings};
use crate::limit::Rate;

/// One request, and so one answer.
#[derive(Clone, Debug)]
enum Ask {
    /// For content of a length, in the head or not.
    Get {
        len: usize,
        sized: bool,
    },
    Head(usize),
    /// For the same content back.
    Echo {
        content: Vec<u8>,
        chunked: bool,
        expects: bool,
    },
    /// For content over HTTP/1.0, and so the last.
    Old(usize),
}

#[derive(Clone, Debug)]
enum Op {
    /// The client sends so many bytes more of its requests.
    Send(usize),
    /// It takes so many bytes.
    Take(usize),
    /// So many milliseconds pass.
    Pass(u64),
    /// The source may give so many pieces more.
    Give(usize),
    /// The rate of all responses; 0 is none.
    Limit(u64),
    Drain,
    HalfClose,
    Reset,
}

/// What happens, and on what ground.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    asks: Vec<Ask>,
    ops: Vec<Op>,
    capacity: usize,
    step: usize,
    rate: u64,
    aborts: bool,
    /// In the end the client sends and takes all; otherwise it does nothing any more.
    is_eager: bool,
}

pub(super) fn scene() -> impl Strategy<Value = Scene> {
    let len = || prop_oneof![3 => 0..200usize, 1 => 0..20_000usize];
    let ask = prop_oneof![
        6 => (len(), any::<bool>()).prop_map(|(len, sized)| Ask::Get { len, sized }),
        1 => len().prop_map(Ask::Head),
        4 => (vec(any::<u8>(), 0..600), any::<bool>(), any::<bool>())
            .prop_map(|(content, chunked, expects)| Ask::Echo { content, chunked, expects }),
        1 => len().prop_map(Ask::Old),
    ];
    let op = prop_oneof![
        16 => prop_oneof![1..60usize, 1..3000usize].prop_map(Op::Send),
        12 => prop_oneof![1..100usize, Just(usize::MAX)].prop_map(Op::Take),
        8 => prop_oneof![1..400u64, 1..20_000u64].prop_map(Op::Pass),
        8 => (1..5usize).prop_map(Op::Give),
        3 => select(&[0, 1000, 5000, 61_440][..]).prop_map(Op::Limit),
        1 => Just(Op::Drain),
        1 => Just(Op::HalfClose),
        1 => Just(Op::Reset),
    ];
    let ground = (
        select(&[100, 4096, usize::MAX][..]),
        select(&[7, 1000, usize::MAX][..]),
        select(&[0, 5000, 61_440][..]),
        any::<bool>(),
        prop::bool::weighted(0.7),
    );
    (vec(ask, 1..6), vec(op, 0..40), ground).prop_map(
        |(asks, ops, (capacity, step, rate, aborts, is_eager))| Scene {
            asks,
            ops,
            capacity,
            step,
            rate,
            aborts,
            is_eager,
        },
    )
}

impl Ask {
    fn bytes(&self, number: usize) -> Vec<u8> {
        let head = |method: &str, len: usize, version: &str| {
            format!("{method} /?{number}&{len} HTTP/1.{version}\r\nHost: t\r\n")
        };
        match self {
            Self::Get { len, sized } => {
                let sized = if *sized { "X-Sized: 1\r\n" } else { "" };
                format!("{}{sized}\r\n", head("GET", *len, "1")).into_bytes()
            }
            Self::Head(len) => format!("{}X-Sized: 1\r\n\r\n", head("HEAD", *len, "1")).into_bytes(),
            Self::Old(len) => format!("{}\r\n", head("GET", *len, "0")).into_bytes(),
            Self::Echo { content, chunked, expects } => {
                let expects = if *expects { "Expect: 100-continue\r\n" } else { "" };
                let head = format!("{}{expects}", head("POST", content.len(), "1"));
                if !chunked {
                    let head = format!("{head}Content-Length: {}\r\n\r\n", content.len());
                    return [head.as_bytes(), content].concat();
                }
                let mut bytes = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
                for chunk in content.chunks(97) {
                    bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                    bytes.extend(chunk.iter().chain(b"\r\n"));
                }
                bytes.extend(b"0\r\n\r\n");
                bytes
            }
        }
    }

    fn answer(&self) -> Bytes {
        match self {
            Self::Get { len, .. } | Self::Old(len) => content(*len),
            Self::Head(_) => Bytes::new(),
            Self::Echo { content, .. } => content.clone().into(),
        }
    }
}

/// How many pieces sources may still give.
#[derive(Default)]
struct Gate {
    pieces: usize,
    is_open: bool,
    waker: Option<Waker>,
}

#[derive(Clone, Default)]
struct Gated(Arc<Mutex<Gate>>);

impl Gated {
    fn allow(&self, change: impl FnOnce(&mut Gate)) {
        let mut gate = self.0.lock().unwrap();
        change(&mut gate);
        gate.waker.take().into_iter().for_each(Waker::wake);
    }
}

/// Content that comes as the gate lets it.
struct Pieces {
    rest: Bytes,
    gate: Gated,
}

impl Generator for Pieces {
    fn poll_fill(&mut self, cx: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()> {
        let mut gate = self.gate.0.lock().unwrap();
        if !gate.is_open && gate.pieces == 0 {
            gate.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        gate.pieces = gate.pieces.saturating_sub(1);
        let room = usize::try_from(brigade.room()).unwrap_or(usize::MAX);
        let piece = self.rest.split_to(self.rest.len().min(1000).min(room));
        if !piece.is_empty() {
            brigade.push(Bucket::Data(piece));
        }
        if self.rest.is_empty() {
            brigade.push(Bucket::Eos);
        }
        Poll::Ready(())
    }
}

impl Handler for Gated {
    fn respond<'a>(&'a self, request: Request<RequestBody>, _: &'a From) -> Answer<'a> {
        Box::pin(async move {
            let query = request.uri().query().unwrap().to_owned();
            let (number, len) = query.split_once('&').unwrap();
            let is_sized = request.headers().contains_key("x-sized");
            let mut answer = Response::builder().header(MARK, number);
            let rest = if *request.method() == Method::POST {
                let readings = super::Readings::default();
                note(request, Arc::clone(&readings)).await;
                let reading = readings.lock().unwrap().remove(0);
                if !reading.is_whole {
                    return answer.status(400).body(Content::Empty).unwrap();
                }
                reading.content.into()
            } else {
                content(len.parse().unwrap())
            };
            if is_sized {
                answer = answer.header("content-length", rest.len());
            }
            answer.body(Content::Stream(Box::new(Pieces { rest, gate: self.clone() }))).unwrap()
        })
    }
}

/// What the client has, and what it should.
struct Taken<'a> {
    asks: &'a [Ask],
    bytes: Vec<u8>,
}

impl Taken<'_> {
    /// Takes at most `most` bytes more, and checks that all of them are a sequence of the right answers.
    fn take(&mut self, client: &Client, most: usize) -> Result<(), TestCaseError> {
        self.bytes.extend(client.read(most));
        self.answers().map(drop)
    }

    /// The answers so far, without interim ones.
    fn answers(&self) -> Result<Vec<Said>, TestCaseError> {
        let is_head = |mark: Option<usize>| mark.is_some_and(|mark| matches!(self.asks[mark], Ask::Head(_)));
        let mut answers = answers::read(&self.bytes, is_head).map_err(TestCaseError::fail)?;
        answers.retain(|said| said.status >= 200);
        for (at, said) in answers.iter().enumerate() {
            let is_last = at + 1 == answers.len();
            if said.mark.is_none() && is_last && said.status == 408 {
                continue;
            }
            let is_upload = matches!(self.asks[at], Ask::Echo { .. });
            if (said.status, said.mark) == (400, Some(at)) && is_upload && is_last && said.closes {
                continue;
            }
            prop_assert_eq!((said.status, said.mark), (200, Some(at)));
            let whole = self.asks[at].answer();
            prop_assert!(whole.starts_with(&said.content), "wrong bytes in answer {at}");
            let until_close = matches!(self.asks[at], Ask::Old(_));
            prop_assert!(is_last || said.is_whole, "answer {at} is cut");
            prop_assert!(until_close || !said.is_whole || said.content == whole, "answer {at} looks whole");
        }
        Ok(answers)
    }
}

/// Whether the first `sent` bytes of all requests end in the middle of an upload.
fn is_within_upload(asks: &[Ask], sent: usize) -> bool {
    let mut begin = 0;
    asks.iter().enumerate().any(|(number, ask)| {
        let end = begin + ask.bytes(number).len();
        let is_within = (begin + 1..end).contains(&sent) && matches!(ask, Ask::Echo { .. });
        begin = end;
        is_within
    })
}

pub(super) fn check(scene: &Scene) -> Result<(), TestCaseError> {
    let gate = Gated::default();
    let half_close = if scene.aborts { HalfClose::Abort } else { HalfClose::Serve };
    let settings = Settings { half_close, ..Settings::default() };
    let most_held = settings.sink.buffer as u64 + 2 * 64 * 1024;
    let mut world = World::of(settings, gate.clone(), scene.rate);
    let client = world.connect(Road { capacity: scene.capacity, step: scene.step });
    let script: Vec<u8> = scene.asks.iter().enumerate().flat_map(|(number, ask)| ask.bytes(number)).collect();
    let mut taken = Taken { asks: &scene.asks, bytes: Vec::new() };
    let (mut sent, mut is_disturbed, mut has_said_all) = (0, false, false);
    for op in &scene.ops {
        match *op {
            Op::Send(len) if !has_said_all => {
                let end = (sent + len).min(script.len());
                client.send(&script[sent..end]);
                sent = end;
            }
            Op::Send(_) => {}
            Op::Take(most) => taken.take(&client, most)?,
            Op::Pass(millis) => world.pass(Duration::from_millis(millis)),
            Op::Give(pieces) => gate.allow(|gate| gate.pieces += pieces),
            Op::Limit(rate) => world.handle.routes()[0].limit().set_rate(Rate::or_unlimited(rate)),
            Op::Drain => {
                world.handle.drain();
                is_disturbed = true;
            }
            Op::HalfClose => {
                client.half_close();
                has_said_all = true;
                is_disturbed = true;
            }
            Op::Reset => {
                client.reset();
                has_said_all = true;
                is_disturbed = true;
            }
        }
        world.settle();
        let held = world.handle.egress().buffered();
        prop_assert!(held <= most_held, "{held} bytes are held");
    }
    gate.allow(|gate| gate.is_open = true);
    world.handle.routes()[0].limit().set_rate(Rate::or_unlimited(5000));
    let was_whole = world.lives(1) && !is_disturbed;
    if scene.is_eager && !has_said_all {
        client.send(&script[sent..]);
    }
    // More than all its timeouts in a row, and than the time that all content takes.
    for _ in 0..600 {
        world.pass(Duration::from_secs(1));
        if scene.is_eager {
            while client.unread() > 0 {
                taken.take(&client, usize::MAX)?;
                world.settle();
            }
        }
    }
    if world.lives(1) {
        // How long content may stay away is the source's matter: the proxy has a timeout, this handler has none.
        prop_assert!(is_within_upload(&scene.asks, sent) && !scene.is_eager, "it has no end");
        client.half_close();
        world.pass(Duration::from_secs(600));
    }
    prop_assert!(!world.lives(1), "it has no end");
    taken.take(&client, usize::MAX)?;
    if scene.is_eager && was_whole {
        let answers = taken.answers()?;
        // Behind one that closes nothing is answered.
        let last = scene
            .asks
            .iter()
            .position(|ask| matches!(ask, Ask::Old(_)))
            .map_or(scene.asks.len(), |at| at + 1);
        let is_late = answers.last().is_some_and(|said| said.status == 408);
        let is_closed = answers.last().is_some_and(|said| said.closes);
        prop_assert!(is_late || is_closed || answers.len() == last, "{} of {last} answers", answers.len());
        for (at, said) in answers.iter().enumerate().filter(|(_, said)| said.status == 200) {
            prop_assert!(said.content == scene.asks[at].answer(), "answer {at} is cut");
        }
    }
    Ok(())
}
