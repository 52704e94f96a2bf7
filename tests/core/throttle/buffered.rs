//! Buffered reading and seeking at a pace.

use std::io::{BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::pin::Pin;

use futures_lite::io::{AsyncBufRead, AsyncSeek, BufReader as AsyncBufReader};
use sluicegate::throttle::Throttle;

use super::blocking::run;
use super::scene::{Script, Task, content, node, ready};

/// What the buffer shows now, or nothing if it waits.
fn shown(task: &Task, reader: &mut Throttle<impl AsyncBufRead + Unpin>) -> Option<Vec<u8>> {
    let polled = task.poll(|cx| Pin::new(reader).poll_fill_buf(cx).map_ok(<[u8]>::to_vec));
    polled.is_ready().then(|| ready(polled))
}

#[test]
fn the_buffer_shows_what_may_pass_and_shows_it_again_for_nothing() {
    let (clock, node) = node(10_000);
    let (task, inner) = (Task::default(), AsyncBufReader::with_capacity(5_000, Script::ending(5_500)));
    let mut reader = Throttle::new(inner, &node);
    assert_eq!(shown(&task, &mut reader).unwrap(), content(0..2_000));
    Pin::new(&mut reader).consume(1_500);
    assert_eq!(shown(&task, &mut reader).unwrap(), content(1_500..2_000));
    assert_eq!(node.passed().bytes, 2_000, "what was shown is paid for, once");
    assert_eq!(
        ready(task.read(&mut reader, 300)),
        content(1_500..1_800),
        "a read takes what is paid for first"
    );
    assert_eq!(ready(task.read(&mut reader, 1_000)), content(1_800..2_000));
    assert_eq!(shown(&task, &mut reader), None);
    clock.0.advance_to_next();
    assert_eq!(shown(&task, &mut reader).unwrap(), content(2_000..4_000));
    Pin::new(&mut reader).consume(2_000);
    assert!(task.read(&mut reader, 1_000).is_pending(), "they are read ahead now");
    clock.0.advance_to_next();
    assert_eq!(shown(&task, &mut reader).unwrap(), content(4_000..5_000), "and are shown from there");
    Pin::new(&mut reader).consume(1_000);
    assert_eq!(shown(&task, &mut reader), None);
    clock.0.advance_to_next();
    assert_eq!(shown(&task, &mut reader).unwrap(), content(5_000..5_500));
    Pin::new(&mut reader).consume(500);
    assert_eq!(shown(&task, &mut reader).unwrap(), b"", "the end needs no turn");
    assert_eq!(node.passed().bytes, 5_500);
    assert_eq!(reader.reads().report().bytes, 5_500);
}

#[test]
fn lines_are_read_at_the_pace_in_blocking_code() {
    let (clock, node) = node(1_000);
    let text = "ninety nine bytes and a line feed, ".repeat(3)[..99].to_owned() + "\n";
    let all = text.repeat(12);
    let mut reader = Throttle::new(BufReader::new(Cursor::new(all)), &node);
    let lines = run(&clock, move || {
        let mut lines = Vec::new();
        while reader.read_until(b'\n', &mut lines).unwrap() > 0 {}
        lines
    });
    assert_eq!(String::from_utf8(lines).unwrap(), text.repeat(12));
    assert_eq!(clock.millis(), 1_000, "1200 bytes, 200 of them at once");
}

#[test]
fn a_seek_starts_where_the_caller_is_and_forgets_what_was_read_ahead() {
    let (clock, node) = node(10_000);
    let task = Task::default();
    let mut reader = Throttle::new(futures_lite::io::Cursor::new(content(0..9_000)), &node);
    assert_eq!(ready(task.read(&mut reader, 3_000)), content(0..2_000));
    assert_eq!(reader.buffer().len(), 1_000);
    let seek = |reader: &mut Throttle<_>, to| ready(task.poll(|cx| Pin::new(reader).poll_seek(cx, to)));
    assert_eq!(seek(&mut reader, SeekFrom::Current(0)), 2_000);
    assert!(reader.buffer().is_empty());
    assert_eq!(seek(&mut reader, SeekFrom::Current(-500)), 1_500);
    assert!(task.read(&mut reader, 100).is_pending());
    clock.0.advance_to_next();
    assert_eq!(ready(task.read(&mut reader, 100)), content(1_500..1_600));
    assert!(task.read(&mut reader, 2_000).is_pending());
    assert_eq!(seek(&mut reader, SeekFrom::Start(8_990)), 8_990, "in mid-wait, too");
    clock.0.advance_to_next();
    assert_eq!(ready(task.read(&mut reader, 1_000)), content(8_990..9_000));
    assert_eq!(node.passed().bytes, 2_110, "what was skipped cost nothing");
}

#[test]
fn so_it_does_in_blocking_code() {
    let (_clock, node) = node(10_000);
    let mut reader = Throttle::new(Cursor::new(content(0..9_000)), &node);
    assert_eq!(reader.read(&mut [0; 3_000]).unwrap(), 2_000);
    assert_eq!((reader.stream_position().unwrap(), reader.get_ref().position()), (2_000, 3_000));
    assert_eq!(reader.seek(SeekFrom::Current(-1_999)).unwrap(), 1);
    assert!(reader.buffer().is_empty());
    assert_eq!(reader.get_ref().position(), 1);
}

#[test]
fn an_impossible_offset_is_an_error_and_moves_nothing() {
    let (_clock, node) = node(10_000);
    let mut reader = Throttle::new(Cursor::new(content(0..9_000)), &node);
    assert_eq!(reader.read(&mut [0; 3_000]).unwrap(), 2_000);
    let error = reader.seek(SeekFrom::Current(i64::MIN)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert!(reader.seek(SeekFrom::Current(-2_001)).is_err(), "before the beginning");
    assert_eq!((reader.buffer().len(), reader.stream_position().unwrap()), (1_000, 2_000));
}
