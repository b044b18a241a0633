//! A rejection as people read it: the source line, what was wrong there, and how it came to that.

use std::fmt::Write as _;

use annotate_snippets::{
    AnnotationKind, Element, Group, Level, Renderer, Snippet, renderer::DecorStyle,
};
use panal_uapi::report::{Bound, Class, Note, Path, Place, Quantity, Range, Rejection};

use crate::{
    excerpt::{Excerpt, Line},
    text::clean,
};

/// A rejection of a program of an object, over several lines, with styles.
pub fn rejection(object: &str, program: &str, rejection: &Rejection) -> String {
    let groups = groups(object, program, rejection);
    Renderer::styled()
        .decor_style(DecorStyle::Ascii)
        .render(&groups)
}

fn groups<'a>(object: &str, program: &str, rejection: &Rejection) -> Vec<Group<'a>> {
    let line = |place: &Place| Line::new(object, program, place);
    let title = Level::ERROR
        .primary_title(clean(&rejection.message).into_owned())
        .id(rejection.class.name());
    let mut groups = Vec::new();
    match &rejection.place {
        Some(place) => {
            let at = line(place);
            let mut marks = vec![(at, label(rejection), true)];
            if let Some(origin) = &rejection.origin {
                marks.push((line(&origin.place), clean(&origin.text).into_owned(), false));
            }
            let mut first = title.elements(snippets(marks));
            if place.source.is_some() {
                first = first.element(Level::NOTE.message(instruction(rejection, place)));
            }
            groups.push(first);
        }
        None => {
            let text = format!("in program {} of {}", clean(program), clean(object));
            groups.push(title.element(Level::NOTE.message(text)));
        }
    }
    if !rejection.notes.is_empty() {
        let marks = steps(&rejection.notes, line);
        let title = Level::NOTE.secondary_title("the path that leads there");
        groups.push(title.elements(snippets(marks)));
    }
    if !rejection.linux_message.is_empty() && rejection.linux_message != rejection.message {
        let text = format!("Linux says: {}", clean(&rejection.linux_message));
        groups.push(Group::with_title(Level::NOTE.secondary_title(text)));
    }
    if let Some(help) = &rejection.help {
        let text = clean(help).into_owned();
        groups.push(Group::with_title(Level::HELP.secondary_title(text)));
    }
    groups
}

/// The decisions of the path, numbered.
fn steps(notes: &[Note], line: impl Fn(&Place) -> Line) -> Vec<(Line, String, bool)> {
    notes
        .iter()
        .enumerate()
        .map(|(index, note)| {
            let text = format!("{}. {}", index + 1, clean(&note.text));
            (line(&note.place), text, index == 0)
        })
        .collect()
}

/// What is written beside the place.
fn label(rejection: &Rejection) -> String {
    let value = rejection.value.as_ref();
    match value.and_then(|value| value.bound.as_ref()) {
        Some(known) => bound(known),
        None if matches!(rejection.class, Class::Reference | Class::Locking)
            && rejection.origin.is_some() =>
        {
            "still held here".to_owned()
        }
        None => String::new(),
    }
}

/// A bound that does not hold, in words.
pub fn bound(bound: &Bound) -> String {
    let what = match bound.quantity {
        Quantity::Offset => "the offset",
        Quantity::Size => "the size",
        Quantity::Value => "the value",
        Quantity::PacketBytes => {
            let bytes = |n: i128| match n {
                0 => "none".to_owned(),
                1 => "1 byte".to_owned(),
                n => format!("{n} bytes"),
            };
            return format!(
                "needs {} from the pointer's base, known: {}",
                bytes(bound.needed.min),
                bytes(bound.known.max)
            );
        }
    };
    let known = match bound.known.min == bound.known.max {
        true => format!("{what} is {}", bound.known.min),
        false => format!("{what} may be {}", range(&bound.known)),
    };
    match bound.needed.min > bound.needed.max {
        true => known,
        false => format!("{known}, it must be {}", range(&bound.needed)),
    }
}

