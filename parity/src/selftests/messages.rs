//! Whether a log contains the texts that a selftest expects: one after another, each a text with
//! regular expressions between `{{` and `}}`.

use regex_lite::RegexBuilder;

/// The first text that the log lacks after those before it.
pub fn missing<'m>(log: &str, messages: &'m [String]) -> Option<&'m str> {
    let mut rest = log;
    for message in messages {
        match end_of_match(rest, message) {
            Some(end) => rest = &rest[end..],
            None => return Some(message),
        }
    }
    None
}

/// Where the first match of a pattern ends.
fn end_of_match(text: &str, pattern: &str) -> Option<usize> {
    if !pattern.contains("{{") {
        return text.find(pattern).map(|at| at + pattern.len());
    }
    let regex = RegexBuilder::new(&expression(pattern))
        .multi_line(true)
        .build()
        .ok()?;
    regex.find(text).map(|found| found.end())
}

/// The pattern as one regular expression.
fn expression(pattern: &str) -> String {
    let mut all = String::new();
    for (index, part) in pattern.split("{{").enumerate() {
        match part.split_once("}}") {
            Some((regex, verbatim)) if index > 0 => {
                all.push_str(&format!("(?:{regex})"));
                all.push_str(&regex_lite::escape(verbatim));
            }
            _ => all.push_str(&regex_lite::escape(part)),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(messages: &[&str]) -> Vec<String> {
        messages.iter().map(|m| (*m).to_owned()).collect()
    }

    #[test]
    fn texts_are_found_one_after_another() {
        let log = "first\nsecond\nfirst again\n";
        assert_eq!(missing(log, &owned(&["second", "first"])), None);
        let wrong = owned(&["second", "first again", "second"]);
        assert_eq!(missing(log, &wrong), Some("second"));
    }

    #[test]
    fn what_stands_between_braces_is_a_regular_expression() {
        let log = "3: (b7) r0 = 1 ; R0_w=1\nat 17 (x.y)\n";
        assert_eq!(missing(log, &owned(&["at {{[0-9]+}} (x.y)"])), None);
        assert!(missing(log, &owned(&["at {{[0-9]+}} (xzy)"])).is_some());
        assert_eq!(missing(log, &owned(&["{{^}}at"])), None);
    }
}
