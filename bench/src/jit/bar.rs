//! The bar: what is wanted of the figures, beside what they are.

use super::{
    engines::{INTERPRETER, LINUX, NATIVE, TIER_1, TIER_2},
    micro,
    programs::{Group, Program},
    results::{Results, geomean},
};
use crate::table::Table;

/// A line of the bar.
struct Line {
    name: &'static str,
    must: f64,
    aim: f64,
    figure: fn(&Results) -> Option<Figure>,
}

/// A figure, and the program that it is of if it is of one.
struct Figure(f64, Option<&'static str>);

const LINES: &[Line] = &[
    Line {
        name: "tier 1 / Linux's JIT, without the calls",
        must: 1.00,
        aim: 0.90,
        figure: |r| mean(r, TIER_1, LINUX, false),
    },
    Line {
        name: "the same, worst program",
        must: 1.25,
        aim: 1.25,
        figure: |r| worst(r, TIER_1, LINUX, false),
    },
    Line {
        name: "tier 1 / Linux's JIT, all",
        must: 1.00,
        aim: 0.90,
        figure: |r| mean(r, TIER_1, LINUX, true),
    },
    Line {
        name: "tier 1 / native",
        must: 1.40,
        aim: 1.30,
        figure: |r| mean(r, TIER_1, NATIVE, true),
    },
    Line {
        name: "tier 2 / Linux's JIT, without the calls",
        must: 0.80,
        aim: 0.70,
        figure: |r| mean(r, TIER_2, LINUX, false),
    },
    Line {
        name: "tier 2 / native",
        must: 1.15,
        aim: 1.05,
        figure: |r| mean(r, TIER_2, NATIVE, true),
    },
    Line {
        name: "tier 1 compile, ns per instruction",
        must: 50.0,
        aim: 25.0,
        figure: |r| r.compilers.of(TIER_1)?.per_instruction().map(plain),
    },
    Line {
        name: "tier 1 compile, fixed µs",
        must: 10.0,
        aim: 10.0,
        figure: |r| r.compilers.of(TIER_1)?.fixed().map(plain),
    },
    Line {
        name: "tier 2 compile, µs per instruction",
        must: 5.0,
        aim: 1.5,
        figure: |r| {
            let ns = r.compilers.of(TIER_2)?.per_instruction()?;
            Some(plain(ns / 1000.0))
        },
    },
    Line {
        name: "entry, ns",
        must: 5.0,
        aim: 3.0,
        figure: |r| r.entry(TIER_1).map(plain),
    },
    Line {
        name: "bpf-to-bpf call, ns",
        must: 2.0,
        aim: 1.0,
        figure: |r| r.micro.ns(micro::CALL, TIER_1).map(plain),
    },
    Line {
        name: "array lookup, ns in a program",
        must: 1.0,
        aim: 0.85,
        figure: |r| r.micro.ns(micro::ARRAY, TIER_1).map(plain),
    },
    Line {
        name: "hash lookup hit, ns in a program",
        must: 15.0,
        aim: 6.0,
        figure: |r| r.micro.ns(micro::HASH_HIT, TIER_1).map(plain),
    },
    Line {
        name: "interpreter, ns per instruction",
        must: 2.5,
        aim: 1.5,
        figure: |r| geomean(&r.per_step(INTERPRETER)).map(plain),
    },
];

fn plain(value: f64) -> Figure {
    Figure(value, None)
}

fn chosen(results: &Results, of: &str, to: &str, calls: bool) -> Vec<(&'static Program, f64)> {
    let mut ratios = results.ratios(of, to);
    ratios.retain(|(program, _)| calls || program.group != Group::Calls);
    ratios
}

fn mean(results: &Results, of: &str, to: &str, calls: bool) -> Option<Figure> {
    let ratios = chosen(results, of, to, calls).into_iter();
    geomean(&ratios.map(|(_, ratio)| ratio).collect::<Vec<_>>()).map(plain)
}

fn worst(results: &Results, of: &str, to: &str, calls: bool) -> Option<Figure> {
    chosen(results, of, to, calls)
        .into_iter()
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
        .map(|(program, ratio)| Figure(ratio, Some(program.name)))
}

/// The table.
pub fn table(results: &Results) -> Table {
    let mut table = Table::new(&["figure", "measured", "must", "aim", ""]);
    for line in LINES {
        let figure = (line.figure)(results);
        let verdict = match &figure {
            None => "",
            Some(Figure(f, _)) if *f <= line.aim => "aim",
            Some(Figure(f, _)) if *f <= line.must => "must",
            Some(_) => "short",
        };
        table.row(&[
            line.name.to_owned(),
            match figure {
                None => "-".to_owned(),
                Some(Figure(f, None)) => format!("{f:.2}"),
                Some(Figure(f, Some(of))) => format!("{f:.2} ({of})"),
            },
            format!("{:.2}", line.must),
            format!("{:.2}", line.aim),
            verdict.to_owned(),
        ]);
    }
    table
}

/// Prints it.
pub fn print(results: &Results) {
    println!();
    table(results).print();
}
