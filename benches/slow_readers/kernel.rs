//! What the kernel holds of a connection whose reader has stopped, at several settings of the server.
//!
//! It is what the server counts as written and the reader has not read. The part in the reader's receive
//! queue its own kernel tells; the rest is on the server's side.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use testkit::message;
use testkit::process::Outcome;
use testkit::report::{Table, show};

use crate::server::{BUFFER, Server};
use crate::{LARGE, Site};

/// What is tried. The first leaves everything to the kernel.
const SETTINGS: [&[&str]; 8] = [
    &["--unsent", "1g"],
    &[],
    &["--unsent", "16k"],
    &["--unsent", "64k"],
    &["--unsent", "256k"],
    &["--send-buffer", "16k"],
    &["--send-buffer", "64k"],
    &["--send-buffer", "256k"],
];

/// Nothing more is written for so long: the kernel has all it takes.
const SETTLED: Duration = Duration::from_millis(500);

/// The kernel must have all it takes within this.
const PATIENCE: Duration = Duration::from_secs(30);

/// A reader that stops.
struct Stops {
    name: &'static str,
    /// `None` is the kernel's default, which grows with what is read.
    receive_buffer: Option<usize>,
    /// Bytes it reads before, as fast as they come.
    reads: u64,
}

const READERS: [Stops; 3] = [
    Stops { name: "with little room, stops at once", receive_buffer: Some(2048), reads: 0 },
    Stops { name: "stops at once", receive_buffer: None, reads: 0 },
    Stops { name: "stops after 64 MiB", receive_buffer: None, reads: 64 << 20 },
];

/// What one reader left in the two kernels, in KiB.
struct Held {
    sender: f64,
    receiver: f64,
}

/// All settings in turn, so many times.
pub fn measure(site: &Site, readings: usize) -> Outcome<Table> {
    let mut held: Vec<[Vec<Held>; READERS.len()]> = SETTINGS.iter().map(|_| Default::default()).collect();
    for number in 1..=readings {
        eprintln!("reading {number} of {readings}");
        for (flags, held) in SETTINGS.iter().zip(&mut held) {
            let server = Server::start(site, 1, flags)?;
            for (reader, held) in READERS.iter().zip(held) {
                held.push(stop(&server, reader)?);
                server.wait_for("connections", 0)?;
            }
        }
    }
    let headings = READERS.map(|reader| format!("reader {}", reader.name));
    let headings = headings.join(" | ");
    let mut table =
        Table::new(&format!("KiB in the kernel, on the server's side | {headings} | and on the reader's"));
    for (flags, held) in SETTINGS.iter().zip(held) {
        let name = match flags {
            [] => "default, that is `--unsent 128k`".to_owned(),
            ["--unsent", "1g"] => "`--unsent 1g`: the kernel's choice".to_owned(),
            flags => format!("`{}`", flags.join(" ")),
        };
        let side = |side: fn(&Held) -> f64| {
            held.each_ref().map(|held| show(&held.iter().map(side).collect::<Vec<_>>(), 0))
        };
        let receivers = side(|held| held.receiver).join(", ");
        table.row([name].into_iter().chain(side(|held| held.sender)).chain([receivers]));
    }
    Ok(table)
}

/// Lets a reader read and stop, and looks at what is held when nothing moves any more.
fn stop(server: &Server, reader: &Stops) -> Outcome<Held> {
    let before = server.metric("egress_bytes_total")?;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    if let Some(bytes) = reader.receive_buffer {
        // Before connecting: the window is agreed on then.
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, server.port)).into())?;
    let mut socket = TcpStream::from(socket);
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(message::request(server.port, &format!("/{}", LARGE.0)).as_bytes())?;
    let mut buf = vec![0; 256 * 1024];
    let mut read = 0;
    while read < reader.reads {
        let n = socket.read(&mut buf)?;
        if n == 0 {
            return Err("the server closed the connection".into());
        }
        read += n as u64;
    }
    server.wait_for("egress_buffered_bytes", BUFFER)?;
    let written = settled(server)? - before;
    let receiver = rustix::io::ioctl_fionread(&socket)?;
    Ok(Held { sender: (written - read - receiver) as f64 / 1024.0, receiver: receiver as f64 / 1024.0 })
}

/// What the server has written when it writes no more.
fn settled(server: &Server) -> Outcome<u64> {
    let deadline = Instant::now() + PATIENCE;
    let mut written = server.metric("egress_bytes_total")?;
    let mut since = Instant::now();
    while since.elapsed() < SETTLED {
        if Instant::now() > deadline {
            return Err("the kernel takes more and more".into());
        }
        std::thread::sleep(Duration::from_millis(20));
        let now = server.metric("egress_bytes_total")?;
        if now != written {
            (written, since) = (now, Instant::now());
        }
    }
    Ok(written)
}
