//! Bytes on their way through TLS: encrypted and not sent, or read and not taken.

use std::io;

/// The most bytes that a record adds: its head, an explicit nonce (TLS 1.2), the content type (TLS 1.3) and the tag.
const RECORD_OVERHEAD: usize = 5 + 8 + 1 + 16;

/// Bytes of the largest record's content.
const MAX_RECORD: usize = 16 * 1024;

/// The most bytes of a record that is not whole, or of messages after the handshake that are not: the largest record of
/// TLS 1.2, and some messages. rustls would hold 64 KiB of a message.
const MAX_PARTIAL: usize = 20 * 1024;

/// Bytes that were encrypted and not yet reported as written.
#[derive(Default)]
pub(super) struct Batch {
    /// Plain bytes in it.
    pub(super) len: usize,
    /// Of these, bytes reported.
    pub(super) reported: usize,
    /// Encrypted bytes of it that the kernel took.
    pub(super) sent: usize,
}

impl Batch {
    /// The most bytes that a record adds, for all of it.
    fn overhead(&self) -> usize {
        self.len.div_ceil(MAX_RECORD) * RECORD_OVERHEAD
    }

    /// The most bytes that it is encrypted.
    pub(super) fn encrypted(&self) -> usize {
        self.len + self.overhead()
    }

    /// Plain bytes that the kernel has whole by now and that were not reported. `flushed`: nothing is left to send.
    pub(super) fn due(&self, flushed: bool) -> usize {
        let whole = if flushed { self.len } else { self.sent.saturating_sub(self.overhead()) };
        whole.min(self.len).saturating_sub(self.reported)
    }
}

/// Bytes read from the socket and not taken by a reader.
#[derive(Debug, Default)]
pub(super) struct Received {
    /// Plain bytes of whole records.
    pub(super) plain: usize,
    /// Encrypted bytes since the last record with content.
    pub(super) partial: usize,
}

impl Received {
    /// Notes that `read` bytes came, and that there are `plain` ones now.
    ///
    /// # Errors
    /// Too many came without content.
    pub(super) fn note(&mut self, read: usize, plain: usize) -> io::Result<()> {
        self.partial = if plain > self.plain { 0 } else { self.partial + read };
        self.plain = plain;
        if self.partial > MAX_PARTIAL {
            let text = "the client sent more than 20 KiB without content";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_without_content_have_a_bound_and_content_begins_anew() {
        let mut received = Received::default();
        assert!(received.note(MAX_PARTIAL, 0).is_ok());
        assert!(received.note(100, 50).is_ok());
        assert_eq!((received.partial, received.plain), (0, 50));
        assert!(received.note(MAX_PARTIAL, 50).is_ok());
        let refused = received.note(1, 50).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    }
}
