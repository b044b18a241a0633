//! Bytes as cases spell them.

/// Reads words of bytes: `0011 60*00`, or with dots `0011.60*00`; `"text"`; `-` are none.
///
/// # Errors
/// The word that is wrong.
pub fn parse(words: &[&str]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    for word in words {
        let mut rest = *word;
        while !rest.is_empty() {
            let part = match rest.strip_prefix('"') {
                Some(text) => text.find('"').map_or(rest.len(), |at| at + 2),
                None => rest.find('.').unwrap_or(rest.len()),
            };
            let (part, after) = rest.split_at(part);
            push(part, &mut out).ok_or_else(|| format!("{part:?} are no bytes"))?;
            rest = after.strip_prefix('.').unwrap_or(after);
        }
    }
    Ok(out)
}

fn push(part: &str, out: &mut Vec<u8>) -> Option<()> {
    if let Some(text) = part.strip_prefix('"') {
        let text = text.strip_suffix('"')?;
        let text = text.replace("\\s", " ").replace("\\0", "\0");
        let text = text.replace("\\t", "\t").replace("\\n", "\n");
        out.extend_from_slice(text.as_bytes());
        return Some(());
    }
    if part == "-" {
        return Some(());
    }
    let (count, digits) = match part.split_once('*') {
        Some((count, digits)) => (count.parse().ok()?, digits),
        None => (1, part),
    };
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return None;
    }
    let starts = (0..digits.len()).step_by(2);
    let bytes = starts.map(|i| u8::from_str_radix(&digits[i..i + 2], 16).ok());
    let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
    for _ in 0..count {
        out.extend_from_slice(&bytes);
    }
    Some(())
}

/// Writes bytes as one word; nine of the same and more are counted.
pub fn show(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "-".to_owned();
    }
    let mut parts: Vec<String> = Vec::new();
    let mut plain = String::new();
    for run in bytes.chunk_by(|a, b| a == b) {
        if run.len() <= 8 {
            plain.extend(run.iter().map(|byte| format!("{byte:02x}")));
            continue;
        }
        if !plain.is_empty() {
            parts.push(std::mem::take(&mut plain));
        }
        parts.push(format!("{}*{:02x}", run.len(), run[0]));
    }
    if !plain.is_empty() {
        parts.push(plain);
    }
    parts.join(".")
}

/// A number, decimal or with `0x`.
///
/// # Errors
/// When it is none.
pub fn number(word: &str) -> Result<i64, String> {
    let parsed = match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).map(|n| n as i64),
        None => word.parse(),
    };
    parsed.map_err(|_| format!("{word:?} is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_reads_as_the_same() {
        for bytes in [
            &[][..],
            &[1, 2],
            &[0; 9],
            &[7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9],
        ] {
            assert_eq!(parse(&[&show(bytes)]).as_deref(), Ok(bytes));
        }
        assert_eq!(parse(&["0102", "2*03.04"]), Ok(vec![1, 2, 3, 3, 4]));
        assert_eq!(parse(&["\"a.b\\s\".00"]), Ok(b"a.b \0".to_vec()));
        assert!(parse(&["012"]).is_err());
        assert!(parse(&["\"a"]).is_err());
        assert_eq!(show(&[&[1][..], &[0; 12]].concat()), "01.12*00");
    }
}
