//! Answers that a kernel gave once, for machines where it does not run.
//!
//! `parity/recorded/` keeps what is needed of them, as text: a line `FILE:` for each file, then a line
//! for each program: name, verdict, errno, and the value that a run returned, if there was one.

use std::{collections::BTreeMap, path::PathBuf};

use panal_uapi::Errno;

/// What the kernel said of one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// `None` where it was accepted.
    pub errno: Option<Errno>,
    /// What a run returned.
    pub retval: Option<u32>,
}

/// Answers by file (`verifier_and`) and program.
#[derive(Debug, Default)]
pub struct Recorded(BTreeMap<String, BTreeMap<String, Answer>>);

impl Recorded {
    /// Answers that the project keeps: `linux-6.12`, `linux-6.12-unprivileged`.
    pub fn open(name: &str) -> Result<Recorded, String> {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("recorded")
            .join(name)
            .with_added_extension("txt");
        let text =
            std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Recorded::parse(&text).map_err(|e| format!("{}: {e}", path.display()))
    }

    fn parse(text: &str) -> Result<Recorded, String> {
        let mut all = Recorded::default();
        let mut file = "";
        for (number, line) in text.lines().enumerate() {
            let wrong = || format!("line {}: {line:?}", number + 1);
            if line.starts_with('#') || line.is_empty() {
                continue;
            }
            if let Some(name) = line.strip_suffix(':') {
                file = name;
                continue;
            }
            let mut words = line.split(' ');
            let program = words.next().ok_or_else(wrong)?;
            let errno = match words.next() {
                Some("accept") => None,
                Some(number) => Some(Errno(number.parse().map_err(|_| wrong())?)),
                None => return Err(wrong()),
            };
            let retval = words.next().map(str::parse).transpose();
            let retval = retval.map_err(|_| wrong())?;
            let answers = all.0.entry(file.to_owned()).or_default();
            answers.insert(program.to_owned(), Answer { errno, retval });
        }
        Ok(all)
    }

    /// What was said of a program.
    pub fn of(&self, file: &str, program: &str) -> Option<Answer> {
        self.0.get(file)?.get(program).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_broken_ones_named() {
        let text = "# Linux\nverifier_and:\ninvalid 13\nknown accept 7\n";
        let recorded = Recorded::parse(text).unwrap();
        let known = recorded.of("verifier_and", "known").unwrap();
        assert_eq!((known.errno, known.retval), (None, Some(7)));
        let invalid = recorded.of("verifier_and", "invalid").unwrap();
        assert_eq!(invalid.errno, Some(Errno::EACCES));
        assert!(recorded.of("verifier_or", "known").is_none());
        assert!(Recorded::parse("f:\nprogram perhaps\n").is_err());
    }

    #[test]
    fn the_kept_answers_are_those_of_the_kernel() {
        // As counted by who asked the kernel: accepted, rejected.
        let counts = [
            ("linux-6.12", (836, 531)),
            ("linux-6.12-unprivileged", (216, 264)),
        ];
        for (name, expected) in counts {
            let recorded = Recorded::open(name).unwrap();
            let answers: Vec<&Answer> = recorded.0.values().flat_map(|a| a.values()).collect();
            let accepted = answers.iter().filter(|a| a.errno.is_none()).count();
            assert_eq!((accepted, answers.len() - accepted), expected, "{name}");
        }
    }
}
