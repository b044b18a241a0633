//! Which pages of an arena are free: ranges, of which the smallest that is long enough is used
//! first, and of several the one that changed last. Linux's choice, as far as programs see it.

use std::collections::BTreeMap;

#[derive(Clone, Copy)]
struct Range {
    len: u32,
    /// When it became what it is.
    turn: u64,
}

/// Ranges of free pages, by their first page.
pub(crate) struct FreePages {
    ranges: BTreeMap<u32, Range>,
    turn: u64,
}

impl FreePages {
    /// All of so many pages.
    pub fn new(pages: u32) -> Self {
        let mut free = FreePages {
            ranges: BTreeMap::new(),
            turn: 0,
        };
        free.insert(0, pages);
        free
    }

    fn insert(&mut self, first: u32, len: u32) {
        self.turn += 1;
        let turn = self.turn;
        self.ranges.insert(first, Range { len, turn });
    }

    /// The range that a page lies in: where it begins and ends.
    fn around(&self, page: u32) -> Option<(u32, u32)> {
        let (&first, range) = self.ranges.range(..=page).next_back()?;
        let end = first + range.len;
        (page < end).then_some((first, end))
    }

    /// Whether all of so many pages are free.
    pub fn holds(&self, first: u32, count: u32) -> bool {
        let end = first.checked_add(count);
        let around = self.around(first);
        end.is_some_and(|wanted| around.is_some_and(|(_, end)| wanted <= end))
    }

    /// The first of so many free pages in a row.
    pub fn find(&self, count: u32) -> Option<u32> {
        let enough = self.ranges.iter().filter(|(_, range)| range.len >= count);
        let best = enough.min_by_key(|(_, range)| (range.len, u64::MAX - range.turn));
        best.map(|(first, _)| *first)
    }

    /// Pages are not free any more, as far as they were.
    pub fn take(&mut self, first: u32, count: u32) {
        let end = first.saturating_add(count);
        let touched: Vec<(u32, u32)> = self
            .ranges
            .range(..end)
            .map(|(&from, range)| (from, from + range.len))
            .filter(|&(_, to)| to > first)
            .collect();
        for (from, to) in touched {
            self.ranges.remove(&from);
            if from < first {
                self.insert(from, first - from);
            }
            if to > end {
                self.insert(end, to - end);
            }
        }
    }

    /// Pages are free again, some of which may have been already.
    pub fn give(&mut self, first: u32, count: u32) {
        if self.holds(first, count) {
            return;
        }
        self.take(first, count);
        let mut end = first + count;
        let mut first = first;
        if let Some((before, _)) = first.checked_sub(1).and_then(|page| self.around(page)) {
            self.ranges.remove(&before);
            first = before;
        }
        if let Some((after, last)) = self.around(end) {
            self.ranges.remove(&after);
            end = last;
        }
        self.insert(first, end - first);
    }
}
