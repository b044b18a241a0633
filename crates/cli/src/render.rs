//! A rejection as people read it: the source line, what was wrong there, and how it came to that.

use annotate_snippets::{
    Annotation, AnnotationKind, Group, Level, Renderer, Snippet, renderer::DecorStyle,
};
use panal_uapi::report::{Place, Rejection};

use crate::text::clean;

/// A rejection of a program of an object, over several lines, with styles.
pub fn rejection(object: &str, program: &str, rejection: &Rejection) -> String {
    let message = clean(&rejection.message).into_owned();
    let title = Level::ERROR
        .primary_title(message)
        .id(rejection.class.name());
    let first = match &rejection.place {
        Some(place) => {
            let label = format!(
                "instruction {}: `{}`",
                place.slot,
                clean(&place.instruction)
            );
            title.element(snippet(object, program, place, Some(label)))
        }
        None => title.element(Level::NOTE.message(format!("in program {program} of {object}"))),
    };
    let mut groups = vec![first];
    for note in &rejection.notes {
        let text = clean(&note.text).into_owned();
        let snippet = snippet(object, program, &note.place, None);
        groups.push(Level::NOTE.secondary_title(text).element(snippet));
    }
    let kernel = format!("Linux says: {}", clean(&rejection.linux_message));
    let linux = Group::with_title(Level::NOTE.secondary_title(kernel));
    if !rejection.linux_message.is_empty() && rejection.linux_message != rejection.message {
        groups.push(linux);
    }
    if let Some(help) = &rejection.help {
        let text = clean(help).into_owned();
        groups.push(Group::with_title(Level::HELP.secondary_title(text)));
    }
    Renderer::styled()
        .decor_style(DecorStyle::Ascii)
        .render(&groups)
}

/// The line of a place: of the source, or where the object has none, the instruction itself.
fn snippet<'a>(
    object: &str,
    program: &str,
    place: &Place,
    label: Option<String>,
) -> Snippet<'a, Annotation<'a>> {
    let (path, line, text, column) = match &place.source {
        Some(source) => (
            clean(&source.file).into_owned(),
            source.line,
            clean(&source.text),
            source.column,
        ),
        None => (
            format!("{object}: {program}"),
            place.slot,
            clean(&place.instruction),
            0,
        ),
    };
    let text = text.trim_end().to_owned();
    let leading = text.len() - text.trim_start().len();
    let start = match usize::try_from(column).unwrap_or(0).checked_sub(1) {
        Some(column) if column < text.len() && text.is_char_boundary(column) => column,
        _ => leading,
    };
    // An instruction needs no label beside its own text.
    let label = label.filter(|_| place.source.is_some());
    let primary = AnnotationKind::Primary
        .span(start..text.len().max(start))
        .label(label);
    Snippet::source(text)
        .line_start(line as usize)
        .path(path)
        .annotation(primary)
}
