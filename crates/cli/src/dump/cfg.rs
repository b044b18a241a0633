//! `dump cfg`: a function's basic blocks and the ways between them.

use std::{collections::BTreeSet, io::Write};

use panal_isa::Instruction;

use super::{
    Subject, layout,
    listing::{self, Listing, Row},
    svg,
};
use crate::error::Problem;

/// How control gets from one block to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The condition held, or the loop's budget was used up.
    Taken,
    /// It did not.
    NotTaken,
    /// There was no choice.
    Always,
}

/// Instructions that run one after another.
pub struct Block<'l, 'o> {
    pub rows: &'l [Row<'o>],
    pub successors: Vec<(usize, Way)>,
}

/// A function's blocks; the first is the entry.
pub fn blocks<'l, 'o>(listing: &'l Listing<'o>) -> Vec<Block<'l, 'o>> {
    let rows = &listing.rows;
    let mut starts = BTreeSet::from([0]);
    starts.extend(listing.targets.iter().copied());
    for row in rows {
        if row.instruction.jump_offset().is_some() || row.instruction == Instruction::Exit {
            starts.insert(listing.code.next(row.slot));
        }
    }
    let starts: Vec<usize> = starts
        .into_iter()
        .filter(|s| *s < listing.code.len())
        .collect();
    let block_at = |slot: usize| starts.binary_search(&slot).ok();
    let ends = starts.iter().copied().skip(1).chain([listing.code.len()]);
    let mut blocks = Vec::with_capacity(starts.len());
    for (start, end) in starts.iter().zip(ends) {
        let first = rows.partition_point(|row| row.slot < *start);
        let last = rows.partition_point(|row| row.slot < end);
        let rows = rows.get(first..last).unwrap_or(&[]);
        let successors = rows.last().map_or(Vec::new(), |row| {
            let taken = row.target.and_then(block_at);
            let next = block_at(listing.code.next(row.slot));
            match row.instruction {
                Instruction::Exit => Vec::new(),
                Instruction::Jump { .. } => taken.map(|b| (b, Way::Always)).into_iter().collect(),
                Instruction::Branch { .. } | Instruction::MayGoto { .. } => {
                    let ways = [(next, Way::NotTaken), (taken, Way::Taken)];
                    ways.into_iter()
                        .filter_map(|(b, way)| Some((b?, way)))
                        .collect()
                }
                _ => next.map(|b| (b, Way::Always)).into_iter().collect(),
            }
        });
        blocks.push(Block { rows, successors });
    }
    blocks
}

pub fn print(subject: &Subject<'_>, out: &mut impl Write) -> Result<(), Problem> {
    let mut picture = svg::Picture::new(&subject.path.display().to_string());
    for &id in &subject.functions {
        let function = subject.object.function(id);
        let listing = listing::read(subject, function)?;
        let blocks = blocks(&listing);
        let boxes: Vec<svg::TextBox> = blocks.iter().map(|b| svg::TextBox::of(b.rows)).collect();
        let sizes: Vec<layout::Size> = boxes.iter().map(svg::TextBox::size).collect();
        let edges: Vec<(usize, usize)> = blocks
            .iter()
            .enumerate()
            .flat_map(|(from, block)| block.successors.iter().map(move |(to, _)| (from, *to)))
            .collect();
        let ways = blocks
            .iter()
            .flat_map(|b| b.successors.iter().map(|(_, way)| *way))
            .collect();
        let plan = layout::layered(&sizes, &edges);
        let title = format!(
            "{} ({}, section {})",
            function.name,
            super::role(function),
            function.section
        );
        picture.add(&title, &boxes, &plan, ways);
    }
    out.write_all(picture.finish().as_bytes())?;
    Ok(())
}
