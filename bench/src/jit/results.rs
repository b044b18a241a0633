//! What was measured, and the ratios of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    compile::Compilers,
    engines::{ENGINES, LINUX, NATIVE, TIER_1, TIER_2},
    measure::Cell,
    micro::Micro,
    programs::{Group, Program},
};
use crate::table::Table;

/// A program that takes less than this part of what its entry takes is lost in how much that varies.
const NOISE: f64 = 0.1;

/// A program on all engines.
pub struct Row {
    pub program: &'static Program,
    /// In the order of [`ENGINES`].
    pub cells: Vec<Cell>,
}

/// All programs on all engines.
pub struct Results {
    /// Of each of [`EMPTY`](super::programs::EMPTY).
    pub empty: Vec<Vec<Cell>>,
    pub rows: Vec<Row>,
    pub micro: Micro,
    pub compilers: Compilers,
}

impl Results {
    /// No program yet, but what entering an empty one costs each engine.
    pub fn new(empty: Vec<Vec<Cell>>) -> Self {
        Results {
            empty,
            rows: Vec::new(),
            micro: Micro::default(),
            compilers: Compilers::default(),
        }
    }

    /// Nanoseconds of the empty program of the tc type.
    pub fn entry(&self, engine: &str) -> Option<f64> {
        self.entry_of(0, engine)
    }

    fn entry_of(&self, empty: usize, engine: &str) -> Option<f64> {
        self.empty.get(empty)?.get(index(engine)?)?.ns()
    }

    /// Nanoseconds of a program without the entry; `None` where they are lost in it.
    pub fn net(&self, row: &Row, engine: &str) -> Option<f64> {
        let ns = row.cells.get(index(engine)?)?.ns()?;
        let entry = self.entry_of(row.program.empty(), engine).unwrap_or(0.0);
        (ns - entry >= entry * NOISE).then_some(ns - entry)
    }

    /// How much slower one engine is than another, by program.
    pub fn ratios(&self, of: &str, to: &str) -> Vec<(&'static Program, f64)> {
        let ratio = |row: &Row| {
            let ratio = self.net(row, of)? / self.net(row, to)?;
            Some((row.program, ratio))
        };
        self.rows.iter().filter_map(ratio).collect()
    }

    /// Nanoseconds that an engine takes for an instruction, by program.
    pub fn per_step(&self, engine: &str) -> Vec<f64> {
        let of_row = |row: &Row| match row.cells.get(index(engine)?)? {
            Cell::Took {
                steps: Some(steps), ..
            } => Some(self.net(row, engine)? / (*steps).max(1) as f64),
            _ => None,
        };
        self.rows.iter().filter_map(of_row).collect()
    }

    /// Why engines left programs out, and how many.
    pub fn missing(&self) -> BTreeMap<(&'static str, String), usize> {
        let mut reasons = BTreeMap::new();
        for row in &self.rows {
            for (entry, cell) in ENGINES.iter().zip(&row.cells) {
                if let Cell::Missing(why) = cell {
                    *reasons.entry((entry.name, why.clone())).or_default() += 1;
                }
            }
        }
        reasons
    }

    /// What engines did wrong: engine, program, how.
    pub fn wrong(&self) -> Vec<(&'static str, &'static str, &str)> {
        let mut all = Vec::new();
        for row in &self.rows {
            for (entry, cell) in ENGINES.iter().zip(&row.cells) {
                if let Cell::Wrong(how) = cell {
                    all.push((entry.name, row.program.name, how.as_str()));
                }
            }
        }
        all
    }

    /// The table.
    pub fn table(&self) -> Table {
        let mut heads = vec!["program".to_owned(), "about".to_owned()];
        heads.extend(ENGINES.iter().map(|e| format!("{}, ns", e.name)));
        heads.extend(pairs().map(|(of, to)| format!("{of} / {to}")));
        let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
        let mut table = Table::new(&heads);
        for row in &self.rows {
            let mut cells = vec![row.program.name.to_owned(), row.program.subject.to_owned()];
            for (entry, cell) in ENGINES.iter().zip(&row.cells) {
                cells.push(match cell {
                    Cell::Took { .. } => match self.net(row, entry.name) {
                        Some(ns) => figure(ns),
                        None => "lost".to_owned(),
                    },
                    Cell::Missing(_) => "-".to_owned(),
                    Cell::Wrong(_) => "wrong".to_owned(),
                });
            }
            for (of, to) in pairs() {
                let ratio = self.net(row, of).zip(self.net(row, to));
                cells.push(ratio.map_or("-".to_owned(), |(a, b)| format!("{:.2}", a / b)));
            }
            table.row(&cells);
        }
        table
    }

