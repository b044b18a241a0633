//! Values as people write them on a command line: `5`, `0xff`, `-1`, `ENUMERATOR`, `"text"`,
//! `10.0.0.0/8`, `[1, 2]`, `{prefixlen: 8, addr: [10, 0, 0, 0]}`. JSON is a subset.

use alloc::{borrow::ToOwned, string::String, vec::Vec};

/// A value written as text, not yet of any type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// An integer.
    Number(i128),
    /// Anything else that stands without quotes: an enumerator, an address, `true`, a float.
    Word(String),
    /// Text in double quotes.
    Text(String),
    /// Elements of an array, or members of a struct in order.
    List(Vec<Literal>),
    /// Members of a struct or union by name.
    Fields(Vec<(String, Literal)>),
}

/// Why text is no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: {fault}")]
pub struct LiteralError {
    /// Counts from 1.
    pub at: usize,
    /// What is wrong.
    pub fault: &'static str,
}

/// How deep lists and fields may nest.
const MAX_DEPTH: u32 = 32;

impl Literal {
    /// Parses all of a text.
    pub fn parse(text: &str) -> Result<Literal, LiteralError> {
        let (literal, rest) = Literal::parse_prefix(text)?;
        match rest {
            "" => Ok(literal),
            rest => Err(LiteralError {
                at: text.chars().count() - rest.chars().count() + 1,
                fault: "something follows the value",
            }),
        }
    }

    /// Parses a value at the beginning of a text; returns what follows. A word ends at white
    /// space and at any of `,:=[]{}"`: `KEY:VALUE` can be parsed one after the other.
    pub fn parse_prefix(text: &str) -> Result<(Literal, &str), LiteralError> {
        let mut parser = Parser { text, rest: text };
        let literal = parser.literal(0)?;
        parser.space();
        Ok((literal, parser.rest))
    }
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn fault(&self, fault: &'static str) -> LiteralError {
        let at = self.text.chars().count() - self.rest.chars().count() + 1;
        LiteralError { at, fault }
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Takes a character if it is next.
    fn take(&mut self, c: char) -> bool {
        self.space();
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn literal(&mut self, depth: u32) -> Result<Literal, LiteralError> {
        if depth == MAX_DEPTH {
            return Err(self.fault("nested too deeply"));
        }
        self.space();
        match self.rest.chars().next() {
            Some('[') => self.list(depth),
            Some('{') => self.fields(depth),
            Some('"') => Ok(Literal::Text(self.quoted()?)),
            _ => {
                let word = self.word()?;
                Ok(number(word).map_or_else(|| Literal::Word(word.to_owned()), Literal::Number))
            }
        }
    }

    fn list(&mut self, depth: u32) -> Result<Literal, LiteralError> {
        self.take('[');
        let mut items = Vec::new();
        while !self.take(']') {
            if !items.is_empty() && !self.take(',') {
                return Err(self.fault("`,` or `]` expected"));
            }
            items.push(self.literal(depth + 1)?);
        }
        Ok(Literal::List(items))
    }

    fn fields(&mut self, depth: u32) -> Result<Literal, LiteralError> {
        self.take('{');
        let mut fields = Vec::new();
        while !self.take('}') {
            if !fields.is_empty() && !self.take(',') {
                return Err(self.fault("`,` or `}` expected"));
            }
            self.space();
            let name = match self.rest.starts_with('"') {
                true => self.quoted()?,
                // As in a C initialiser, the name may begin with a dot.
                false => self.word()?.trim_start_matches('.').to_owned(),
            };
            if !self.take(':') && !self.take('=') {
                return Err(self.fault("`:` expected after a member's name"));
            }
            fields.push((name, self.literal(depth + 1)?));
        }
        Ok(Literal::Fields(fields))
    }

    fn word(&mut self) -> Result<&'a str, LiteralError> {
        let ends = |c: char| c.is_whitespace() || ",:=[]{}\"".contains(c);
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if word.is_empty() {
            return Err(self.fault("a value expected"));
        }
        self.rest = rest;
        Ok(word)
    }

    fn quoted(&mut self) -> Result<String, LiteralError> {
        let mut text = String::new();
        let mut chars = self.rest.chars();
        chars.next();
        loop {
            match chars.next() {
                None => return Err(self.fault("no closing quote")),
                Some('"') => break,
                Some('\\') => match chars.next() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some('0') => text.push('\0'),
                    Some(c @ ('"' | '\\' | '/')) => text.push(c),
                    Some('u') => {
                        let mut code = 0;
                        for _ in 0..4 {
                            let digit = chars.next().and_then(|c| c.to_digit(16));
                            code = code << 4 | digit.ok_or(self.fault("four digits after \\u"))?;
                        }
                        text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    _ => return Err(self.fault("unknown escape")),
                },
                Some(c) => text.push(c),
            }
        }
        self.rest = chars.as_str();
        Ok(text)
    }
}

/// Decimal, `0x` hexadecimal or `0b` binary, with a sign or not.
fn number(word: &str) -> Option<i128> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = match digits.get(..2) {
        Some("0x" | "0X") => i128::from_str_radix(&digits[2..], 16),
        Some("0b" | "0B") => i128::from_str_radix(&digits[2..], 2),
        _ => digits.parse(),
    };
    let value = value.ok().filter(|&v| v >= 0)?;
    Some(if negative { -value } else { value })
}
