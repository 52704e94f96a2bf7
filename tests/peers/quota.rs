//! The fleet quota, asked by clients that others wrote: Python's grpcio, with its health checking and
//! reflection, from the same .proto.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::program::{Running, python, succeeded};

#[test]
fn grpcio_registers_beats_reads_watches_and_looks_around() {
    let mut server = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
    server.args(["quota", "serve", "--listen", "127.0.0.1:0", "--learning", "0s"]);
    let mut server = Running(server.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(server.0.stderr.take().unwrap());
    let mut first = String::new();
    lines.read_line(&mut first).unwrap();
    let first = testkit::records::message(&first);
    let addr = first.strip_prefix("quota server listening on http://").unwrap();
    // It goes on logging; nobody must be in its way.
    let reader = std::thread::spawn(move || lines.lines().map_while(Result::ok).for_each(drop));

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let generated = tempfile::tempdir().unwrap();
    succeeded(
        Command::new(python())
            .arg(root.join("tests/peers/quota_client.py"))
            .args([root.join("proto").as_path(), generated.path()])
            .arg(addr),
    );
    drop(server);
    reader.join().unwrap();
}
