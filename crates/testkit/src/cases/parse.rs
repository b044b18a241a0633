//! From text to cases.

use std::{collections::HashMap, fmt};

/// A test.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// Why Linux is not asked.
    pub only_panal: Option<String>,
    /// Its commands.
    pub lines: Vec<Line>,
}

impl Case {
    /// Whether one of these commands is among its lines.
    pub fn uses(&self, commands: &[&str]) -> bool {
        let mut lines = self.lines.iter();
        lines.any(|line| commands.contains(&line.words[0].as_str()))
    }
}

/// A command.
#[derive(Clone, Debug)]
pub struct Line {
    /// In the file, from 1.
    pub number: usize,
    /// The command and its arguments.
    pub words: Vec<String>,
    /// The program's text that follows it.
    pub block: String,
    /// What it answers.
    pub answer: Option<Answer>,
}

/// What a command answers.
#[derive(Clone, Debug)]
pub struct Answer {
    linux: Wanted,
    /// Panal's, where it is another, and why.
    panal: Option<(Wanted, String)>,
    recorded: bool,
}

/// An answer and how it is compared.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// Behind `->`: these words.
    Text(String),
    /// Written by hand: the low 32 bits of this number.
    Number(u32),
    /// Written by hand: the same bytes, however they are spelled.
    Bytes(Vec<u8>),
}

impl Wanted {
    /// Whether an answer is this.
    pub fn is_same(&self, got: &str) -> bool {
        match self {
            Wanted::Text(text) => text == got,
            Wanted::Number(wanted) => super::bytes::number(got).is_ok_and(|n| n as u32 == *wanted),
            Wanted::Bytes(wanted) => super::parse_bytes(&[got]).is_ok_and(|got| got == *wanted),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::Text(text) => f.write_str(text),
            Wanted::Number(n) => write!(f, "{} ({n:#x})", *n as i32),
            Wanted::Bytes(bytes) => f.write_str(&super::show_bytes(bytes)),
        }
    }
}

impl Answer {
    fn by_hand(linux: Wanted) -> Self {
        Answer {
            linux,
            panal: None,
            recorded: false,
        }
    }

    /// What stands behind `->`.
    fn parse(text: &str) -> Result<Self, String> {
        let (linux, panal) = match text.split_once(" ; panal ") {
            None => (text, None),
            Some((linux, panal)) => {
                let (answer, why) = panal
                    .strip_suffix(')')
                    .and_then(|rest| rest.split_once(" ("))
                    .ok_or("a difference has its reason in parentheses")?;
                let wanted = Wanted::Text(answer.trim().to_owned());
                (linux, Some((wanted, why.to_owned())))
            }
        };
        let linux = Wanted::Text(linux.trim().to_owned());
        Ok(Answer {
            linux,
            panal,
            recorded: true,
        })
    }

    /// That of a kernel.
    pub fn of(&self, linux: bool) -> &Wanted {
        match &self.panal {
            Some((panal, _)) if !linux => panal,
            _ => &self.linux,
        }
    }

    /// Whether Linux writes it.
    pub fn is_recorded(&self) -> bool {
        self.recorded
    }

    /// With another answer of Linux's.
    pub fn with(&self, linux: &str) -> String {
        match &self.panal {
            Some((panal, why)) => format!("{linux} ; panal {panal} ({why})"),
            None => linux.to_owned(),
        }
    }
}

