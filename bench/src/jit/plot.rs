//! The plot: for each program, how long the engines take relative to Linux's JIT (or to native code, where
//! there is no Linux), on a logarithmic scale. Plain SVG that follows the reader's colours.

use std::fmt::Write;

use super::{
    engines::{ENGINES, LINUX, NATIVE},
    peers,
    results::{Results, Row},
};

/// Sizes in pixels.
const WIDTH: f64 = 900.0;
const LEFT: f64 = 230.0;
const RIGHT: f64 = 30.0;
const TOP: f64 = 92.0;
const ROW: f64 = 22.0;
const BAR: f64 = 7.0;

/// The scale's ends: what lies beyond is drawn at them, as an arrow.
const LEAST: f64 = 0.25;
const MOST: f64 = 4.0;
const TICKS: &[f64] = &[0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0];

/// How an engine is drawn.
struct Series {
    engine: &'static str,
    colour: &'static str,
    mark: Mark,
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    /// From 1 to the figure; the number says which of a row's bars.
    Bar(u8),
    /// Across the row.
    Tick,
    Dot,
}

const SERIES: &[Series] = &[
    Series {
        engine: super::engines::TIER_1,
        colour: "#2f7ed8",
        mark: Mark::Bar(0),
    },
    Series {
        engine: super::engines::TIER_2,
        colour: "#e08a1e",
        mark: Mark::Bar(1),
    },
    Series {
        engine: NATIVE,
        colour: "#2ca25f",
        mark: Mark::Tick,
    },
    Series {
        engine: peers::RBPF.name,
        colour: "#b0529e",
        mark: Mark::Dot,
    },
    Series {
        engine: peers::ASYNC_EBPF.name,
        colour: "#c0392b",
        mark: Mark::Dot,
    },
    Series {
        engine: peers::SBPF.name,
        colour: "#8a8a8a",
        mark: Mark::Dot,
    },
];

