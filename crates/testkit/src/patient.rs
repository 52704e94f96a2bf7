//! Pipes on which a silence has an end: a test that waits for what never comes fails and says so.

use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::wait::LIMIT;

/// A pipe or socket whose reads fail with [`ErrorKind::TimedOut`] when nothing comes for [`LIMIT`].
#[derive(Debug)]
pub struct Patient<R>(pub R);

impl<R: Read + AsFd> Read for Patient<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let limit = Timespec::try_from(LIMIT).map_err(io::Error::other)?;
        loop {
            // A pipe whose other end is closed is ready too.
            match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&limit)) {
                Ok(0) => {
                    let silence = format!("nothing came for {LIMIT:?}");
                    return Err(io::Error::new(ErrorKind::TimedOut, silence));
                }
                Ok(_) => return self.0.read(buf),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
