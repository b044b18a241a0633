//! Reads one line from left to right: names, numbers, signs.

use alloc::{borrow::ToOwned, string::String};

use super::error::{AssembleErrorKind, Here};

pub type Result<T> = core::result::Result<T, Here>;

/// A line, and how far it has been read.
#[derive(Clone)]
pub struct Scanner<'t> {
    text: &'t str,
    at: usize,
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$')
}

impl<'t> Scanner<'t> {
    /// A line without its comment.
    pub fn new(line: &'t str) -> Self {
        let bytes = line.as_bytes();
        let mut end = line.len();
        for (at, c) in line.char_indices() {
            let before = at.checked_sub(1).and_then(|b| bytes.get(b));
            let comment = match c {
                ';' => true,
                '#' => before.is_none_or(|b| b.is_ascii_whitespace()),
                '/' => bytes.get(at + 1) == Some(&b'/'),
                _ => false,
            };
            if comment {
                end = at;
                break;
            }
        }
        Scanner {
            text: line.get(..end).unwrap_or(line),
            at: 0,
        }
    }

    /// What has not been read yet, without leading space.
    pub fn rest(&mut self) -> &'t str {
        let rest = self.text.get(self.at..).unwrap_or("");
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        trimmed.trim_end()
    }

    /// Bytes read so far, for errors.
    pub fn column(&mut self) -> usize {
        self.rest();
        self.at
    }

    pub fn at_end(&mut self) -> bool {
        self.rest().is_empty()
    }

    /// Reads `token` if it comes next, whatever follows.
    pub fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Reads `word` if exactly that word comes next.
    pub fn eat_word(&mut self, word: &str) -> bool {
        self.peek_word() == word && self.eat(word)
    }

    pub fn expect(&mut self, token: &'static str) -> Result<()> {
        if self.eat(token) {
            Ok(())
        } else {
            self.fail(token)
        }
    }

    /// The first of these that comes next.
    pub fn eat_any(&mut self, tokens: &[&'static str]) -> Option<&'static str> {
        tokens.iter().copied().find(|token| self.eat(token))
    }

    /// The word that comes next; empty if none does.
    pub fn peek_word(&mut self) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        rest.get(..end).unwrap_or("")
    }

    /// Reads a word; empty if none comes next.
    pub fn word(&mut self) -> &'t str {
        let word = self.peek_word();
        self.at += word.len();
        word
    }

    /// Reads up to the next space.
    pub fn chunk(&mut self) -> &'t str {
        let rest = self.rest();
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or("")
    }

    /// Reads up to `end`, which is read too.
    pub fn until(&mut self, end: char) -> Option<&'t str> {
        let rest = self.rest();
        let (inside, _) = rest.split_once(end)?;
        self.at += inside.len() + end.len_utf8();
        Some(inside.trim())
    }

    /// Reads a number, decimal or hexadecimal, with an optional sign.
    pub fn number(&mut self) -> Result<i128> {
        let start = self.clone();
        let negative = self.eat("-");
        if !negative {
            self.eat("+");
        }
        let word = self.word();
        match parse_digits(word) {
            Some(value) => Ok(if negative { -value } else { value }),
            None => {
                *self = start;
                self.fail("a number")
            }
        }
    }

    /// Reads a number that must lie in a range.
    pub fn number_in(&mut self, field: &'static str, min: i64, max: i64) -> Result<i64> {
        let column = self.column();
        let value = self.number()?;
        match i64::try_from(value) {
            Ok(value) if (min..=max).contains(&value) => Ok(value),
            _ => Err(AssembleErrorKind::OutOfRange {
                value,
                field,
                min,
                max,
            }
            .at(column)),
        }
    }

    /// The error that something else should stand here.
    pub fn fail<T>(&mut self, expected: &'static str) -> Result<T> {
        let rest = self.rest();
        let word = match self.peek_word() {
            "" => rest.split_whitespace().next().unwrap_or(""),
            word => word,
        };
        let found = if word.is_empty() {
            String::from("the end of the line")
        } else {
            ["`", word, "`"].concat().to_owned()
        };
        Err(AssembleErrorKind::Expected { expected, found }.at(self.at))
    }
}

fn parse_digits(word: &str) -> Option<i128> {
    let (digits, radix) = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(hex) => (hex, 16),
        None => (word, 10),
    };
    let value = u64::from_str_radix(digits, radix).ok()?;
    digits
        .starts_with(|c: char| c.is_ascii_hexdigit())
        .then_some(i128::from(value))
}