/// Without a word from the reader's side, colours that can be read on light and on dark.
const STYLE: &str = "
  text { font: 12px system-ui, sans-serif; fill: #75808a; }
  .title { font-size: 15px; font-weight: 600; }
  .grid { stroke: #75808a55; stroke-width: 1; }
  .one { stroke: #75808a; stroke-width: 1.5; }
  .stripe { fill: #818b981f; }
  @media (prefers-color-scheme: light) {
    text { fill: #24292f; }
    .faint { fill: #57606a; }
  }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .faint { fill: #9198a1; }
  }";

/// Draws it.
pub fn draw(results: &Results) -> String {
    let to = match results.rows.iter().any(|r| results.net(r, LINUX).is_some()) {
        true => LINUX,
        false => NATIVE,
    };
    let measured = |series: &&Series| {
        let is_there = ENGINES.iter().any(|e| e.name == series.engine);
        is_there && series.engine != to
    };
    let series: Vec<&Series> = SERIES.iter().filter(measured).collect();
    let height = TOP + ROW * results.rows.len() as f64 + 34.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
         <title>Time of each program on each engine, relative to {to}</title>\n<style>{STYLE}\n</style>\n"
    );
    text(
        &mut svg,
        12.0,
        24.0,
        "title",
        &format!("Time relative to {}", called(to)),
    );
    text(
        &mut svg,
        12.0,
        44.0,
        "faint",
        "Left of 1 is faster. Logarithmic; arrows lie beyond the scale.",
    );
    legend(&mut svg, &series);
    for number in 0..results.rows.len() {
        let top = TOP + ROW * number as f64;
        if number % 2 == 0 {
            let _ = writeln!(
                svg,
                "<rect class=\"stripe\" x=\"0\" y=\"{top}\" width=\"{WIDTH}\" height=\"{ROW}\"/>"
            );
        }
    }
    scale(&mut svg, height);
    for (number, row) in results.rows.iter().enumerate() {
        line(
            &mut svg,
            results,
            row,
            TOP + ROW * number as f64,
            to,
            &series,
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn called(engine: &str) -> &str {
    match engine {
        LINUX => "Linux's JIT",
        _ => "native code, clang -O2",
    }
}

/// Where a ratio lies.
fn place(ratio: f64) -> f64 {
    let part = (ratio.clamp(LEAST, MOST) / LEAST).ln() / (MOST / LEAST).ln();
    LEFT + part * (WIDTH - LEFT - RIGHT)
}

fn text(svg: &mut String, x: f64, y: f64, class: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"
    );
}

fn legend(svg: &mut String, series: &[&Series]) {
    let mut x = LEFT;
    for one in series {
        let colour = one.colour;
        let _ = match one.mark {
            Mark::Bar(_) => writeln!(
                svg,
                "<rect x=\"{x}\" y=\"60\" width=\"14\" height=\"{BAR}\" fill=\"{colour}\"/>"
            ),
            Mark::Tick => writeln!(
                svg,
                "<rect x=\"{}\" y=\"55\" width=\"3\" height=\"16\" fill=\"{colour}\"/>",
                x + 6.0
            ),
            Mark::Dot => writeln!(
                svg,
                "<circle cx=\"{}\" cy=\"63.5\" r=\"4\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                x + 7.0
            ),
        };
        text(svg, x + 20.0, 68.0, "", one.engine);
        x += 44.0 + 7.0 * one.engine.len() as f64;
    }
}

fn scale(svg: &mut String, height: f64) {
    for &tick in TICKS {
        let x = place(tick);
        let class = if tick == 1.0 { "one" } else { "grid" };
        let bottom = height - 26.0;
        let _ = writeln!(
            svg,
            "<line class=\"{class}\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\n\
             <text class=\"faint\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{tick}</text>",
            height - 10.0
        );
    }
}

/// A program's row.
fn line(svg: &mut String, results: &Results, row: &Row, top: f64, to: &str, series: &[&Series]) {
    let middle = top + ROW / 2.0;
    text(svg, 12.0, middle + 4.0, "", row.program.subject);
    let Some(base) = results.net(row, to) else {
        return;
    };
    for one in series {
        let Some(ns) = results.net(row, one.engine) else {
            continue;
        };
        let (ratio, colour) = (ns / base, one.colour);
        let x = place(ratio);
        let _ = writeln!(svg, "<g><title>{}: {ratio:.2}</title>", one.engine);
        match one.mark {
            Mark::Bar(which) => {
                let (from, until) = (x.min(place(1.0)), x.max(place(1.0)));
                let y = middle - BAR - 0.5 + f64::from(which) * (BAR + 1.0);
                let width = (until - from).max(1.5);
                let _ = writeln!(
                    svg,
                    "<rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>"
                );
            }
            Mark::Tick => {
                let _ = writeln!(
                    svg,
                    "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"3\" height=\"16\" fill=\"{colour}\"/>",
                    x - 1.5,
                    middle - 8.0
                );
            }
            Mark::Dot => {
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{x:.1}\" cy=\"{middle:.1}\" r=\"4\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
                );
            }
        }
        if !(LEAST..=MOST).contains(&ratio) {
            let (tip, back) = match ratio > MOST {
                true => (x + 14.0, x + 6.0),
                false => (x - 14.0, x - 6.0),
            };
            let _ = writeln!(
                svg,
                "<path d=\"M{back:.1} {:.1} L{tip:.1} {middle:.1} L{back:.1} {:.1} Z\" fill=\"{colour}\"/>",
                middle - 4.0,
                middle + 4.0
            );
        }
        svg.push_str("</g>\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_lie_in_order_and_within_the_picture() {
        let places: Vec<f64> = TICKS.iter().map(|&tick| place(tick)).collect();
        assert!(places.is_sorted());
        assert!(place(0.001) >= LEFT && place(1000.0) <= WIDTH - RIGHT);
        // Twice as fast and twice as slow are as far from 1.
        let (fast, one, slow) = (place(0.5), place(1.0), place(2.0));
        assert!(((one - fast) - (slow - one)).abs() < 1e-9);
    }
}
