//! A server that says on each connection what a test has it say; and the probe, as a program.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Output;
use std::thread::JoinHandle;

use serde_json::Value;

use testkit::message;
use testkit::program::command;

/// Serves a number of connections, one after the other, and ends.
pub struct Scripted {
    pub addr: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Scripted {
    /// `serve` gets each connection once the head of its first request has come, with that head.
    pub fn new(connections: usize, serve: impl Fn(&mut TcpStream, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let mut listener = Some(listener);
            for left in (0..connections).rev() {
                let (mut stream, _) = listener.as_ref().unwrap().accept().unwrap();
                // Closed before the last answer: a client that has read that finds nobody.
                listener = listener.filter(|_| left > 0);
                let Some(head) = read_head(&mut stream) else { continue };
                serve(&mut stream, head);
            }
        });
        Self { addr, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("http://{}/x", self.addr)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.thread.take().unwrap().join().unwrap();
    }
}

/// The head of the next request; `None` if the client is gone.
pub fn read_head(stream: &mut TcpStream) -> Option<String> {
    message::read_head(stream).ok().filter(|head| !head.is_empty())
}

/// Writes without end, until the client is gone.
pub fn pour(stream: &mut TcpStream) {
    let zeroes = [0; 4096];
    while stream.write_all(&zeroes).is_ok() {}
}

/// Runs `sluicegate probe` to its end.
pub fn probe(args: &[&str]) -> Output {
    command(&["probe"]).args(args).output().unwrap()
}

/// What it says on standard output and standard error, of a run that must end with `code`.
pub fn ends(code: i32, args: &[&str]) -> (String, String) {
    let output = probe(args);
    let texts = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    let [out, error] = texts;
    assert_eq!(output.status.code(), Some(code), "{args:?}\n{out}\n{error}");
    (out, error)
}

/// The document of a run with `--json`.
pub fn document(code: i32, args: &[&str]) -> Value {
    let (out, _) = ends(code, &[args, &["--json"]].concat());
    assert_eq!(out.lines().count(), 1, "{out}");
    serde_json::from_str(&out).unwrap()
}
