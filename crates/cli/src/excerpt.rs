//! Pieces of source code: the lines that places name, and which part of a line is meant.
//!
//! The lines come from the object's debug info. Where the source file can be read and has the same
//! lines, it fills the gaps between them.

use std::{collections::BTreeMap, fs, ops::Range, path::Path};

use panal_uapi::report::Place;

use crate::text::clean;

/// Bytes of a line that are shown.
const LINE: usize = 400;
/// Bytes of a path that are shown.
const PATH: usize = 400;
/// Lines that one excerpt spans at most.
const SPAN: usize = 2000;
/// Bytes of a source file that is read.
const FILE: u64 = 4 << 20;

/// A place as a line of a file: of the source, or where the object has none, the instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub file: String,
    /// From 1.
    pub line: usize,
    pub text: String,
    /// The part that is meant, in bytes of the text.
    pub part: Range<usize>,
}

impl Line {
    /// Of a place in a program of an object.
    pub fn new(object: &str, program: &str, place: &Place) -> Line {
        match &place.source {
            Some(source) => {
                let text = cut(&clean(&source.text), LINE);
                let part = expression(&text, source.column as usize);
                Line {
                    file: cut(&clean(&source.file), PATH),
                    line: source.line as usize,
                    text,
                    part,
                }
            }
            None => {
                let text = cut(&clean(&place.instruction), LINE);
                Line {
                    file: format!("{}: {}", clean(object), clean(program)),
                    line: place.slot as usize,
                    part: 0..text.len(),
                    text,
                }
            }
        }
    }
}

/// The start of a text, without what follows so many bytes and without spaces at the end.
fn cut(text: &str, most: usize) -> String {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].trim_end().to_owned()
}

/// Lines of one file, near enough to be shown as one piece.
pub struct Excerpt {
    pub file: String,
    /// Number of the first line.
    pub first: usize,
    /// All lines from the first on; those that are not known are empty.
    pub text: String,
    starts: BTreeMap<usize, usize>,
}

impl Excerpt {
    /// Puts lines of one file together; those that are too far from the first are left out.
    pub fn new(lines: &[&Line]) -> Option<Excerpt> {
        let anchor = *lines.first()?;
        let mut known: BTreeMap<usize, &str> = BTreeMap::new();
        known.insert(anchor.line, &anchor.text);
        for line in lines {
            let numbers = known.keys().chain([&line.line]);
            let (least, most) = numbers.fold((usize::MAX, 0), |(a, b), &n| (a.min(n), b.max(n)));
            if line.file == anchor.file && most - least <= SPAN {
                known.entry(line.line).or_insert(&line.text);
            }
        }
        let (first, last) = (*known.keys().next()?, *known.keys().next_back()?);
        let source = read(&anchor.file, &known);
        let mut text = String::new();
        let mut starts = BTreeMap::new();
        for number in first..=last {
            if let Some(line) = known.get(&number) {
                starts.insert(number, text.len());
                text.push_str(line);
            } else if let Some(line) = source.as_ref().and_then(|s| s.lines().nth(number - 1)) {
                text.push_str(&cut(&clean(line), LINE));
            }
            text.push('\n');
        }
        Some(Excerpt {
            file: anchor.file.clone(),
            first,
            text,
            starts,
        })
    }

    /// Where the part of a line lies in the text, if the line is there.
    pub fn part(&self, line: &Line) -> Option<Range<usize>> {
        if line.file != self.file {
            return None;
        }
        let start = *self.starts.get(&line.line)?;
        let end = self.text[start..]
            .find('\n')
            .map_or(self.text.len(), |n| start + n);
        let clip = |at: usize| (start + at).min(end);
        let (from, to) = (clip(line.part.start), clip(line.part.end));
        // Two texts of one line may differ.
        let fits = self.text.is_char_boundary(from) && self.text.is_char_boundary(to);
        Some(if fits { from..to } else { start..end })
    }
}

