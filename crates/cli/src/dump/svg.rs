//! Writes a planned graph as SVG: text boxes and arrows, one function below the other.

use std::fmt::Write as _;

use super::{
    cfg::Way,
    layout::{Plan, Point, Size},
    listing::{Lines, Row},
};

/// Of the monospaced font at 12 pixels, as browsers choose it; a little generous.
const CHAR: f64 = 7.35;
const LINE: f64 = 16.0;
const PADDING: f64 = 8.0;
/// Longer lines are cut: macros can make a source line thousands of characters long.
const LONGEST: usize = 96;
const MARGIN: f64 = 24.0;
const TITLE: f64 = 34.0;

const STYLE: &str = "\
text{font:12px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre;fill:#1c2430}\
.t{font-weight:bold;font-size:15px}.s{fill:#6a737d;font-style:italic}.n{fill:#8a929c}\
rect{fill:#f6f8fa;stroke:#57606a}rect.e{stroke-width:2.5}rect.u{stroke-dasharray:5 4;fill:#eee}\
path{fill:none;stroke:#57606a;stroke-width:1.4}\
.y{stroke:#1a7f37}.x{stroke:#cf222e}.b{stroke-dasharray:6 3}\
.page{fill:#fff;stroke:none}";

/// The lines of a box.
pub struct TextBox {
    lines: Vec<(Kind, String)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Source,
    Instruction,
}

impl TextBox {
    pub fn of(rows: &[Row<'_>]) -> TextBox {
        let mut lines = Vec::new();
        let mut source = Lines::default();
        for row in rows {
            if let Some(line) = source.change(row) {
                let text = format!("{}: {}", line.line, line.text.trim());
                lines.push((Kind::Source, cut(&text)));
            }
            lines.push((
                Kind::Instruction,
                cut(&format!("{:4}  {}", row.slot, row.text)),
            ));
        }
        TextBox { lines }
    }

    pub fn size(&self) -> Size {
        let widest = self
            .lines
            .iter()
            .map(|(_, text)| text.chars().count())
            .max()
            .unwrap_or(0);
        (
            widest as f64 * CHAR + 2.0 * PADDING,
            self.lines.len() as f64 * LINE + 2.0 * PADDING,
        )
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// What XML allows, with its own signs escaped.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A picture that grows downwards.
pub struct Picture {
    title: String,
    body: String,
    width: f64,
    height: f64,
}

impl Picture {
    pub fn new(title: &str) -> Picture {
        Picture {
            title: escape(title),
            body: String::new(),
            width: 200.0,
            height: MARGIN,
        }
    }

    /// Adds a function below what is there.
    pub fn add(&mut self, title: &str, boxes: &[TextBox], plan: &Plan, ways: Vec<Way>) {
        let y = self.height;
        let title = escape(title);
        self.put(format_args!(
            "<text class=\"t\" x=\"{MARGIN}\" y=\"{:.1}\">{title}</text>\n",
            y + 16.0
        ));
        self.put(format_args!(
            "<g transform=\"translate({MARGIN} {:.1})\">\n",
            y + TITLE
        ));
        for (arrow, way) in plan.arrows.iter().zip(ways) {
            let mut class = match way {
                Way::Taken => "y",
                Way::NotTaken => "x",
                Way::Always => "",
            }
            .to_owned();
            let path = if arrow.back {
                polyline(&arrow.points)
            } else {
                curve(&arrow.points)
            };
            if arrow.back {
                class.push_str(" b");
            }
            self.put(format_args!(
                "<path class=\"{}\" d=\"{path}\" marker-end=\"url(#a)\"/>\n",
                class.trim()
            ));
        }
        for (index, (text, corner)) in boxes.iter().zip(&plan.boxes).enumerate() {
            let unreachable = plan.unreachable.get(index).copied().unwrap_or(false);
            self.text_box(text, *corner, index == 0, unreachable);
        }
        self.body.push_str("</g>\n");
        self.width = self.width.max(plan.size.0 + 2.0 * MARGIN);
        self.height = y + TITLE + plan.size.1 + MARGIN;
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.body.write_fmt(text);
    }

    fn text_box(&mut self, text: &TextBox, (x, y): Point, entry: bool, unreachable: bool) {
        let (width, height) = text.size();
        let class = match (entry, unreachable) {
            (true, _) => " class=\"e\"",
            (_, true) => " class=\"u\"",
            _ => "",
        };
        self.put(format_args!(
            "<rect{class} x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"4\"/>\n"
        ));
        for (index, (kind, line)) in text.lines.iter().enumerate() {
            let class = if *kind == Kind::Source {
                " class=\"s\""
            } else {
                ""
            };
            let (left, base) = (x + PADDING, y + PADDING + index as f64 * LINE + 12.0);
            let line = escape(line);
            self.put(format_args!(
                "<text{class} x=\"{left:.1}\" y=\"{base:.1}\">{line}</text>\n"
            ));
        }
    }

    pub fn finish(self) -> String {
        let Picture {
            title,
            body,
            width,
            height,
        } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" xml:space=\"preserve\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
             <defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" \
             markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" style=\"fill:#57606a;stroke:none\"/>\
             </marker></defs>\n<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n{body}</svg>\n"
        )
    }
}

fn polyline(points: &[Point]) -> String {
    let mut path = String::new();
    for (index, (x, y)) in points.iter().enumerate() {
        let _ = write!(path, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
    }
    path
}

/// Leaves and reaches every point vertically.
fn curve(points: &[Point]) -> String {
    let mut path = String::new();
    let mut before: Option<Point> = None;
    for &(x, y) in points {
        let _ = match before {
            None => write!(path, "M{x:.1} {y:.1}"),
            Some((bx, _)) if (bx - x).abs() < 0.5 => write!(path, "L{x:.1} {y:.1}"),
            Some((bx, by)) => {
                let half = (y - by) / 2.0;
                write!(
                    path,
                    "C{bx:.1} {:.1} {x:.1} {:.1} {x:.1} {y:.1}",
                    by + half,
                    y - half
                )
            }
        };
        before = Some((x, y));
    }
    path
}
