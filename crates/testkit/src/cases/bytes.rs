//! Bytes as cases spell them.

/// Reads words of bytes: `0011 60*00`, or with dots `0011.60*00`; `-` are none.
///
/// # Errors
/// The word that is wrong.
pub fn parse(words: &[&str]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    for part in words.iter().flat_map(|word| word.split('.')) {
        let wrong = || format!("{part:?} are no bytes");
        if part == "-" {
            continue;
        }
        let (count, digits) = match part.split_once('*') {
            Some((count, digits)) => (count.parse().map_err(|_| wrong())?, digits),
            None => (1, part),
        };
        if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
            return Err(wrong());
        }
        let bytes: Vec<u8> = (0..digits.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&digits[i..i + 2], 16))
            .collect::<Result<_, _>>()
            .map_err(|_| wrong())?;
        for _ in 0..count {
            out.extend_from_slice(&bytes);
        }
    }
    Ok(out)
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
        assert!(parse(&["012"]).is_err());
        assert_eq!(show(&[&[1][..], &[0; 12]].concat()), "01.12*00");
    }
}
