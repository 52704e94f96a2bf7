//! Decides when bytes that arrive in pieces are worth parsing as a head.

/// Looks for the end of a head in a growing buffer.
///
/// A head is parsed from its start, so parsing it with every byte would cost the square of its length. It is parsed
/// when its end has arrived, and before that whenever the buffer has doubled since the last attempt, so that bytes
/// that are not a head are refused early.
#[derive(Debug, Default)]
pub(crate) struct HeadScan {
    /// Bytes searched so far.
    scanned: usize,
    /// Size of the buffer at which the next attempt is due without an end.
    due: usize,
}

impl HeadScan {
    /// Whether `input`, which starts with all earlier input, is to be parsed now.
    pub(crate) fn is_due(&mut self, input: &[u8]) -> bool {
        // An end is at most three bytes: an empty line after a line feed.
        let fresh = &input[self.scanned.saturating_sub(2)..];
        let mut feeds = memchr::memchr_iter(b'\n', fresh);
        let ends = feeds.any(|at| matches!(&fresh[at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]));
        self.scanned = input.len();
        let is_due = ends || (input.len() >= self.due && !input.is_empty());
        if is_due {
            self.due = input.len() * 2;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many bytes, coming one by one, an attempt is due.
    fn due(input: &[u8]) -> Vec<usize> {
        let mut scan = HeadScan::default();
        (0..=input.len()).filter(|&len| scan.is_due(&input[..len])).collect()
    }

    #[test]
    fn an_attempt_is_due_at_the_end_of_a_head_wherever_it_is_cut() {
        for head in
            ["HTTP/1.1 200 OK\r\na: b\r\n\r\n", "HTTP/1.1 200 OK\na: b\n\n", "HTTP/1.1 200 OK\na: b\n\r\n"]
        {
            for cut in 0..head.len() {
                let mut scan = HeadScan::default();
                scan.is_due(&head.as_bytes()[..cut]);
                assert!(scan.is_due(head.as_bytes()), "{head:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn a_head_that_dribbles_is_read_as_often_as_its_length_doubles() {
        let head = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(5000));
        let due = due(head.as_bytes());
        let before_end: Vec<usize> = std::iter::successors(Some(1), |len| Some(len * 2)).take(15).collect();
        assert_eq!(due, [&before_end[..], &[head.len()]].concat());
        assert!(!HeadScan::default().is_due(b""));
    }
}
