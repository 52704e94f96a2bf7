use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::{Arc, Condvar};
use std::time::Duration;

use super::{LineEvent, LineOutput, LineWriter, MAX_QUEUED, REPORT_PAUSE};
use crate::clock::ManualClock;
use crate::sync::Mutex;

/// Long enough for any test.
const PATIENCE: Duration = Duration::from_secs(60);

/// A disk that takes a number of bytes.
#[derive(Clone, Default)]
struct Disk(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    free: usize,
    holds: Vec<u8>,
    /// A write blocks.
    hangs: bool,
    is_writing: bool,
    /// A full disk is an output that would block.
    would_block: bool,
    failed: usize,
}

impl Disk {
    fn with(free: usize) -> Self {
        let disk = Self::default();
        disk.0.0.lock().free = free;
        disk
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.0.lock());
        self.0.1.notify_all();
    }

    fn until(&self, reached: impl Fn(&State) -> bool) {
        let state = self.0.0.lock();
        let _state = self.0.1.wait_while(state, |state| !reached(state)).unwrap();
    }

    fn holds(&self) -> String {
        String::from_utf8(self.0.0.lock().holds.clone()).unwrap()
    }
}

impl Write for Disk {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let mut state = self.0.0.lock();
        state.is_writing = true;
        self.0.1.notify_all();
        let mut state = self.0.1.wait_while(state, |state| state.hangs).unwrap();
        let n = buf.len().min(state.free);
        if n == 0 {
            state.failed += 1;
            self.0.1.notify_all();
            let would_block = state.would_block;
            return Err(
                if would_block { io::ErrorKind::WouldBlock } else { io::ErrorKind::StorageFull }.into()
            );
        }
        state.free -= n;
        state.holds.extend_from_slice(&buf[..n]);
        self.0.1.notify_all();
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LineOutput for Disk {
    fn take_back(&mut self, bytes: u64) {
        let mut state = self.0.0.lock();
        let len = state.holds.len() - bytes as usize;
        state.holds.truncate(len);
    }
}

/// What was reported.
type Told = Arc<(Mutex<Vec<String>>, Condvar)>;

fn start(disk: &Disk, clock: &Arc<ManualClock>) -> (LineWriter, Told) {
    let told = Told::default();
    let heard = Arc::clone(&told);
    let report = move |event: LineEvent| {
        heard.0.lock().push(format!("{event:?}"));
        heard.1.notify_all();
    };
    let writer = LineWriter::start("test", Box::new(disk.clone()), clock.clone(), report).unwrap();
    (writer, told)
}

fn until_told(told: &Told, count: usize) -> Vec<String> {
    told.1.wait_while(told.0.lock(), |told| told.len() < count).unwrap().clone()
}

#[test]
fn all_lines_are_written_in_their_order_before_the_end() {
    let disk = Disk::with(usize::MAX);
    let (writer, told) = start(&disk, &Arc::default());
    let lines: Vec<String> = (0..1000).map(|number| format!("line {number}\n")).collect();
    lines.iter().for_each(|line| assert!(writer.push(line.as_bytes())));
    writer.close(PATIENCE);
    assert_eq!(disk.holds(), lines.concat());
    assert_eq!((writer.dropped(), told.0.lock().len()), (0, 0));
    assert!(!writer.push(b"late\n"), "it is closed");
}

#[test]
fn a_full_disk_is_reported_once_and_the_line_is_continued_when_there_is_room() {
    let disk = Disk::with(6);
    let (writer, told) = start(&disk, &Arc::default());
    assert!(writer.push(b"one\ntwo\nthree\n"));
    assert_eq!(until_told(&told, 1), ["Failed(Kind(StorageFull))"]);
    assert_eq!(disk.holds(), "one\ntw");
    disk.change(|disk| disk.free = 100);
    assert_eq!(until_told(&told, 2)[1], "Recovered");
    assert_eq!(disk.holds(), "one\ntwo\nthree\n");
    writer.close(PATIENCE);
    assert_eq!((writer.dropped(), told.0.lock().len()), (0, 2));
}

#[test]
fn a_disk_that_is_full_at_the_end_keeps_whole_lines_and_the_others_are_counted() {
    let disk = Disk::with(6);
    let (writer, told) = start(&disk, &Arc::default());
    assert!(writer.push(b"one\ntwo\nthree\n"));
    until_told(&told, 1);
    assert!(writer.push(b"four\n"));
    writer.close(PATIENCE);
    assert_eq!(disk.holds(), "one\n");
    assert_eq!((writer.dropped(), until_told(&told, 2)[1].as_str()), (3, "Dropped(3)"));
}

#[test]
fn a_new_output_has_the_line_whole_whose_beginning_the_old_one_took() {
    let (old, new) = (Disk::with(6), Disk::with(100));
    let (writer, told) = start(&old, &Arc::default());
    assert!(writer.push(b"one\ntwo\nthree\n"));
    until_told(&told, 1);
    writer.replace(Box::new(new.clone()));
    assert_eq!(until_told(&told, 2)[1], "Recovered");
    assert_eq!((old.holds().as_str(), new.holds().as_str()), ("one\n", "two\nthree\n"));
    writer.close(PATIENCE);
}

#[test]
fn a_disk_that_hangs_holds_nobody_up_and_what_is_dropped_is_told_every_ten_seconds() {
    let (disk, clock) = (Disk::with(usize::MAX), Arc::new(ManualClock::new()));
    let (writer, told) = start(&disk, &clock);
    disk.change(|disk| disk.hangs = true);
    assert!(writer.push(b"first\n"));
    disk.until(|disk| disk.is_writing);
    let line = [b"x".repeat(1023), b"\n".to_vec()].concat();
    // The first line is still on its way: the last of these would be above the bound.
    let fit = MAX_QUEUED / line.len() - 1;
    (0..fit).for_each(|_| assert!(writer.push(&line)));
    (0..3).for_each(|_| assert!(!writer.push(&line)));
    assert_eq!((writer.dropped(), &told.0.lock()[..]), (3, &["Dropped(1)".to_owned()][..]));
    clock.advance(REPORT_PAUSE);
    assert!(!writer.push(&line));
    assert_eq!(until_told(&told, 2)[1], "Dropped(3)");
    assert!(writer.push(b"fits\n"));
    disk.change(|disk| disk.hangs = false);
    writer.close(PATIENCE);
    assert_eq!(disk.holds().len(), "first\n".len() + fit * line.len() + "fits\n".len());
    assert_eq!((writer.dropped(), told.0.lock().len()), (4, 2));
}

#[test]
fn an_output_that_would_block_has_the_patience_of_the_end() {
    for has_room in [true, false] {
        let disk = Disk::with(6);
        disk.change(|disk| disk.would_block = true);
        let (writer, told) = start(&disk, &Arc::default());
        assert!(writer.push(b"one\ntwo\nthree\n"));
        assert_eq!(until_told(&told, 1), ["Failed(Kind(WouldBlock))"]);
        if has_room {
            std::thread::scope(|scope| {
                scope.spawn(|| writer.close_after(b"last\n", PATIENCE));
                while !writer.0.state.lock().closing {
                    std::thread::yield_now();
                }
                let failed = disk.0.0.lock().failed;
                // The second of these was tried after the close.
                disk.until(|disk| disk.failed >= failed + 2);
                disk.change(|disk| disk.free = 100);
            });
            assert_eq!(until_told(&told, 2)[1], "Recovered");
            assert_eq!((disk.holds().as_str(), writer.dropped()), ("one\ntwo\nthree\nlast\n", 0));
        } else {
            writer.close(Duration::ZERO);
            assert_eq!(until_told(&told, 2)[1], "Dropped(2)");
            assert_eq!(disk.holds(), "one\n");
        }
    }
}

#[test]
fn a_push_that_is_only_tried_counts_nothing_and_the_last_line_always_fits() {
    let disk = Disk::with(usize::MAX);
    let (writer, told) = start(&disk, &Arc::default());
    disk.change(|disk| disk.hangs = true);
    let line = [b"x".repeat(MAX_QUEUED - 1), b"\n".to_vec()].concat();
    assert!(writer.try_push(&line));
    assert!(!writer.try_push(b"\n"));
    assert_eq!(writer.dropped(), 0);
    writer.close_after(b"last\n", Duration::ZERO);
    disk.change(|disk| disk.hangs = false);
    writer.close(PATIENCE);
    assert_eq!(disk.holds().len(), MAX_QUEUED + "last\n".len());
    assert!(disk.holds().ends_with("x\nlast\n") && told.0.lock().is_empty());
}

#[test]
fn a_file_takes_back_its_own_end_and_nothing_that_another_process_appended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let append = || -> File { OpenOptions::new().create(true).append(true).open(&path).unwrap() };
    let (mut own, mut other) = (append(), append());
    other.write_all(b"before\n").unwrap();
    own.write_all(b"one\ntw").unwrap();
    own.take_back(2);
    assert_eq!(std::fs::read(&path).unwrap(), b"before\none\n");
    own.write_all(b"tw").unwrap();
    other.write_all(b"other\n").unwrap();
    own.take_back(2);
    assert_eq!(std::fs::read(&path).unwrap(), b"before\none\ntwother\n");
}
