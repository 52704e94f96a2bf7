//! One publisher after another: each goes on where the last one is known to have been.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use crate::program::program;

pub struct Publisher {
    /// What its ids begin with.
    pub name: &'static str,
    fronts: Vec<SocketAddr>,
    token: Option<&'static str>,
    life: Life,
    lives: u64,
    said: Said,
}

/// One process.
struct Life {
    child: Child,
    /// Its first publication is about to leave.
    begun: Arc<AtomicBool>,
    /// How many batches it said were acknowledged.
    batches: Arc<AtomicU64>,
    /// The lines it said, when it has ended.
    lines: Option<JoinHandle<Vec<String>>>,
}

/// What was acknowledged.
#[derive(Default)]
pub struct Said {
    /// So many batches of three.
    pub batches: u64,
    /// Events without ids, and how many batches were acknowledged before each.
    pub plain: HashMap<String, u64>,
}

impl Publisher {
    pub fn start(name: &'static str, fronts: &[SocketAddr], token: Option<&'static str>) -> Self {
        let life = Life::begin(name, fronts, token, [0, 0]);
        Self { name, fronts: fronts.to_vec(), token, life, lives: 0, said: Said::default() }
    }

    /// How many batches were acknowledged, of those that were said by now.
    pub fn batches(&self) -> u64 {
        self.said.batches + self.life.batches.load(Ordering::SeqCst)
    }

    /// It is killed, and another one begins with what may not have arrived. One that has not begun to publish is
    /// left alone: on a slow machine none ever would.
    pub fn is_replaced(&mut self) -> bool {
        if !self.life.begun.load(Ordering::SeqCst) {
            return false;
        }
        self.kill();
        self.lives += 1;
        self.life = Life::begin(self.name, &self.fronts, self.token, [self.said.batches, self.lives]);
        true
    }

    fn kill(&mut self) {
        assert_eq!(self.life.child.try_wait().unwrap(), None, "it ended by itself: see above");
        for line in self.life.end() {
            match line.split_once(' ').unwrap() {
                ("batch", number) => {
                    assert_eq!(number, self.said.batches.to_string());
                    self.said.batches += 1;
                }
                ("plain", name) => {
                    let before = self.said.plain.insert(name.to_owned(), self.said.batches);
                    assert_eq!(before, None, "{name}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    pub fn end(mut self) -> Said {
        self.kill();
        std::mem::take(&mut self.said)
    }
}

impl Life {
    /// It begins with the batch, and is the life, of these numbers.
    fn begin(name: &str, fronts: &[SocketAddr], token: Option<&str>, [batch, life]: [u64; 2]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/publisher.py");
        let mut child = Command::new(program("python3"))
            .arg("-I")
            .arg(script)
            .args([name.to_owned(), batch.to_string(), life.to_string()])
            .args(fronts.iter().map(SocketAddr::to_string))
            .envs(token.map(|token| ("PUBLISH_TOKEN", token)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let begun = Arc::new(AtomicBool::new(false));
        let has_begun = Arc::clone(&begun);
        let batches = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&batches);
        let lines = std::thread::spawn(move || {
            let (mut lines, mut line) = (Vec::new(), String::new());
            // A line that is cut was not said.
            while stdout.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
                match line.trim_end() {
                    "begin" => has_begun.store(true, Ordering::SeqCst),
                    said => {
                        count.fetch_add(u64::from(said.starts_with("batch ")), Ordering::SeqCst);
                        lines.push(said.to_owned());
                    }
                }
                line.clear();
            }
            lines
        });
        Self { child, begun, batches, lines: Some(lines) }
    }

    /// Kills it; what it said before. What is in the pipe was said.
    fn end(&mut self) -> Vec<String> {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.lines.take().map_or_else(Vec::new, |lines| lines.join().unwrap())
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.end();
    }
}
