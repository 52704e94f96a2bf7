//! What the live view costs: an ignored test, since it takes four minutes and wants an optimised build.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use testkit::program::{Program, text};
use testkit::served::connect;
use testkit::sse::Answer;
use testkit::wait::until;

/// With and without a viewer, in turn: what else the machine does changes both.
const ROUNDS: usize = 3;
const MEASURED: Duration = Duration::from_secs(10);

/// How long a view outlasts its last viewer, and a little more.
const GONE: Duration = Duration::from_secs(12);

/// Processor time of a process so far, in hundredths of a second.
fn ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// The share of one processor that a process uses for a while, in percent.
fn share(process: u32) -> f64 {
    let (before, begin) = (ticks(process), Instant::now());
    std::thread::sleep(MEASURED);
    (ticks(process) - before) as f64 / begin.elapsed().as_secs_f64()
}

/// Looks on, and counts in `frames` what comes, on a thread of its own.
fn viewer(program: &Program, frames: &Arc<AtomicUsize>) -> TcpStream {
    let mut stream = connect(program.admin());
    stream.write_all(b"GET /v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let (viewer, frames) = (stream.try_clone().unwrap(), Arc::clone(frames));
    std::thread::spawn(move || {
        let (mut answer, mut bytes) = (Answer::default(), vec![0; 64 * 1024]);
        while let Ok(read @ 1..) = stream.read(&mut bytes) {
            answer.push(&bytes[..read]);
            frames
                .fetch_add(answer.by_ref().filter(|event| event.kind == "change").count(), Ordering::Relaxed);
        }
    });
    viewer
}

/// What one viewer of so many transfers costs, in percent of a processor, and how many frames a second it gets: medians.
fn cost(transfers: u64) -> (f64, f64) {
    let folder = testkit::folder::folder(&[("large.bin", &vec![b'y'; 1_000_000])]);
    let args = ["serve", text(folder.path()), "--rate", "1000B", "--admin", "127.0.0.1:0"];
    let program = Program::start(&args);
    // Nobody reads them: what the kernel holds is enough for the whole time.
    let _streams: Vec<_> = (0..transfers).map(|_| program.begin("/large.bin")).collect();
    until("all of them", || program.metric("sluicegate_connections") >= transfers);
    std::thread::sleep(Duration::from_secs(2));
    let (mut costs, mut paces) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let alone = share(program.id());
        let frames = Arc::default();
        let viewer = viewer(&program, &frames);
        std::thread::sleep(Duration::from_secs(2));
        let before = frames.swap(0, Ordering::Relaxed);
        assert!(before > 0, "no frame in two seconds");
        let watched = share(program.id());
        let a_second = frames.load(Ordering::Relaxed) as f64 / MEASURED.as_secs_f64();
        viewer.shutdown(std::net::Shutdown::Both).unwrap();
        println!(
            "{transfers} transfers: alone {alone:.2} %, with a viewer {watched:.2} %, {a_second:.1} frames a second"
        );
        costs.push(watched - alone);
        paces.push(a_second);
        std::thread::sleep(GONE);
    }
    costs.sort_by(f64::total_cmp);
    paces.sort_by(f64::total_cmp);
    (costs[ROUNDS / 2], paces[ROUNDS / 2])
}

#[test]
#[ignore = "measures processor time: run it alone, with --release and --nocapture"]
fn a_viewer_costs_at_most_two_percent_and_of_500_transfers_sees_five_samples_a_second() {
    sluicegate::rt::raise_descriptor_limit();
    let ((cost_of_500, frames_of_500), (cost_of_1000, frames_of_1000)) = (cost(500), cost(1000));
    println!("500 transfers: {cost_of_500:.2} % of a processor, {frames_of_500:.1} frames a second");
    println!("1000 transfers: {cost_of_1000:.2} % of a processor, {frames_of_1000:.1} frames a second");
    assert!(cost_of_500 <= 2.0 && cost_of_1000 <= 2.0, "{cost_of_500:.2} and {cost_of_1000:.2} %");
    assert!(frames_of_500 >= 4.5, "{frames_of_500:.1} frames a second");
}
