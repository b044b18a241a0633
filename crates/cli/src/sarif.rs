//! Rejections as SARIF 2.1.0 (OASIS), the format in which code hosts take findings.

use std::io::Write;

use panal_uapi::report::{Class, Note, Place, Rejection};
use serde_json::{Value, json};

use crate::{
    error::Problem,
    excerpt::Line,
    output, render,
    text::clean,
    verdict::{Outcome, Verdict, last_line},
};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// A document in the making.
pub struct Report {
    results: Vec<Value>,
    notifications: Vec<Value>,
}

impl Report {
    /// One without results.
    pub fn new() -> Report {
        Report {
            results: Vec::new(),
            notifications: Vec::new(),
        }
    }

    /// Adds how a program fared.
    pub fn add(&mut self, file: &str, program: &str, outcome: &Outcome) -> Verdict {
        match outcome {
            Outcome::Accepted { .. } => Verdict::Accept,
            Outcome::Rejected(rejected) => {
                let result = match &rejected.rejection {
                    Some(why) => result(file, program, why),
                    None => {
                        let why =
                            Rejection::new(Class::Types, rejected.errno, last_line(&rejected.log));
                        let mut unknown = result(file, program, &why);
                        // Linux does not say which kind of mistake it is.
                        unknown["ruleId"] = json!("unknown");
                        unknown
                    }
                };
                self.results.push(result);
                Verdict::Reject
            }
            Outcome::Failed { message, .. } => {
                self.failed(file, Some(program), message);
                Verdict::Error
            }
        }
    }

    /// Adds that there is no verdict.
    pub fn failed(&mut self, file: &str, program: Option<&str>, message: &str) {
        let text = match program {
            Some(program) => format!("{program}: {message}"),
            None => message.to_owned(),
        };
        self.notifications.push(json!({
            "level": "error",
            "message": { "text": clean(&text) },
            "locations": [{ "physicalLocation": { "artifactLocation": { "uri": uri(file) } } }],
        }));
    }

    /// Prints the document.
    pub fn print(&self, out: &mut impl Write) -> Result<(), Problem> {
        output::json_line(out, &self.document())
    }

    fn document(&self) -> Value {
        let rules: Vec<Value> = Class::ALL
            .iter()
            .map(|class| {
                json!({
                    "id": class.name(),
                    "shortDescription": { "text": class.summary() },
                    "defaultConfiguration": { "level": "error" },
                })
            })
            .collect();
        json!({
            "$schema": SCHEMA,
            "version": "2.1.0",
            "runs": [{
                "tool": { "driver": {
                    "name": "panal",
                    "semanticVersion": env!("CARGO_PKG_VERSION"),
                    "rules": rules,
                }},
                "columnKind": "unicodeCodePoints",
                "invocations": [{
                    "executionSuccessful": self.notifications.is_empty(),
                    "toolExecutionNotifications": self.notifications,
                }],
                "results": self.results,
            }],
        })
    }
}

fn result(file: &str, program: &str, why: &Rejection) -> Value {
    let mut text = format!("{program}: {}", why.message);
    if let Some(bound) = why.value.as_ref().and_then(|value| value.bound.as_ref()) {
        text.push_str(&format!(" ({})", render::bound(bound)));
    }
    if let Some(help) = &why.help {
        text.push_str(&format!(". Help: {help}"));
    }
    let at = |place: Option<&Place>| location(file, program, place);
    let mut result = json!({
        "ruleId": why.class.name(),
        "level": "error",
        "message": { "text": clean(&text) },
        "locations": [at(why.place.as_ref())],
        "properties": {
            "object": file,
            "program": program,
            "errno": why.errno.to_string(),
            "linuxMessage": why.linux_message,
            "instruction": why.place.as_ref().map(|place| place.slot),
        },
    });
    if let Some(origin) = &why.origin {
        result["relatedLocations"] = json!([noted(at(Some(&origin.place)), &origin.text)]);
    }
    let flow = flow(why, at);
    if !flow.is_empty() {
        result["codeFlows"] = json!([{ "threadFlows": [{ "locations": flow }] }]);
    }
    result
}

/// The origin, the decisions of the path and the place, in the order of the path.
fn flow(why: &Rejection, at: impl Fn(Option<&Place>) -> Value) -> Vec<Value> {
    let Some(place) = &why.place else {
        return Vec::new();
    };
    let steps = |note: &Note| json!({ "location": noted(at(Some(&note.place)), &note.text) });
    let mut flow: Vec<Value> = why.notes.iter().map(steps).collect();
    if flow.is_empty() {
        return flow;
    }
    flow.push(json!({ "location": noted(at(Some(place)), &why.message) }));
    flow
}

fn noted(mut location: Value, text: &str) -> Value {
    location["message"] = json!({ "text": clean(text) });
    location
}

/// A place as a location: in the source, or else in the object.
fn location(file: &str, program: &str, place: Option<&Place>) -> Value {
    let mut logical = json!({ "name": program, "kind": "function" });
    let source = place.and_then(|place| place.source.as_ref());
    let Some((place, source)) = place.zip(source).filter(|(_, source)| source.line > 0) else {
        if let Some(place) = place {
            logical["decoratedName"] = json!(format!("{program}, instruction {}", place.slot));
        }
        return json!({
            "physicalLocation": { "artifactLocation": { "uri": uri(file) } },
            "logicalLocations": [logical],
        });
    };
    let line = Line::new(file, program, place);
    let column = |byte: usize| line.text[..byte].chars().count() + 1;
    json!({
        "physicalLocation": {
            "artifactLocation": { "uri": uri(&source.file) },
            "region": {
                "startLine": source.line,
                "startColumn": column(line.part.start),
                "endColumn": column(line.part.end),
                "snippet": { "text": line.text },
            },
        },
        "logicalLocations": [logical],
    })
}

/// A path as a reference: relative ones stay so, for the host to resolve.
fn uri(path: &str) -> String {
    let mut out = String::new();
    if path.starts_with('/') {
        out.push_str("file://");
    }
    for byte in path.trim_start_matches("./").bytes().take(4000) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
