//! Searches for a text in a stream.

use memchr::memmem::Finder;

/// A text to search for, prepared.
#[derive(Debug)]
pub(super) struct Search {
    /// Searches within a piece.
    finder: Finder<'static>,
    /// The table of Knuth, Morris and Pratt, for matches across pieces: for each length of a prefix of the text, the length of
    /// the longest proper prefix that is also its suffix.
    borders: Vec<usize>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// New bytes that were read.
    pub(super) read: usize,
    /// Bytes that belong to no match, first of those held and then of those read.
    pub(super) passed: usize,
    /// Whether the text follows them.
    pub(super) matched: bool,
    /// Bytes that follow them and may begin a match; 0 after a match.
    pub(super) held: usize,
}

impl Search {
    /// Prepares the search for `text`, which is not empty.
    pub(super) fn new(text: &[u8]) -> Self {
        let mut borders = vec![0; text.len() + 1];
        let mut border = 0;
        for at in 1..text.len() {
            while border > 0 && text[border] != text[at] {
                border = borders[border];
            }
            border += usize::from(text[border] == text[at]);
            borders[at + 1] = border;
        }
        Self { finder: Finder::new(text).into_owned(), borders }
    }

    /// Reads `data`, which follows `held` bytes that equal a prefix of the text, to the end of the leftmost match or to its
    /// own end.
    pub(super) fn next(&self, held: usize, data: &[u8]) -> Found {
        let text = self.finder.needle();
        // Byte by byte while a match may have begun before `data`.
        let mut border = held;
        let mut read = 0;
        while border > 0 && read < data.len() {
            border = self.advance(border, data[read]);
            read += 1;
            if border == text.len() {
                return Found { read, passed: held + read - border, matched: true, held: 0 };
            }
            // The possible match begins in `data`: leave it to the finder.
            if border <= read {
                read -= border;
                border = 0;
            }
        }
        if border > 0 || read == data.len() {
            return Found { read, passed: held + read - border, matched: false, held: border };
        }
        if let Some(at) = self.finder.find(&data[read..]) {
            let read = read + at;
            return Found { read: read + text.len(), passed: held + read, matched: true, held: 0 };
        }
        let tail = data.len().saturating_sub(text.len() - 1).max(read);
        let border = data[tail..].iter().fold(0, |border, byte| self.advance(border, *byte));
        Found { read: data.len(), passed: held + data.len() - border, matched: false, held: border }
    }

    /// The length of the longest prefix of the text that the input ends with after `byte`; `border` is that before, shorter
    /// than the text.
    fn advance(&self, mut border: usize, byte: u8) -> usize {
        let text = self.finder.needle();
        while border > 0 && text[border] != byte {
            border = self.borders[border];
        }
        border + usize::from(text[border] == byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_held_only_if_it_may_begin_a_match() {
        let search = Search::new(b"abab");
        let held = |read, passed, held| Found { read, passed, matched: false, held };
        assert_eq!(search.next(0, b"xxaba"), held(5, 2, 3));
        assert_eq!(search.next(3, b"a"), held(1, 3, 1), "aba + a: only the last a may begin one");
        assert_eq!(search.next(3, b"x"), held(1, 4, 0));
        assert_eq!(search.next(1, b""), held(0, 0, 1));
        let found = search.next(3, b"bab");
        assert_eq!(found, Found { read: 1, passed: 0, matched: true, held: 0 }, "no overlap");
        let found = search.next(2, b"cabab");
        assert_eq!(found, Found { read: 5, passed: 3, matched: true, held: 0 });
    }
}
