//! Searching a text in a stream: where a match lies, and how much of the end may begin one.

use memchr::memmem::Finder;

/// A text to search for, prepared.
pub(super) struct Search {
    /// Fast, for the inside of a piece.
    finder: Finder<'static>,
    /// Knuth, Morris and Pratt's table, for the borders: for each length of a beginning of the text, the
    /// length of the longest shorter one that it ends with.
    borders: Vec<usize>,
}

/// How far a search came. Lengths count from the first byte held.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Bytes read of the new ones.
    pub(super) read: usize,
    /// Bytes, of those held and then of those read, that belong to no match.
    pub(super) passed: usize,
    /// The text follows them.
    pub(super) matched: bool,
    /// Bytes that follow them and may begin a match. None if there was one.
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

    /// Reads `data`, which follows `held` bytes that equal the text's beginning, to the end of the
    /// leftmost match or to its own end.
    pub(super) fn next(&self, held: usize, data: &[u8]) -> Found {
        let text = self.finder.needle();
        // As long as a match may have begun before `data`: byte by byte.
        let mut border = held;
        let mut read = 0;
        while border > 0 && read < data.len() {
            border = self.advance(border, data[read]);
            read += 1;
            if border == text.len() {
                return Found { read, passed: held + read - border, matched: true, held: 0 };
            }
            // What may begin a match now begins in `data`: the rest is the fast search's.
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

    /// The longest beginning of the text that what came ends with, after one more byte. `border` is the
    /// one before, shorter than the text.
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
