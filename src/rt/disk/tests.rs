use std::sync::mpsc::{Receiver, Sender, channel};

use futures_lite::future::{block_on, poll_once};

use super::*;
use crate::rt::blocking;

/// A file system that does not exist.
fn disk(minor: u32) -> Disk {
    Disk { device: Some((u32::MAX, minor)), beyond: false }
}

fn line(disk: Disk) -> Option<(usize, usize)> {
    LINES.lock().get(&disk).map(|line| (line.threads, line.waiting.len()))
}

fn until_gone(disk: Disk) {
    while line(disk).is_some() {
        std::thread::yield_now();
    }
}

/// As many pieces of work as have threads, which end when the sender is dropped.
fn hanging(disk: Disk) -> (Sender<()>, Vec<std::thread::JoinHandle<()>>) {
    let (end, wait) = channel::<()>();
    let wait: Arc<Mutex<Receiver<()>>> = Arc::new(Mutex::new(wait));
    let threads = (0..MAX_THREADS).map(|_| {
        let wait = Arc::clone(&wait);
        // One of them waits for the channel, the others for the lock.
        std::thread::spawn(move || block_on(disk.blocking(move || assert!(wait.lock().recv().is_err()))))
    });
    let threads = threads.collect();
    while line(disk) != Some((MAX_THREADS, 0)) {
        std::thread::yield_now();
    }
    (end, threads)
}

#[test]
fn a_disk_that_hangs_has_a_bounded_number_of_threads_and_others_have_theirs() {
    let (end, threads) = hanging(disk(1));
    let late = std::thread::spawn(|| block_on(disk(1).blocking(|| 7)));
    while line(disk(1)) != Some((MAX_THREADS, 1)) {
        std::thread::yield_now();
    }
    for _ in 0..100 {
        assert_eq!(block_on(disk(2).blocking(|| 8)), 8);
        assert_eq!(block_on(disk(1).beyond().blocking(|| 9)), 9);
        assert_eq!(block_on(blocking(|| 10)), 10);
    }
    assert_eq!(line(disk(1)), Some((MAX_THREADS, 1)));
    drop(end);
    assert_eq!(late.join().unwrap(), 7);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    until_gone(disk(1));
}

#[test]
fn work_that_waits_is_forgotten_with_who_waits_for_it() {
    let (end, threads) = hanging(disk(3));
    let held = Arc::new(());
    for _ in 0..10 {
        let twin = Arc::clone(&held);
        let mut work = Box::pin(disk(3).blocking(move || drop(twin)));
        assert!(block_on(poll_once(&mut work)).is_none());
        assert_eq!((line(disk(3)), Arc::strong_count(&held)), (Some((MAX_THREADS, 1)), 2));
        drop(work);
        assert_eq!((line(disk(3)), Arc::strong_count(&held)), (Some((MAX_THREADS, 0)), 1));
    }
    drop(end);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    until_gone(disk(3));
}

#[test]
fn work_that_panics_ends_who_waits_for_it_and_nothing_else() {
    let panicked = std::panic::catch_unwind(|| block_on(disk(4).blocking(|| panic!("as the test wants it"))));
    assert!(panicked.is_err());
    until_gone(disk(4));
    assert_eq!(block_on(disk(4).blocking(|| 1)), 1);
}

#[test]
fn all_work_is_done_once_in_turn() {
    const WORK: usize = 5_000;
    let done = Arc::new(Mutex::new(0));
    let work = (0..WORK).map(|_| {
        let done = Arc::clone(&done);
        Box::pin(disk(5).blocking(move || *done.lock() += 1))
    });
    let mut work: Vec<_> = work.collect();
    // All are begun or wait before the first is asked for its end.
    for work in &mut work {
        let _ = block_on(poll_once(work));
    }
    until_gone(disk(5));
    assert_eq!(*done.lock(), WORK);
}

#[test]
fn a_file_is_closed_after_its_last_handle() {
    let [used, unused] = [(); 2].map(|()| Arc::new(tempfile::tempfile().unwrap()));
    let left = without_unused(vec![Arc::clone(&used), unused]);
    assert!(left.len() == 1 && Arc::ptr_eq(&left[0], &used));
    drop(left);

    let (disk, gone) = (Disk::of(&used), Arc::downgrade(&used));
    close_when_unused(used);
    while gone.strong_count() > 0 || CLOSING.lock().contains_key(&disk) {
        std::thread::yield_now();
    }
}

#[test]
fn file_systems_are_told_apart_without_asking_them() {
    let file = tempfile::tempfile().unwrap();
    assert_eq!(Disk::of(&file), Disk::of(file.try_clone().unwrap()));
    let proc = File::open("/proc/self/stat").unwrap();
    assert_ne!(Disk::of(&file), Disk::of(&proc));
    assert!(!is_local(&proc));
}
