//! How the answers of two kernels differ, and which differences are faults.

use panal_uapi::Errno;

use crate::ask::Answer;

/// How two answers differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// Panal accepts what Linux rejects.
    FalseAccept,
    /// Both accept, and compute differently.
    Result,
    /// Panal panicked.
    Panic,
    /// Panal rejects what Linux accepts.
    FalseReject,
    /// One of them gives up after a million instructions or 8192 branches, the other does not.
    TooComplex,
    /// Panal could not try what Linux could.
    NotTried,
}

impl Difference {
    /// Whether a run that saw it has failed: a false accept is unsafe, a result is wrong. The others
    /// cost a user a program that Linux would take, or the other way round.
    pub fn is_fault(self) -> bool {
        matches!(self, Self::FalseAccept | Self::Result | Self::Panic)
    }

    /// Between what Linux and Panal say of the same program.
    pub fn between(linux: &Answer, panal: &Answer) -> Option<Difference> {
        match (linux, panal) {
            (Answer::Rejected(..), Answer::Accepted(_))
            | (Answer::Accepted(_), Answer::Rejected(..))
                if gave_up(linux) || gave_up(panal) =>
            {
                Some(Self::TooComplex)
            }
            (Answer::Rejected(..), Answer::Accepted(_)) => Some(Self::FalseAccept),
            (Answer::Accepted(_), Answer::Rejected(..)) => Some(Self::FalseReject),
            (Answer::Accepted(a), Answer::Accepted(b)) if a != b => Some(Self::Result),
            (Answer::Accepted(_) | Answer::Rejected(..), Answer::Failed(_)) => Some(Self::NotTried),
            _ => None,
        }
    }
}

/// Whether a verifier has walked as many instructions, or keeps as many branches, as it will.
pub fn gave_up(answer: &Answer) -> bool {
    match answer {
        Answer::Rejected(errno, words) => {
            *errno == Errno::E2BIG || words.ends_with("jumps is too complex.")
        }
        _ => false,
    }
}
