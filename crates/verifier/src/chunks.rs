//! A list that grows without being moved: what the search keeps is large, and would be copied each
//! time that a vector doubles.

use alloc::vec::Vec;
use core::ops::{Index, IndexMut};

/// Elements of a chunk: a power of two.
const CHUNK: usize = 1024;

/// Elements in the order in which they were added.
#[derive(Debug)]
pub struct Chunks<T> {
    chunks: Vec<Vec<T>>,
    len: usize,
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Chunks {
            chunks: Vec::new(),
            len: 0,
        }
    }
}

impl<T> Chunks<T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Adds one.
    pub fn push(&mut self, element: T) {
        let into = self.len / CHUNK;
        if into == self.chunks.len() {
            // Most programs need a few elements only.
            let room = if into == 0 { 0 } else { CHUNK };
            self.chunks.push(Vec::with_capacity(room));
        }
        self.chunks[into].push(element);
        self.len += 1;
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.chunks.clear();
        self.len = 0;
    }
}

impl<T> Index<usize> for Chunks<T> {
    type Output = T;

    #[inline]
    fn index(&self, index: usize) -> &T {
        &self.chunks[index / CHUNK][index % CHUNK]
    }
}

impl<T> IndexMut<usize> for Chunks<T> {
    #[inline]
    fn index_mut(&mut self, index: usize) -> &mut T {
        &mut self.chunks[index / CHUNK][index % CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_stay_where_they_were_added() {
        let mut list = Chunks::default();
        for n in 0..3 * CHUNK {
            list.push(n);
        }
        list[CHUNK] += 1;
        assert_eq!(list.len(), 3 * CHUNK);
        assert!((0..list.len()).all(|n| list[n] == n + usize::from(n == CHUNK)));
        list.clear();
        list.push(7);
        assert_eq!((list.len(), list[0]), (1, 7));
    }
}
