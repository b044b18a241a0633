//! Keys in a frame: the pieces in which machine code reads them there.
//!
//! A load that takes bytes of two stores which the CPU still holds back waits until both are in the
//! cache, several times as long as the lookup's own work. So a key is read in the pieces in which
//! the function writes its frame.

use alloc::vec::Vec;

use panal_isa::Size;

use crate::{HelperFn, KeyByValue};

/// Bytes of a frame.
const FRAME: i32 = 512;
/// More pieces are not worth what they save.
pub(crate) const PIECES_MOST: usize = 16;

/// A piece of a key: within one of its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Where in the key.
    pub at: u8,
    pub bytes: u8,
}

impl Piece {
    pub fn size(self) -> Size {
        match self.bytes {
            8 => Size::DW,
            4 => Size::W,
            2 => Size::H,
            _ => Size::B,
        }
    }

    /// Where it belongs in its word.
    pub fn shift(self) -> u8 {
        self.at % 8 * 8
    }
}

/// The key of a call, which lies in the caller's frame.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// The operation that calls.
    pub op: u32,
    /// What is called with the key's words.
    pub function: HelperFn,
    /// Which arguments have them.
    pub arguments: &'static [u8],
    /// Arguments up to the last one that is used.
    pub count: u8,
    /// Where the key begins, from the frame's end.
    pub place: i32,
    pieces: Vec<Piece>,
}

impl Key {
    /// A key at a place of the frame, for a call that has so many arguments without it; `None` where
    /// it is better left there.
    pub fn new(
        op: u32,
        value: KeyByValue,
        place: i32,
        arguments: u8,
        written: &Written,
    ) -> Option<Key> {
        let words = value.size.div_ceil(8) as usize;
        let used = value.arguments.get(..words)?;
        let pieces = written.pieces(place, value.size);
        (pieces.len() <= PIECES_MOST).then_some(Key {
            op,
            function: value.function,
            arguments: used,
            count: used.iter().copied().fold(arguments, u8::max),
            place,
            pieces,
        })
    }

    /// The pieces of a word.
    pub fn pieces_of(&self, word: usize) -> impl Iterator<Item = Piece> {
        let pieces = self.pieces.iter().copied();
        pieces.filter(move |piece| usize::from(piece.at) / 8 == word)
    }
}

/// A set of places in a frame.
#[derive(Clone, Default)]
struct Places([u64; FRAME as usize / 64 + 1]);

impl Places {
    fn add(&mut self, place: i32) {
        if let Ok(at) = usize::try_from(place + FRAME)
            && let Some(word) = self.0.get_mut(at / 64)
        {
            *word |= 1 << (at % 64);
        }
    }

    fn has(&self, place: i32) -> bool {
        let at = usize::try_from(place + FRAME);
        at.is_ok_and(|at| self.0.get(at / 64).is_some_and(|w| w >> (at % 64) & 1 != 0))
    }
}

/// How a function writes its frame by its own stores: where they begin and end.
#[derive(Clone, Default)]
pub(crate) struct Written {
    edges: Places,
    /// Where whole words begin.
    words: Places,
}

impl Written {
    /// Notes a store.
    pub fn add(&mut self, place: i32, bytes: u32) {
        self.edges.add(place);
        self.edges.add(place.saturating_add(bytes as i32));
        if bytes == 8 {
            self.words.add(place);
        }
    }

    /// Pieces that no store ends within. Where nothing is known they are halves of words, as likely
    /// as words to be what was written.
    pub fn pieces(&self, place: i32, size: u32) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut at = 0;
        while at < size {
            let from = place + at as i32;
            let fits = |bytes: u32| {
                let whole = at % 8 + bytes <= 8 && at + bytes <= size;
                let aligned = from.rem_euclid(bytes as i32) == 0;
                let inside = (1..bytes as i32).all(|i| !self.edges.has(from + i));
                whole && aligned && inside && (bytes < 8 || self.words.has(from))
            };
            let bytes = [8, 4, 2].into_iter().find(|&b| fits(b)).unwrap_or(1);
            pieces.push(Piece {
                at: at as u8,
                bytes: bytes as u8,
            });
            at += bytes;
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(stores: &[(i32, u32)], place: i32, size: u32) -> Vec<(u8, u8)> {
        let mut written = Written::default();
        for (place, bytes) in stores {
            written.add(*place, *bytes);
        }
        let pieces = written.pieces(place, size);
        pieces.iter().map(|p| (p.at, p.bytes)).collect()
    }

    #[test]
    fn keys_are_read_as_they_were_written() {
        assert_eq!(pieces(&[(-8, 8)], -8, 8), [(0, 8)]);
        assert_eq!(pieces(&[(-8, 4), (-4, 4)], -8, 8), [(0, 4), (4, 4)]);
        assert_eq!(pieces(&[], -8, 8), [(0, 4), (4, 4)]);
        // Cleared as a word, then a part set.
        assert_eq!(pieces(&[(-8, 8), (-6, 2)], -8, 8), [(0, 2), (2, 2), (4, 4)]);
        assert_eq!(pieces(&[(-3, 1)], -4, 4), [(0, 1), (1, 1), (2, 2)]);
        // A key that begins at half of a word.
        assert_eq!(pieces(&[(-16, 8), (-8, 8)], -12, 8), [(0, 4), (4, 4)]);
        assert_eq!(
            pieces(&[], -24, 20),
            [(0, 4), (4, 4), (8, 4), (12, 4), (16, 4)]
        );
        assert_eq!(pieces(&[], -7, 3), [(0, 1), (1, 2)]);
    }
}
