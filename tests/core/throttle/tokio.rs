//! [`Throttle`] through tokio's traits, without tokio's runtime.

use std::io::{self, IoSlice, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll};

use sluicegate::throttle::Throttle;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, ReadBuf};

use super::scene::{Script, Step, Task, content, node, ready};

/// A [`Script`] for tokio. As a buffered reader it shows what is left of `here`.
#[derive(Default)]
struct Scripted {
    script: Script,
    here: Vec<u8>,
    position: u64,
}

impl AsyncRead for Scripted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read =
            futures_lite::AsyncRead::poll_read(Pin::new(&mut self.script), cx, buf.initialize_unfilled());
        self.position = self.script.given as u64;
        read.map_ok(|read| buf.advance(read))
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        futures_lite::AsyncWrite::poll_write(Pin::new(&mut self.script), cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        futures_lite::AsyncWrite::poll_write_vectored(Pin::new(&mut self.script), cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures_lite::AsyncWrite::poll_flush(Pin::new(&mut self.script), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures_lite::AsyncWrite::poll_close(Pin::new(&mut self.script), cx)
    }
}

impl AsyncBufRead for Scripted {
    fn poll_fill_buf(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Poll::Ready(Ok(&self.get_mut().here))
    }

    fn consume(mut self: Pin<&mut Self>, bytes: usize) {
        self.here.drain(..bytes);
    }
}

impl AsyncSeek for Scripted {
    fn start_seek(mut self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        self.position = match position {
            SeekFrom::Start(position) => position,
            SeekFrom::Current(by) => {
                self.position.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?
            }
            SeekFrom::End(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(())
    }

    fn poll_complete(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Poll::Ready(Ok(self.position))
    }
}

fn read(task: &Task, reader: &mut Throttle<Scripted>, len: usize) -> Poll<io::Result<Vec<u8>>> {
    // Something is in the buffer already, and must stay.
    let mut space = vec![7; len + 3];
    let mut buf = ReadBuf::new(&mut space);
    buf.put_slice(b"abc");
    let polled = task.poll(|cx| AsyncRead::poll_read(Pin::new(reader), cx, &mut buf));
    let (before, came) = buf.filled().split_at(3);
    assert_eq!(before, b"abc");
    polled.map_ok(|()| came.to_vec())
}

fn scripted(script: Script) -> Scripted {
    Scripted { script, ..Scripted::default() }
}

#[test]
fn bytes_are_read_in_their_turn() {
    let (clock, node) = node(10_000);
    let (task, mut reader) = (Task::default(), Throttle::new(scripted(Script::ending(3_500)), &node));
    assert_eq!(ready(read(&task, &mut reader, 0)), b"");
    assert_eq!(ready(read(&task, &mut reader, 1_500)), content(0..1_500));
    assert_eq!(ready(read(&task, &mut reader, 500)), content(1_500..2_000));
    assert!(read(&task, &mut reader, 1_000).is_pending());
    assert_eq!(reader.buffer().len(), 1_000);
    clock.0.advance_to_next();
    assert_eq!(task.woken(), 1);
    assert_eq!(ready(read(&task, &mut reader, 400)), content(2_000..2_400));
    assert_eq!(ready(read(&task, &mut reader, 5_000)), content(2_400..3_000));
    assert!(read(&task, &mut reader, 1_000).is_pending());
    clock.0.advance_to_next();
    assert_eq!(ready(read(&task, &mut reader, 1_000)), content(3_000..3_500));
    assert_eq!(ready(read(&task, &mut reader, 1_000)), b"", "the end needs no turn");
    assert_eq!((clock.millis(), reader.reads().report().bytes), (150, 3_500));
    let mut failing = Throttle::new(scripted(Script::of([Step::Fail])), &node);
    assert!(
        matches!(read(&task, &mut failing, 10), Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe)
    );
}

#[test]
fn bytes_are_written_in_their_turn_and_slices_together() {
    let (clock, node) = node(10_000);
    let (task, mut writer) = (Task::default(), Throttle::new(scripted(Script::default()), &node));
    assert!(AsyncWrite::is_write_vectored(&writer));
    let bytes = content(0..3_000);
    let wrote = task.poll(|cx| AsyncWrite::poll_write(Pin::new(&mut writer), cx, &bytes[..1_500]));
    assert_eq!(ready(wrote), 1_500);
    let slices = [&bytes[1_500..1_800], &bytes[1_800..2_000]].map(IoSlice::new);
    let wrote = task.poll(|cx| AsyncWrite::poll_write_vectored(Pin::new(&mut writer), cx, &slices));
    assert_eq!(ready(wrote), 500);
    assert_eq!(writer.get_ref().script.slices, [2]);
    assert!(task.poll(|cx| AsyncWrite::poll_write(Pin::new(&mut writer), cx, &bytes[2_000..])).is_pending());
    assert!(task.poll(|cx| AsyncWrite::poll_flush(Pin::new(&mut writer), cx)).is_ready());
    clock.0.advance_to_next();
    let wrote = task.poll(|cx| AsyncWrite::poll_write(Pin::new(&mut writer), cx, &bytes[2_000..]));
    assert_eq!((ready(wrote), clock.millis()), (1_000, 100));
    assert!(task.poll(|cx| AsyncWrite::poll_shutdown(Pin::new(&mut writer), cx)).is_ready());
    let Scripted { script, .. } = writer.into_inner();
    assert!(script.taken == bytes && script.flushed == 1 && script.closed);
}

#[test]
fn the_buffer_shows_what_may_pass() {
    let (clock, node) = node(10_000);
    let inner = Scripted { here: content(0..2_500), ..Scripted::default() };
    let (task, mut reader) = (Task::default(), Throttle::new(inner, &node));
    let shown = |reader: &mut Throttle<Scripted>| {
        task.poll(|cx| AsyncBufRead::poll_fill_buf(Pin::new(reader), cx).map_ok(<[u8]>::to_vec))
    };
    assert_eq!(ready(shown(&mut reader)), content(0..2_000));
    AsyncBufRead::consume(Pin::new(&mut reader), 2_000);
    assert!(shown(&mut reader).is_pending());
    clock.0.advance_to_next();
    assert_eq!(ready(shown(&mut reader)), content(2_000..2_500));
    AsyncBufRead::consume(Pin::new(&mut reader), 500);
    assert_eq!(ready(shown(&mut reader)), b"");
}

#[test]
fn a_seek_starts_where_the_caller_is() {
    let (_clock, node) = node(10_000);
    let (task, mut reader) = (Task::default(), Throttle::new(scripted(Script::default()), &node));
    assert_eq!(ready(read(&task, &mut reader, 3_000)).len(), 2_000);
    let at = |reader: &mut Throttle<Scripted>| task.poll(|cx| AsyncSeek::poll_complete(Pin::new(reader), cx));
    assert_eq!((ready(at(&mut reader)), reader.get_ref().position), (2_000, 3_000));
    AsyncSeek::start_seek(Pin::new(&mut reader), SeekFrom::Current(-500)).unwrap();
    assert_eq!((ready(at(&mut reader)), reader.get_ref().position), (1_500, 1_500));
    assert!(reader.buffer().is_empty());
}
