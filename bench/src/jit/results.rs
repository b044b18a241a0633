//! What was measured, and the ratios of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    engines::ENGINES,
    measure::Cell,
    programs::{Group, Program},
};
use crate::table::Table;

/// A program on all engines.
pub struct Row {
    pub program: &'static Program,
    /// In the order of [`ENGINES`].
    pub cells: Vec<Cell>,
}

/// All programs on all engines.
pub struct Results {
    /// Of each of [`EMPTY`](super::programs::EMPTY).
    empty: Vec<Vec<Cell>>,
    pub rows: Vec<Row>,
}

impl Results {
    /// No program yet, but what entering an empty one costs each engine.
    pub fn new(empty: Vec<Vec<Cell>>) -> Self {
        Results {
            empty,
            rows: Vec::new(),
        }
    }

    /// Nanoseconds of the empty program of the tc type.
    pub fn entry(&self, engine: &str) -> Option<f64> {
        self.entry_of(0, engine)
    }

    fn entry_of(&self, empty: usize, engine: &str) -> Option<f64> {
        self.empty.get(empty)?.get(index(engine)?)?.ns()
    }

    /// Nanoseconds of a program without the entry.
    pub fn net(&self, row: &Row, engine: &str) -> Option<f64> {
        let ns = row.cells.get(index(engine)?)?.ns()?;
        let entry = self.entry_of(row.program.empty(), engine);
        Some((ns - entry.unwrap_or(0.0)).max(0.5))
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
        heads.extend(PAIRS.iter().map(|(of, to)| format!("{of} / {to}")));
        let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
        let mut table = Table::new(&heads);
        for row in &self.rows {
            let mut cells = vec![row.program.name.to_owned(), row.program.subject.to_owned()];
            for (entry, cell) in ENGINES.iter().zip(&row.cells) {
                cells.push(match cell {
                    Cell::Took { .. } => figure(self.net(row, entry.name)),
                    Cell::Missing(_) => "-".to_owned(),
                    Cell::Wrong(_) => "wrong".to_owned(),
                });
            }
            for (of, to) in PAIRS {
                let ratio = self.net(row, of).zip(self.net(row, to));
                cells.push(ratio.map_or("-".to_owned(), |(a, b)| format!("{:.2}", a / b)));
            }
            table.row(&cells);
        }
        table
    }

    /// Prints the table, and why cells are empty.
    pub fn print(&self) {
        self.table().print();
        println!();
        for entry in ENGINES {
            if let Some(ns) = self.entry(entry.name) {
                println!("entry of {}: {ns:.1} ns, taken off", entry.name);
            }
        }
        for ((engine, why), count) in self.missing() {
            println!("{engine}: {count} programs left out: {why}");
        }
        for (engine, program, how) in self.wrong() {
            println!("{engine}: wrong on {program}: {how}");
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
        json!({ "entry_ns": entry, "programs": rows })
    }
}

/// Ratios that stand in the table.
const PAIRS: &[(&str, &str)] = &[
    (super::engines::TIER_1, super::engines::LINUX),
    (super::engines::TIER_1, super::engines::NATIVE),
];

fn index(engine: &str) -> Option<usize> {
    ENGINES.iter().position(|e| e.name == engine)
}

/// A time for people.
fn figure(ns: Option<f64>) -> String {
    match ns {
        Some(ns) if ns < 99.5 => format!("{ns:.1}"),
        Some(ns) => format!("{ns:.0}"),
        None => "-".to_owned(),
    }
}

/// Geometric mean.
pub fn geomean(values: &[f64]) -> Option<f64> {
    let logs: f64 = values.iter().map(|v| v.ln()).sum();
    (!values.is_empty()).then(|| (logs / values.len() as f64).exp())
}
