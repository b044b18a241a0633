//! Arguments as bpftool has them: words, some of which say what the next ones are.

use panal_uapi::inspect::ObjectKind;

use crate::error::Problem;

/// The words that are left.
pub struct Words<'a> {
    rest: &'a [String],
}

/// What chooses objects: `id N`, `name X`, `tag T`, `pinned PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    Id(u32),
    Name(String),
    Tag([u8; 8]),
    Pinned(String),
}

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Selector::Id(id) => write!(f, "id {id}"),
            Selector::Name(name) => write!(f, "name {name}"),
            Selector::Tag(tag) => write!(f, "tag {}", crate::output::hex(*tag)),
            Selector::Pinned(path) => write!(f, "pinned {path}"),
        }
    }
}

pub fn asked(text: impl Into<String>) -> Problem {
    Problem::Asked(text.into())
}

impl<'a> Words<'a> {
    pub fn new(words: &'a [String]) -> Self {
        Words { rest: words }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn peek(&self) -> Option<&'a str> {
        self.rest.first().map(String::as_str)
    }

    pub fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// The next word, which must be there.
    pub fn expect(&mut self, what: &str) -> Result<&'a str, Problem> {
        self.next().ok_or_else(|| asked(format!("expected {what}")))
    }

    /// Takes a keyword, which may be cut short as bpftool allows.
    pub fn take(&mut self, keyword: &str) -> bool {
        let found = self
            .peek()
            .is_some_and(|word| !word.is_empty() && keyword.starts_with(word));
        if found {
            self.next();
        }
        found
    }

    /// A number after a keyword.
    pub fn number(&mut self, what: &str) -> Result<u32, Problem> {
        let word = self.expect(what)?;
        parse_number(word)
            .and_then(|n| u32::try_from(n).ok())
            .ok_or_else(|| asked(format!("{what}: `{word}` is no number")))
    }

    /// Nothing may be left.
    pub fn end(&self) -> Result<(), Problem> {
        match self.peek() {
            None => Ok(()),
            Some(word) => Err(asked(format!("`{word}` is not expected here"))),
        }
    }

    /// What chooses an object of this kind.
    pub fn selector(&mut self, kind: ObjectKind) -> Result<Selector, Problem> {
        let known = match kind {
            ObjectKind::Program => "id N, name NAME, tag TAG or pinned PATH",
            ObjectKind::Map => "id N, name NAME or pinned PATH",
            ObjectKind::Link | ObjectKind::Btf => "id N or pinned PATH",
        };
        let named = matches!(kind, ObjectKind::Program | ObjectKind::Map);
        let Some(word) = self.peek() else {
            return Err(asked(format!("which {}? expected {known}", kind.name())));
        };
        if self.take("id") {
            Ok(Selector::Id(self.number("an id")?))
        } else if named && self.take("name") {
            let name = self.expect("a name")?;
            Ok(Selector::Name(name.to_owned()))
        } else if kind == ObjectKind::Program && self.take("tag") {
            tag(self.expect("a tag")?).map(Selector::Tag)
        } else if self.take("pinned") {
            Ok(Selector::Pinned(super::absolute(self.expect("a path")?)))
        } else {
            Err(asked(format!("expected {known}, got `{word}`")))
        }
    }
}

fn tag(text: &str) -> Result<[u8; 8], Problem> {
    let wrong = || asked(format!("tag: `{text}` is not 16 hexadecimal digits"));
    let valid = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let number = u64::from_str_radix(text, 16).ok().filter(|_| valid);
    number.map(u64::to_be_bytes).ok_or_else(wrong)
}

/// `12`, `0x0c` or `014`, as C reads them.
pub fn parse_number(word: &str) -> Option<u64> {
    if let Some(hex) = word.strip_prefix("0x").or(word.strip_prefix("0X")) {
        return u64::from_str_radix(hex, 16).ok();
    }
    let octal = word.len() > 1 && word.starts_with('0');
    u64::from_str_radix(word, if octal { 8 } else { 10 }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_read_as_by_bpftool() {
        let read = |text: &str| {
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            Words::new(&words).selector(ObjectKind::Program).ok()
        };
        assert_eq!(read("id 0x10"), Some(Selector::Id(16)));
        assert_eq!(read("pin /a"), Some(Selector::Pinned("/a".into())));
        assert_eq!(
            read("tag 00000000000000ff"),
            Some(Selector::Tag([0, 0, 0, 0, 0, 0, 0, 255]))
        );
        for wrong in [
            "id",
            "id x",
            "tag ff",
            "tag +0000000000000ff",
            "name",
            "bogus 1",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