/// The source file, where it can be read and has the lines that are known.
fn read(file: &str, known: &BTreeMap<usize, &str>) -> Option<String> {
    let path = Path::new(file);
    let about = fs::metadata(path).ok()?;
    if !about.is_file() || about.len() > FILE {
        return None;
    }
    let text = fs::read_to_string(path).ok()?;
    let lines: Vec<&str> = text.lines().collect();
    let same = known.iter().all(|(&number, line)| {
        let there = number.checked_sub(1).and_then(|n| lines.get(n));
        there.is_some_and(|there| cut(&clean(there), LINE) == *line)
    });
    same.then_some(text)
}

/// The expression that a column (from 1; 0: none) points to. Compilers point to a name, to an
/// operator, or to the start of a statement.
pub fn expression(text: &str, column: usize) -> Range<usize> {
    let bytes = text.as_bytes();
    let leading = text.len() - text.trim_start().len();
    let whole = leading..text.len().max(leading);
    let Some(at) = column.checked_sub(1) else {
        return whole;
    };
    if at >= bytes.len() || !text.is_char_boundary(at) || bytes[at].is_ascii_whitespace() {
        return whole;
    }
    let range = if is_word(bytes[at]) {
        word(bytes, at)
    } else if matches!(bytes[at], b'*' | b'&' | b'!' | b'-' | b'~' | b'(')
        && !follows_operand(bytes, at)
    {
        at..unary(bytes, at)
    } else if is_assignment(bytes, at) {
        let stop = bytes[at..].iter().position(|&b| b == b';');
        leading..stop.map_or(bytes.len(), |n| at + n)
    } else if b"+-*/%&|^<>=!?[".contains(&bytes[at]) {
        operator(bytes, at)
    } else {
        return at..whole.end;
    };
    let fits = range.start < range.end
        && text.is_char_boundary(range.start)
        && text.is_char_boundary(range.end);
    if fits { range } else { at..whole.end }
}