    /// What stands below the table: entries, what is missing and why, what is wrong.
    pub fn remarks(&self) -> Vec<String> {
        let entries = ENGINES.iter().filter_map(|entry| {
            let ns = self.entry(entry.name)?;
            Some(format!("{} {ns:.1}", entry.name))
        });
        let mut remarks = vec![format!(
            "entry, in ns, taken off: {}",
            entries.collect::<Vec<_>>().join(", ")
        )];
        for ((engine, why), count) in self.missing() {
            remarks.push(format!("{engine}: {count} programs left out: {why}"));
        }
        for entry in ENGINES {
            let lost = |row: &&Row| {
                let cell = index(entry.name).and_then(|index| row.cells.get(index));
                cell.is_some_and(|cell| cell.ns().is_some()) && self.net(row, entry.name).is_none()
            };
            let count = self.rows.iter().filter(lost).count();
            if count > 0 {
                remarks.push(format!(
                    "{}: {count} programs take less than a tenth of its entry, and are lost in it",
                    entry.name
                ));
            }
        }
        for (engine, program, how) in self.wrong() {
            remarks.push(format!("{engine}: wrong on {program}: {how}"));
        }
        remarks
    }

    /// Prints what was measured.
    pub fn print(&self) {
        if !self.rows.is_empty() {
            self.table().print();
            println!("\n{}", self.remarks().join("\n"));
        }
        if !self.micro.is_empty() {
            println!("\n{}", self.micro.table());
        }
        if !self.compilers.0.is_empty() {
            println!("\n{}", self.compilers.table());
        }
    }

    /// All of it for machines.
    pub fn json(&self) -> Value {
        let cells = |row: &Row| -> Value {
            let pairs = ENGINES.iter().zip(&row.cells).map(|(entry, cell)| {
                let value = match cell {
                    Cell::Took { ns, steps } => json!({
                        "ns": ns, "net_ns": self.net(row, entry.name), "steps": steps,
                    }),
                    Cell::Missing(why) => json!({ "missing": why }),
                    Cell::Wrong(why) => json!({ "wrong": why }),
                };
                (entry.name.to_owned(), value)
            });
            Value::Object(pairs.collect())
        };
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "program": row.program.name,
                    "group": match row.program.group {
                        Group::Plain => "plain",
                        Group::Calls => "calls",
                        Group::Maps => "maps",
                    },
                    "engines": cells(row),
                })
            })
            .collect();
        let entry: serde_json::Map<String, Value> = ENGINES
            .iter()
            .map(|e| (e.name.to_owned(), json!(self.entry(e.name))))
            .collect();
        json!({
            "entry_ns": entry,
            "programs": rows,
            "operations_ns": self.micro.json(),
            "compilers": self.compilers.json(),
        })
    }
}

/// Ratios that stand in the table, of engines that are there.
fn pairs() -> impl Iterator<Item = (&'static str, &'static str)> {
    [TIER_1, TIER_2]
        .into_iter()
        .filter(|of| index(of).is_some())
        .flat_map(|of| [(of, LINUX), (of, NATIVE)])
}

fn index(engine: &str) -> Option<usize> {
    ENGINES.iter().position(|e| e.name == engine)
}

/// A time for people.
fn figure(ns: f64) -> String {
    match ns < 99.5 {
        true => format!("{ns:.1}"),
        false => format!("{ns:.0}"),
    }
}

/// Geometric mean.
pub fn geomean(values: &[f64]) -> Option<f64> {
    let logs: f64 = values.iter().map(|v| v.ln()).sum();
    (!values.is_empty()).then(|| (logs / values.len() as f64).exp())
}

/// Every engine against Linux and native, over what both run.
pub fn summary(results: &Results) -> Table {
    let mut table = Table::new(&[
        "engine",
        "/ Linux's JIT",
        "programs",
        "/ native",
        "programs",
    ]);
    for entry in ENGINES {
        let mut row = vec![entry.name.to_owned()];
        for to in [LINUX, NATIVE] {
            let ratios: Vec<f64> = results
                .ratios(entry.name, to)
                .into_iter()
                .map(|(_, ratio)| ratio)
                .collect();
            row.push(geomean(&ratios).map_or("-".to_owned(), |mean| format!("{mean:.2}")));
            row.push(ratios.len().to_string());
        }
        table.row(&row);
    }
    table
}
