//! Text from objects, programs and packets, which may hold anything, made fit for a terminal.

use std::borrow::Cow;

/// The text with a replacement sign for every control character but tab: no object may move the
/// cursor or recolour a terminal.
pub fn clean(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| c.is_control() && c != '\t';
    if text.contains(harmful) {
        text.chars()
            .map(|c| if harmful(c) { '\u{fffd}' } else { c })
            .collect::<String>()
            .into()
    } else {
        text.into()
    }
}