/// Reads a file of cases.
///
/// # Panics
/// When it is none: a test's text is the test's own.
pub fn parse(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut texts: HashMap<&str, String> = HashMap::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((number, text)) = lines.next() {
        if let Some(name) = text.strip_prefix("== ") {
            cases.push(Case {
                name: name.to_owned(),
                only_panal: None,
                lines: Vec::new(),
            });
            continue;
        }
        if text.trim().is_empty() || text.starts_with('#') {
            continue;
        }
        if let Some(name) = text.strip_prefix("text ") {
            texts.insert(name, block(&mut lines));
            continue;
        }
        assert!(!cases.is_empty(), "a case begins with ==");
        if let Some(name) = text.strip_prefix("like ") {
            let lines = like(&cases, name);
            cases.last_mut().expect("there").lines.extend(lines);
            continue;
        }
        let case = cases.last_mut().expect("there");
        if let Some(why) = text.strip_prefix("only panal ") {
            case.only_panal = Some(why.to_owned());
            continue;
        }
        let (command, answer) = match text.split_once(" ->") {
            Some((command, answer)) => {
                let answer = Answer::parse(answer).unwrap_or_else(|e| panic!("line {number}: {e}"));
                (command, Some(answer))
            }
            None => (text, None),
        };
        let mut words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        let answer = answer.or_else(|| by_hand(&mut words));
        let block = match words[0].as_str() {
            "prog" => block(&mut lines),
            "use" => {
                words[0] = "prog".to_owned();
                let text = texts.get(words[1].as_str());
                text.unwrap_or_else(|| panic!("line {number}: no such text"))
                    .clone()
            }
            "try" => {
                let text = texts.get(words[1].as_str());
                let text = text.unwrap_or_else(|| panic!("line {number}: no such text"));
                words[2..].iter().fold(text.clone(), |text, word| {
                    let (name, value) = word.split_once('=').expect("NAME=VALUE");
                    text.replace(&format!("${name}"), value)
                })
            }
            _ => String::new(),
        };
        case.lines.push(Line {
            number,
            words,
            block,
            answer,
        });
    }
    cases
}

/// The lines up to `end`.
fn block<'a>(lines: &mut impl Iterator<Item = (usize, &'a str)>) -> String {
    let lines = lines.map(|(_, line)| line);
    let lines = lines.take_while(|line| line.trim() != "end");
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// What a case takes from an earlier one: its maps, its program and what that is.
fn like(cases: &[Case], name: &str) -> Vec<Line> {
    const TAKEN: [&str; 6] = ["type", "attach", "flags", "license", "map", "prog"];
    let earlier = cases.iter().find(|case| case.name == name);
    let earlier = earlier.unwrap_or_else(|| panic!("no case {name:?} before"));
    let taken = earlier.lines.iter();
    let taken = taken.filter(|line| TAKEN.contains(&line.words[0].as_str()));
    let mut lines: Vec<Line> = taken.cloned().collect();
    for line in lines.iter_mut().filter(|line| line.words == ["prog"]) {
        line.words = vec!["load".to_owned()];
    }
    lines
}

/// Takes the answer from a command that has it among its words.
fn by_hand(words: &mut Vec<String>) -> Option<Answer> {
    let bytes = |words: &[String]| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        super::parse_bytes(&words).unwrap_or_else(|e| panic!("{e}"))
    };
    let wanted = match (words[0].as_str(), words.len()) {
        ("ret", 2) => {
            let word = words.pop()?;
            let n = super::bytes::number(&word).unwrap_or_else(|e| panic!("{e}"));
            Wanted::Number(n as u32)
        }
        ("fails", 2) => {
            let name = words.pop()?;
            words[0] = "ret".to_owned();
            Wanted::Text(name)
        }
        ("out", 2..) => Wanted::Bytes(bytes(&words.split_off(1))),
        ("ctxout", 2..) => {
            let wanted = bytes(&words.split_off(1));
            words.push(wanted.len().to_string());
            Wanted::Bytes(wanted)
        }
        ("peek", 4..) => {
            let wanted = bytes(&words.split_off(3));
            words.push(wanted.len().to_string());
            Wanted::Bytes(wanted)
        }
        ("get", 4..) => {
            let wanted = bytes(&words.split_off(3));
            words[0] = "lookup".to_owned();
            Wanted::Bytes(wanted)
        }
        ("none", 3) => {
            words[0] = "lookup".to_owned();
            Wanted::Text("ENOENT".to_owned())
        }
        _ => return None,
    };
    Some(Answer::by_hand(wanted))
}
