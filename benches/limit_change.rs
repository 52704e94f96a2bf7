//! How long until every one of thousands of waiting streams has seen a changed limit.
//!
//! A server of its own with a limit of a byte a second, and streams over loopback that wait: each for its own pace, or all for
//! their turn under one shared limit. Then the limit is taken off through the API. Measured is the time from before that
//! request until the last stream has all of its body. `docs/benchmarks.md` says what else is in it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use argh::FromArgs;

use testkit::message;
use testkit::poller::{EventFlags, Poller};
use testkit::process::{self, Outcome, Process, listener, procfs};
use testkit::report::{Table, show};

/// The length of each body.
const BODY: usize = 1_000;

/// Time for a change to arrive, above which it has not.
const PATIENCE: Duration = Duration::from_secs(30);

/// Time from the change of a limit to the last of thousands of streams that waited for it.
#[derive(FromArgs)]
struct Options {
    /// how often each is measured, in turn; default 5
    #[argh(option, default = "5")]
    readings: usize,

    /// so many streams instead of 1000 and 10000; repeatable
    #[argh(option)]
    streams: Vec<usize>,

    /// the sluicegate program to measure, to compare builds; default the one cargo just built
    #[argh(option, default = "PathBuf::from(env!(\"CARGO_BIN_EXE_sluicegate\"))")]
    server: PathBuf,

    /// passed by cargo bench
    #[argh(switch, hidden_help)]
    #[allow(dead_code)] // accepted, and of no use here
    bench: bool,
}

/// What streams wait for: the flag that limits it, and the limit's place in the API.
const WAITS: [(&str, &str, &str); 2] = [
    ("its own pace", "--rate", "/v1/limits/routes/%2F/response"),
    ("a turn of the server's limit", "--server-rate", "/v1/limits/server"),
];

fn main() -> ExitCode {
    process::main("limit_change", |_, _| Err("there are no roles".into()), || bench(&argh::from_env()))
}

fn bench(options: &Options) -> Outcome<ExitCode> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    process::end_all_on_signals(folder.path().to_owned())?;
    std::fs::write(folder.path().join("body"), [b'x'; BODY])?;
    let crowds = if options.streams.is_empty() { vec![1_000, 10_000] } else { options.streams.clone() };
    let mut figures = vec![[const { Vec::new() }; WAITS.len()]; crowds.len()];
    println!("load average before: {}\n", procfs::load_average());
    for _ in 0..options.readings {
        for (crowd, figures) in crowds.iter().zip(&mut figures) {
            for ((_, flag, limit), figures) in WAITS.iter().zip(figures) {
                let took = change(&options.server, folder.path(), *crowd, flag, limit)?;
                figures.push(took.as_secs_f64() * 1e3);
            }
        }
    }
    let mut table = Table::new("streams | each waits for | ms to the last");
    for (crowd, figures) in crowds.iter().zip(&figures) {
        for ((waits, ..), figures) in WAITS.iter().zip(figures) {
            table.row([crowd.to_string(), (*waits).to_owned(), show(figures, 0)]);
        }
    }
    table.print();
    Ok(ExitCode::SUCCESS)
}

/// Has `crowd` streams wait under `flag`, takes `limit` off, and returns how long the last stream took.
fn change(program: &Path, folder: &Path, crowd: usize, flag: &str, limit: &str) -> Outcome<Duration> {
    let admin = listener::free_port()?;
    let (folder, most) = (folder.to_string_lossy().into_owned(), (2 * crowd + 16).to_string());
    let admin_addr = format!("127.0.0.1:{admin}");
    let args =
        ["serve", &folder, "--listen", "127.0.0.1:0", "--admin", &admin_addr, "--max-connections", &most];
    let args: Vec<String> = args.into_iter().chain([flag, "1B"]).map(str::to_owned).collect();
    let server = Process::program(program, &args, false)?;
    let (port, mut poller) = (server.port()?, Poller::new()?);
    let request = message::request(port, "/body");
    let mut streams = Vec::with_capacity(crowd);
    for number in 0..crowd {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.write_all(request.as_bytes())?;
        stream.set_nonblocking(true)?;
        poller.add(&stream, number, EventFlags::IN)?;
        // Head, and the first byte of the body or none, are 500 bytes at most.
        streams.push((stream, 0));
    }
    // All are served, and wait: nothing but a byte here and there comes for a second.
    std::thread::sleep(Duration::from_secs(1 + crowd as u64 / 2_000));
    let body = "{\"rate\":null}";
    let patch = format!(
        "PATCH {limit} HTTP/1.1\r\nHost: 127.0.0.1:{admin}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut api = TcpStream::connect((Ipv4Addr::LOCALHOST, admin))?;
    let (began, mut waiting, mut buf) = (Instant::now(), crowd, vec![0; 4096]);
    api.write_all(patch.as_bytes())?;
    while waiting > 0 {
        if began.elapsed() > PATIENCE {
            return Err(format!("{waiting} of {crowd} streams still wait").into());
        }
        for number in poller.wait(PATIENCE)? {
            let (stream, bytes) = &mut streams[number];
            match stream.read(&mut buf) {
                Ok(0) => return Err("a stream was closed".into()),
                Ok(n) => {
                    let before = std::mem::replace(bytes, *bytes + n);
                    waiting -= usize::from(before < BODY && *bytes >= BODY);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    let took = began.elapsed();
    let mut answer = String::new();
    api.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200 ") { Ok(took) } else { Err(format!("the API: {answer}").into()) }
}
