//! A rejection as JSON. The names are stable.

use panal_uapi::report::{self, Rejection};
use serde::Serialize;

use crate::excerpt;

/// Why a program was rejected, or why there is no verdict.
#[derive(Serialize)]
pub struct Why<'a> {
    class: &'a str,
    message: &'a str,
    /// Name of Linux's error number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno: Option<String>,
    #[serde(flatten)]
    place: Option<Place<'a>>,
    /// The value at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value<'a>>,
    /// Where the bound was lost or never gained, the object acquired, the pointer made.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<Note<'a>>,
    /// The newest branch decisions, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    branches: Vec<Note<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suggestion: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linux_message: Option<&'a str>,
    /// With `--explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Path<'a>>,
}

#[derive(Serialize)]
struct Place<'a> {
    /// Slot.
    instruction: u32,
    instruction_text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Source<'a>>,
}

#[derive(Serialize)]
struct Source<'a> {
    file: &'a str,
    line: u32,
    /// From 1; 0 when unknown.
    column: u32,
    text: &'a str,
    /// The part of the line that is meant.
    expression: &'a str,
}

#[derive(Serialize)]
struct Value<'a> {
    register: &'a str,
    /// As Linux's log prints it.
    state: &'a str,
    #[serde(flatten)]
    bound: Option<Bound>,
}

#[derive(Serialize)]
struct Bound {
    quantity: &'static str,
    known: Range,
    needed: Range,
}

#[derive(Serialize)]
struct Range {
    min: i128,
    max: i128,
}

#[derive(Serialize)]
struct Note<'a> {
    text: &'a str,
    #[serde(flatten)]
    place: Place<'a>,
}

#[derive(Serialize)]
struct Path<'a> {
    /// Instructions that are left out before the first.
    earlier: u64,
    steps: Vec<Step<'a>>,
}

#[derive(Serialize)]
struct Step<'a> {
    frame: u8,
    #[serde(flatten)]
    place: Place<'a>,
    changes: &'a [String],
}

impl<'a> Why<'a> {
    /// A class and a sentence.
    pub fn new(class: &'a str, message: &'a str) -> Why<'a> {
        Why {
            class,
            message,
            errno: None,
            place: None,
            value: None,
            origin: None,
            branches: Vec::new(),
            suggestion: None,
            linux_message: None,
            path: None,
        }
    }

    /// All that is known of a rejection; its path on demand.
    pub fn explained(why: &'a Rejection, with_path: bool) -> Why<'a> {
        let path = || Path {
            earlier: why.path.earlier,
            steps: why.path.steps.iter().map(step).collect(),
        };
        Why {
            errno: Some(why.errno.to_string()),
            place: why.place.as_ref().map(place),
            value: why.value.as_ref().map(value),
            origin: why.origin.as_ref().map(note),
            branches: why.notes.iter().map(note).collect(),
            suggestion: why.help.as_deref(),
            linux_message: Some(&why.linux_message),
            path: with_path.then(path),
            ..Why::new(why.class.name(), &why.message)
        }
    }
}

fn place(place: &report::Place) -> Place<'_> {
    Place {
        instruction: place.slot,
        instruction_text: &place.instruction,
        source: place.source.as_ref().map(|source| Source {
            file: &source.file,
            line: source.line,
            column: source.column,
            text: &source.text,
            expression: &source.text[excerpt::expression(&source.text, source.column as usize)],
        }),
    }
}

fn value(value: &report::Value) -> Value<'_> {
    let range = |range: &report::Range| Range {
        min: range.min,
        max: range.max,
    };
    Value {
        register: &value.register,
        state: &value.state,
        bound: value.bound.as_ref().map(|bound| Bound {
            quantity: bound.quantity.name(),
            known: range(&bound.known),
            needed: range(&bound.needed),
        }),
    }
}

fn note(note: &report::Note) -> Note<'_> {
    Note {
        text: &note.text,
        place: place(&note.place),
    }
}

fn step(step: &report::Step) -> Step<'_> {
    Step {
        frame: step.frame,
        place: place(&step.place),
        changes: &step.changes,
    }
}