/// A range in words; the greatest numbers of their kind are no bounds.
fn range(range: &Range) -> String {
    let (least, most) = (i128::from(i64::MIN), i128::from(u64::MAX));
    let unbounded_below = range.min <= least;
    let unbounded_above = range.max >= i128::from(i64::MAX) && range.max <= most;
    match (unbounded_below, unbounded_above) {
        (true, true) => "anything".to_owned(),
        (true, false) => format!("at most {}", range.max),
        (false, true) => format!("{} or more", range.min),
        _ if range.min == range.max => range.min.to_string(),
        _ => format!("{} to {}", range.min, range.max),
    }
}

/// The instruction that failed, with the value at fault.
fn instruction(rejection: &Rejection, place: &Place) -> String {
    let mut text = format!(
        "instruction {}: `{}`",
        place.slot,
        clean(&place.instruction)
    );
    if let Some(value) = &rejection.value {
        let _ = write!(text, ", {} is {}", value.register, clean(&value.state));
    }
    text
}

/// Marks as few excerpts as possible; the first mark of each excerpt is the primary one if it
/// asks to be.
fn snippets<'a>(mut marks: Vec<(Line, String, bool)>) -> Vec<Element<'a>> {
    let mut elements = Vec::new();
    while !marks.is_empty() {
        let lines: Vec<&Line> = marks.iter().map(|(line, ..)| line).collect();
        let Some(excerpt) = Excerpt::new(&lines) else {
            break;
        };
        let mut snippet = Snippet::source(excerpt.text.clone())
            .line_start(excerpt.first)
            .path(excerpt.file.clone());
        let mut rest = Vec::new();
        for (line, label, primary) in merged(marks) {
            let Some(part) = excerpt.part(&line) else {
                rest.push((line, label, primary));
                continue;
            };
            let kind = match primary {
                true => AnnotationKind::Primary,
                false => AnnotationKind::Context,
            };
            let label = Some(label).filter(|label| !label.is_empty());
            snippet = snippet.annotation(kind.span(part).label(label));
        }
        elements.push(Element::from(snippet));
        marks = rest;
    }
    elements
}

/// Marks of the same part of the same line are one.
fn merged(marks: Vec<(Line, String, bool)>) -> Vec<(Line, String, bool)> {
    let mut all: Vec<(Line, String, bool)> = Vec::new();
    for (line, label, primary) in marks {
        match all.iter_mut().find(|(other, ..)| *other == line) {
            Some((_, text, first)) => {
                *first |= primary;
                if !label.is_empty() {
                    if !text.is_empty() {
                        text.push_str("; ");
                    }
                    text.push_str(&label);
                }
            }
            None => all.push((line, label, primary)),
        }
    }
    all
}

/// The path instruction by instruction: its source line, the instruction, and what it changed.
pub fn path(path: &Path) -> String {
    let mut out = String::new();
    if path.earlier > 0 {
        let _ = writeln!(out, "({} earlier instructions are left out)", path.earlier);
    }
    let mut last = None;
    for step in &path.steps {
        let source = step.place.source.as_ref();
        let here = source.map(|s| (s.file.clone(), s.line));
        if here != last
            && let Some(source) = source
        {
            let file = source.file.rsplit('/').next().unwrap_or_default();
            let _ = writeln!(
                out,
                "{}:{}: {}",
                clean(file),
                source.line,
                clean(source.text.trim())
            );
        }
        last = here;
        let indent = "  ".repeat(usize::from(step.frame) + 1);
        let text = format!(
            "{indent}{:>4}: {}",
            step.place.slot,
            clean(&step.place.instruction)
        );
        match step.changes.is_empty() {
            true => {
                let _ = writeln!(out, "{text}");
            }
            false => {
                let changes = step.changes.join(" ");
                let _ = writeln!(out, "{text:<48} ; {}", clean(&changes));
            }
        }
    }
    out
}
