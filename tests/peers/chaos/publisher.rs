//! One publisher after another: each goes on where the last one is known to have been.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::program::program;

pub struct Publisher {
    fronts: [SocketAddr; 2],
    child: Child,
    lives: u32,
    said: Said,
}

/// What was acknowledged.
#[derive(Default)]
pub struct Said {
    /// So many batches of three.
    pub batches: u64,
    /// Events without ids.
    pub plain: HashSet<String>,
}

impl Publisher {
    pub fn start(fronts: [SocketAddr; 2]) -> Self {
        Self { fronts, child: spawn(fronts, 0, 0), lives: 0, said: Said::default() }
    }

    /// It is killed, and another one begins with what may not have arrived.
    pub fn is_replaced(&mut self) -> bool {
        self.kill();
        self.lives += 1;
        self.child = spawn(self.fronts, self.said.batches, self.lives);
        true
    }

    fn kill(&mut self) {
        assert_eq!(self.child.try_wait().unwrap(), None, "it ended by itself: see above");
        let _ = self.child.kill();
        let _ = self.child.wait();
        // What is in the pipe was said before. A line that is cut was not.
        let mut lines = BufReader::new(self.child.stdout.take().unwrap());
        let mut line = String::new();
        while lines.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
            match line.trim_end().split_once(' ').unwrap() {
                ("batch", number) => {
                    assert_eq!(number, self.said.batches.to_string());
                    self.said.batches += 1;
                }
                ("plain", name) => assert!(self.said.plain.insert(name.to_owned())),
                other => panic!("{other:?}"),
            }
            line.clear();
        }
    }

    pub fn end(mut self) -> Said {
        self.kill();
        std::mem::take(&mut self.said)
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(fronts: [SocketAddr; 2], batch: u64, life: u32) -> Child {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/publisher.py");
    Command::new(program("python3"))
        .arg("-I")
        .arg(script)
        .args([batch.to_string(), life.to_string()])
        .args(fronts.map(|addr| addr.to_string()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}
