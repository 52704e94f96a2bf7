//! Which files of the cache a worker has looked up in its present turn, so that requests which it found waiting together share
//! a look.

use std::cell::RefCell;

use crate::rt::{self, Turn};

/// How many files a worker remembers of a turn.
const MAX_FILES: usize = 32;

/// Files by their addresses. One that took another's address meanwhile was itself looked up in the turn.
#[derive(Default)]
struct Looked {
    turn: Option<Turn>,
    files: Vec<usize>,
}

thread_local! {
    static LOOKED: RefCell<Looked> = RefCell::default();
}

/// Whether this worker has looked a file up in `turn`.
pub(super) fn in_turn(turn: Turn, file: usize) -> bool {
    LOOKED.with_borrow(|looked| looked.turn == Some(turn) && looked.files.contains(&file))
}

/// Notes that this worker, if the thread is one, has looked a file up now.
pub(super) fn note(file: usize) {
    let Some(turn) = rt::turn() else { return };
    LOOKED.with_borrow_mut(|looked| {
        if looked.turn.replace(turn) != Some(turn) {
            looked.files.clear();
        }
        if looked.files.len() < MAX_FILES {
            looked.files.push(file);
        }
    });
}