/// `=`, `+=`, `<<=`: but not a comparison.
fn is_assignment(bytes: &[u8], at: usize) -> bool {
    let operators = bytes[at..]
        .iter()
        .take_while(|b| b"+-*/%&|^<>=!".contains(b));
    let sign: Vec<u8> = operators.copied().take(4).collect();
    sign.ends_with(b"=") && !matches!(&*sign, b"==" | b"!=" | b"<=" | b">=")
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn skip_spaces(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

/// A name with what hangs on it; a `return` with its value.
fn word(bytes: &[u8], at: usize) -> Range<usize> {
    let mut end = at;
    while end < bytes.len() && is_word(bytes[end]) {
        end += 1;
    }
    if &bytes[at..end] == b"return" {
        let stop = bytes[end..].iter().position(|&b| b == b';');
        return at..stop.map_or(bytes.len(), |n| end + n);
    }
    if matches!(&bytes[at..end], b"if" | b"while" | b"for" | b"switch") {
        let open = skip_spaces(bytes, end);
        return at..group(bytes, open).unwrap_or(end);
    }
    left(bytes, at)..postfix(bytes, end)
}

/// The end of what follows an operand: members, indices, arguments.
fn postfix(bytes: &[u8], mut end: usize) -> usize {
    loop {
        let rest = &bytes[end..];
        if rest.starts_with(b"->") || rest.starts_with(b".") {
            let mut next = end + if rest[0] == b'.' { 1 } else { 2 };
            let name = next;
            while next < bytes.len() && is_word(bytes[next]) {
                next += 1;
            }
            if next == name {
                return end;
            }
            end = next;
        } else if matches!(rest.first(), Some(b'[' | b'(')) {
            match group(bytes, end) {
                Some(next) => end = next,
                None => return end,
            }
        } else {
            return end;
        }
    }
}

/// The end of a group that begins with a bracket at `at`.
fn group(bytes: &[u8], at: usize) -> Option<usize> {
    if !matches!(bytes.get(at), Some(b'(' | b'[')) {
        return None;
    }
    let mut depth = 0usize;
    for (index, byte) in bytes.iter().enumerate().skip(at) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(index + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Where an operand begins whose last name begins at `at`: left over `a->`, `b[i].`.
fn left(bytes: &[u8], mut at: usize) -> usize {
    loop {
        let before = &bytes[..at];
        let end = match before {
            [.., b'-', b'>'] => at - 2,
            [.., b'.'] => at - 1,
            _ => return at,
        };
        let start = operand_before(bytes, end);
        if start == end {
            return at;
        }
        at = start;
    }
}

/// Where the operand begins that ends before `end`.
fn operand_before(bytes: &[u8], end: usize) -> usize {
    let mut at = end;
    loop {
        match at.checked_sub(1).map(|i| bytes[i]) {
            Some(b']' | b')') => {
                let mut depth = 0usize;
                let mut index = at;
                while index > 0 {
                    index -= 1;
                    match bytes[index] {
                        b']' | b')' => depth += 1,
                        b'[' | b'(' => {
                            depth -= 1;
                            if depth == 0 {
                                break;
                            }
                        }
                        _ => {}
                    }
                }
                if depth != 0 {
                    return at;
                }
                at = index;
            }
            Some(byte) if is_word(byte) => {
                while at > 0 && is_word(bytes[at - 1]) {
                    at -= 1;
                }
                return left(bytes, at);
            }
            _ => return at,
        }
    }
}

fn follows_operand(bytes: &[u8], at: usize) -> bool {
    let before = bytes[..at].iter().rposition(|b| !b.is_ascii_whitespace());
    let Some(last) = before else {
        return false;
    };
    let byte = bytes[last];
    let keyword = bytes[..=last].ends_with(b"return") || bytes[..=last].ends_with(b"case");
    (is_word(byte) || matches!(byte, b')' | b']')) && !keyword
}

/// The end of a unary expression that begins at `at`.
fn unary(bytes: &[u8], at: usize) -> usize {
    let mut end = at;
    while let Some(byte) = bytes.get(end) {
        match byte {
            b'*' | b'&' | b'!' | b'-' | b'~' | b' ' => end += 1,
            b'(' => match group(bytes, end) {
                Some(next) => {
                    end = postfix(bytes, next);
                    // A cast stands before an operand.
                    let operand = bytes
                        .get(end)
                        .is_some_and(|&b| is_word(b) || matches!(b, b'(' | b'*' | b'&'));
                    if !operand {
                        return end;
                    }
                }
                None => return bytes.len(),
            },
            byte if is_word(*byte) => {
                while end < bytes.len() && is_word(bytes[end]) {
                    end += 1;
                }
                return postfix(bytes, end);
            }
            _ => return end,
        }
    }
    end
}

/// An operator with both its operands.
fn operator(bytes: &[u8], at: usize) -> Range<usize> {
    let mut before = at;
    while before > 0 && bytes[before - 1].is_ascii_whitespace() {
        before -= 1;
    }
    let start = operand_before(bytes, before);
    if bytes[at] == b'[' {
        return start..group(bytes, at).unwrap_or(at + 1);
    }
    if is_comparison(bytes, at) {
        return comparison(bytes, at);
    }
    let mut after = at;
    while after < bytes.len() && b"+-*/%&|^<>=!?".contains(&bytes[after]) {
        after += 1;
    }
    start..unary(bytes, skip_spaces(bytes, after))
}

fn is_comparison(bytes: &[u8], at: usize) -> bool {
    let end = bytes[at..]
        .iter()
        .position(|b| !b"+-*/%&|^<>=!".contains(b))
        .map_or(bytes.len(), |n| at + n);
    let start = bytes[..at]
        .iter()
        .rposition(|b| !b"+-*/%&|^<>=!".contains(b))
        .map_or(0, |n| n + 1);
    matches!(
        &bytes[start..end],
        b"<" | b">" | b"<=" | b">=" | b"==" | b"!="
    )
}

/// A comparison with all that is compared: sums bind closer than it does.
fn comparison(bytes: &[u8], at: usize) -> Range<usize> {
    let ends = |index: usize| {
        let two = bytes.get(index..index + 2).unwrap_or_default();
        matches!(bytes[index], b';' | b',' | b'?' | b':' | b'{' | b'}')
            || two == b"&&"
            || two == b"||"
    };
    let (mut start, mut depth) = (at, 0usize);
    while start > 0 {
        let byte = bytes[start - 1];
        match byte {
            b')' | b']' => depth += 1,
            b'(' | b'[' if depth == 0 => break,
            b'(' | b'[' => depth -= 1,
            _ if depth == 0 && (ends(start - 1) || (byte == b'=' && start < at)) => break,
            b'&' | b'|' if depth == 0 && start > 1 && bytes[start - 2] == byte => break,
            _ => {}
        }
        start -= 1;
    }
    let (mut end, mut depth) = (at, 0usize);
    while end < bytes.len() {
        match bytes[end] {
            b'(' | b'[' => depth += 1,
            b')' | b']' if depth == 0 => break,
            b')' | b']' => depth -= 1,
            _ if depth == 0 && ends(end) => break,
            _ => {}
        }
        end += 1;
    }
    start = skip_spaces(bytes, start).min(at);
    if bytes[start..at].starts_with(b"return ") {
        start = skip_spaces(bytes, start + b"return ".len()).min(at);
    }
    while end > at && bytes[end - 1].is_ascii_whitespace() {
        end -= 1;
    }
    start..end
}

#[cfg(test)]
mod tests {
    use super::expression;

    #[test]
    fn the_expression_at_a_column_is_found() {
        // `^` stands under the column that the compiler gives.
        let cases = [
            ("  return pair->right;", 16, "pair->right"),
            ("  return pair->right;", 3, "return pair->right"),
            ("  x = table[idx & 7].count;", 22, "table[idx & 7].count"),
            ("  x = table[idx];", 7, "table[idx]"),
            (
                "  v = bpf_map_lookup_elem(&m, &k);",
                7,
                "bpf_map_lookup_elem(&m, &k)",
            ),
            ("  *p = 5;", 3, "*p"),
            ("  if (ptr + 4 > end)", 15, "ptr + 4 > end"),
            ("\tif (x + sizeof(*x) > y || z)", 21, "x + sizeof(*x) > y"),
            ("\treturn a + 1 < f(b, c) + 2;", 15, "a + 1 < f(b, c) + 2"),
            ("  if (len > 16)", 7, "len"),
            ("  if (a) {", 3, "if (a)"),
            ("  x += *(int *)(p + 1);", 8, "*(int *)(p + 1)"),
            ("  a->b->c = 1;", 9, "a->b->c"),
            ("\t*(u32 *)at = x;", 13, "*(u32 *)at = x"),
            ("\tif (a->b <= x)", 11, "a->b <= x"),
            ("\tfoo", 0, "foo"),
            ("ä = ö[1];", 6, "ö[1]"),
            ("x", 77, "x"),
            ("", 1, ""),
            ("((((", 1, "(((("),
            (")]", 2, "]"),
        ];
        for (text, column, wanted) in cases {
            assert_eq!(
                &text[expression(text, column)],
                wanted,
                "{text:?} at {column}"
            );
        }
    }

    #[test]
    fn any_text_and_column_give_a_part_of_the_text() {
        let letters: Vec<char> = "ab_ö()[]->.*&!=<+-; \t0".chars().collect();
        let mut seed = 7u64;
        let mut next = move || {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (seed >> 33) as usize
        };
        for _ in 0..20_000 {
            let text: String = (0..next() % 24)
                .map(|_| letters[next() % letters.len()])
                .collect();
            let part = expression(&text, next() % 40);
            assert!(text.get(part.clone()).is_some(), "{text:?} {part:?}");
        }
    }
}
