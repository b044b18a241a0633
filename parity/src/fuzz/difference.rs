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
    /// Linux rejects an instruction to which, as Panal proves, no run comes.
    MorePrecise,
    /// Linux's kernel killed the thread that asked.
    LinuxCrash,
    /// Panal could not try what Linux could.
    NotTried,
}

impl Difference {
    /// Every kind, worst first.
    pub const ALL: [Difference; 8] = [
        Self::FalseAccept,
        Self::Result,
        Self::Panic,
        Self::FalseReject,
        Self::TooComplex,
        Self::MorePrecise,
        Self::LinuxCrash,
        Self::NotTried,
    ];

    /// What it means, for the page.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::FalseAccept => {
                "Panal accepts what Linux rejects, and the rule of MorePrecise does not explain it"
            }
            Self::Result => "both accept, and return value, packet, context or maps differ",
            Self::Panic => "Panal panicked",
            Self::FalseReject => "Panal rejects what Linux accepts",
            Self::TooComplex => {
                "one of them stops after a million instructions or 8192 waiting branches, the other \
                 does not: walks are cut short at other places"
            }
            Self::MorePrecise => {
                "Linux rejects an instruction to which, as Panal proves, no run comes: Panal still \
                 accepts the program with an instruction in that place that is allowed nowhere"
            }
            Self::LinuxCrash => "the kernel killed the thread that was verifying for Linux",
            Self::NotTried => "Panal could not try what Linux could",
        }
    }

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

/// The slot of the instruction at which a verifier's log of every instruction ends.
pub fn rejected_slot(log: &str) -> Option<usize> {
    log.lines().rev().find_map(|line| {
        let (number, rest) = line.split_once(": (")?;
        let opcode = rest.get(..3)?;
        opcode.ends_with(')').then(|| number.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::Outcome;

    fn rejected(errno: Errno, words: &str) -> Answer {
        Answer::Rejected(errno, words.to_owned())
    }

    fn returned(retval: u32) -> Answer {
        Answer::Accepted(vec![Outcome {
            retval,
            data: Vec::new(),
            context: Vec::new(),
            maps: Vec::new(),
        }])
    }

    #[test]
    fn kinds_of_differences() {
        let wrong = rejected(Errno::EACCES, "R0 !read_ok");
        let large = rejected(
            Errno::E2BIG,
            "BPF program is too large. Processed 1000001 insn",
        );
        let jumps = rejected(Errno::EFAULT, "The sequence of 8193 jumps is too complex.");
        let failed = Answer::Failed("out of memory".to_owned());
        for (linux, panal, kind) in [
            (&wrong, &returned(1), Some(Difference::FalseAccept)),
            (&returned(1), &wrong, Some(Difference::FalseReject)),
            (&returned(1), &returned(2), Some(Difference::Result)),
            (&returned(1), &returned(1), None),
            (&large, &returned(1), Some(Difference::TooComplex)),
            (&returned(1), &large, Some(Difference::TooComplex)),
            (&jumps, &returned(1), Some(Difference::TooComplex)),
            (&large, &wrong, None),
            (&returned(1), &failed, Some(Difference::NotTried)),
        ] {
            assert_eq!(
                Difference::between(linux, panal),
                kind,
                "{linux:?}, {panal:?}"
            );
        }
    }

    #[test]
    fn wrong_results_and_false_accepts_are_faults() {
        let faults = Difference::ALL.iter().filter(|kind| kind.is_fault());
        assert!(faults.eq(&[
            Difference::FalseAccept,
            Difference::Result,
            Difference::Panic
        ]));
    }

    #[test]
    fn the_instruction_at_which_a_log_ends() {
        let log = "9: (b7) r9 = 0   ; R9=0\n10: (61) r1 = *(u32 *)(r7 +2)\nR7 !read_ok\n\
                   processed 11 insns (limit 1000000)\n";
        assert_eq!(rejected_slot(log), Some(10));
        assert_eq!(rejected_slot("from 9 to 10: R1=0\n"), None);
    }
}
