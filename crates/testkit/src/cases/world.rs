//! What a case has made so far, and what its commands do.

use std::collections::HashMap;

use panal_uapi::{
    inspect::Inspect,
    kernel::{Failure, Fd, MapSpec, TestRunResult},
};

use super::{bytes, maps, parse::Line, programs};
use crate::{Subject, setup::Maps};

/// A kernel and what a case made in it.
pub struct World<'k> {
    pub subject: &'k Subject,
    pub kernel: &'k dyn Inspect,
    /// By the names that texts use.
    pub maps: Maps,
    pub specs: HashMap<String, MapSpec>,
    pub programs: HashMap<String, Fd>,
    pub settings: programs::Settings,
    /// The program that was loaded last.
    pub last: Option<Fd>,
    /// Whether it is told why programs are refused.
    pub told: bool,
    /// Of the last run.
    pub result: Option<Result<TestRunResult, Failure>>,
}

impl<'k> World<'k> {
    pub fn new(subject: &'k Subject) -> Self {
        World {
            subject,
            kernel: &*subject.kernel,
            maps: Maps::new(),
            specs: HashMap::new(),
            programs: HashMap::new(),
            settings: programs::Settings::default(),
            last: None,
            told: false,
            result: None,
        }
    }

    /// Does what a line says: its answer.
    ///
    /// # Errors
    /// When the line is no command, or what must succeed did not.
    pub fn apply(&mut self, line: &Line) -> Result<String, String> {
        let words: Vec<&str> = line.words.iter().map(String::as_str).collect();
        let must = line.answer.is_none();
        let answer = match programs::apply(self, &words, &line.block)? {
            Some(answer) => answer,
            None => maps::apply(self, &words)?,
        };
        match answer {
            Ok(answer) => Ok(answer),
            Err(failure) if must => Err(failure.to_string()),
            Err(failure) => {
                if self.told && words[0] == "prog" {
                    eprintln!("line {}: {failure}", line.number);
                }
                Ok(errno(&failure))
            }
        }
    }

    pub fn map(&self, name: &str) -> Result<(&Fd, &MapSpec), String> {
        let fd = self.maps.get(name);
        let spec = self.specs.get(name);
        fd.zip(spec).ok_or_else(|| format!("no map {name:?}"))
    }

    /// Bytes, where `@name` is a descriptor.
    pub fn bytes(&self, word: &str) -> Result<Vec<u8>, String> {
        let Some(name) = word.strip_prefix('@') else {
            return bytes::parse(&[word]);
        };
        let fd = self.maps.get(name).or_else(|| self.programs.get(name));
        let fd = fd.ok_or_else(|| format!("no map or program {name:?}"))?;
        Ok(fd.number().to_le_bytes().to_vec())
    }
}

/// The errno's name.
pub fn errno(failure: &Failure) -> String {
    let name = failure.errno.name().map(str::to_owned);
    name.unwrap_or_else(|| format!("errno {}", failure.errno.0))
}
