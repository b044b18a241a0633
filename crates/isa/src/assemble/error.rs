//! What can be wrong with a text, and where.

use alloc::{borrow::ToOwned, string::String};

/// A line that could not be assembled. The mistake is the text's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {kind}")]
pub struct AssembleError {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// The line as it stands in the text.
    pub text: String,
    /// What is wrong.
    pub kind: AssembleErrorKind,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssembleErrorKind {
    /// Something else should stand here.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What should stand here.
        expected: &'static str,
        /// What does.
        found: String,
    },
    /// There are `r0` to `r10` and `w0` to `w10`.
    #[error("no register `{0}`: there are r0 to r10 and w0 to w10")]
    NoRegister(String),
    /// `r` and `w` names in one operation.
    #[error("`{0}` is of the wrong width here: `{1}` is wanted")]
    WrongWidth(String, String),
    /// The operation works on one register only.
    #[error("source and destination must be the same register here")]
    NotSameRegister,
    /// A number that its field cannot hold.
    #[error("{value} does not fit {field}: {min} to {max}")]
    OutOfRange {
        /// The number.
        value: i128,
        /// The field.
        field: &'static str,
        /// Least value it holds.
        min: i64,
        /// Greatest value it holds.
        max: i64,
    },
    /// An operation that exists, but not at this width.
    #[error("no such operation on {0}")]
    NoSuchSize(&'static str),
    /// A jump to a label that is nowhere.
    #[error("no label `{0}`")]
    UnknownLabel(String),
    /// A label that stands twice.
    #[error("label `{0}` stands twice")]
    DuplicateLabel(String),
    /// A label out of reach.
    #[error("label `{label}` is {distance} slots away, too far (`gotol` reaches further)")]
    LabelTooFar {
        /// The label.
        label: String,
        /// Slots.
        distance: i64,
    },
    /// A map that nobody knows.
    #[error("no map `{0}`")]
    UnknownMap(String),
    /// What is called is neither a label nor a helper.
    #[error("no kernel function `{0}`")]
    UnknownKfunc(String),
}

/// An error at a column (bytes, from 0) of a line not yet known.
#[derive(Debug)]
pub struct Here {
    column: usize,
    kind: AssembleErrorKind,
}

impl AssembleErrorKind {
    pub(super) fn at(self, column: usize) -> Here {
        Here { column, kind: self }
    }
}

impl Here {
    pub(super) fn at_line(self, line: u32, text: &str) -> AssembleError {
        let before = text
            .char_indices()
            .take_while(|(at, _)| *at < self.column)
            .count();
        let column = u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1);
        AssembleError {
            line,
            column,
            text: text.to_owned(),
            kind: self.kind,
        }
    }
}
