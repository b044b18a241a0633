//! Single operations: each in a loop of a program, less the same loop without it.

use serde_json::{Value, json};

use super::{
    engines::ENGINES,
    measure::Cell,
    programs::{Program, operation},
};
use crate::table::Table;

/// How often a program does its operation (`ROUNDS` of the C source).
const ROUNDS: f64 = 256.0;

/// The loop without an operation.
static BASE: Program = operation("base");

/// An operation: its program, and what it is called in the table.
struct Operation {
    program: Program,
    name: &'static str,
    /// Whether its program is the loop itself, and has none around it.
    whole: bool,
}

const fn of(program: &'static str, name: &'static str) -> Operation {
    Operation {
        program: operation(program),
        name,
        whole: false,
    }
}

const fn whole(program: &'static str, name: &'static str) -> Operation {
    Operation {
        whole: true,
        ..of(program, name)
    }
}

/// The operations that the bar names.
pub const CALL: &str = "bpf-to-bpf call";
pub const ARRAY: &str = "array lookup";
pub const HASH_HIT: &str = "hash lookup, hit";

static OPERATIONS: &[Operation] = &[
    of("call", CALL),
    of("array_lookup", ARRAY),
    of("percpu_array_lookup", "per-CPU array lookup"),
    of("hash_hit", HASH_HIT),
    of("hash_miss", "hash lookup, miss"),
    of("percpu_hash_hit", "per-CPU hash lookup, hit"),
    of("lru_hit", "LRU hash lookup, hit"),
    of("hash_update", "hash update"),
    of("hash_insert_delete", "hash insert and delete"),
    of("percpu_hash_update", "per-CPU hash update"),
    of("lru_update", "LRU hash update"),
    of("push_pop", "queue, push and pop"),
    of("ring_submit", "ring buffer, reserve and submit 16 bytes"),
    of("ring_output", "ring buffer, output 64 bytes"),
    of("probe_read", "bpf_probe_read_kernel, 8 bytes"),
    of("pid_tgid", "bpf_get_current_pid_tgid"),
    of("ktime", "bpf_ktime_get_ns"),
    of("cpu", "bpf_get_smp_processor_id"),
    whole("loop", "bpf_loop, an iteration"),
    whole("numbers", "bpf_for, a number"),
    whole("each_of_array", "bpf_for_each_map_elem, an array's element"),
    whole("each_of_hash", "bpf_for_each_map_elem, a hash's element"),
];

/// What operations take, in nanoseconds.
#[derive(Default)]
pub struct Micro {
    /// Name, and a figure for each of [`ENGINES`] that has one.
    rows: Vec<(&'static str, Vec<Option<f64>>)>,
}

impl Micro {
    /// The programs to measure.
    pub fn programs() -> impl Iterator<Item = &'static Program> {
        [&BASE]
            .into_iter()
            .chain(OPERATIONS.iter().map(|o| &o.program))
    }

    /// From what they took; `empty` is what entering a program takes each engine.
    pub fn of(cells: &[Vec<Cell>], empty: &[Cell]) -> Micro {
        let mut micro = Micro::default();
        let Some((base, operations)) = cells.split_first() else {
            return micro;
        };
        for (operation, cells) in OPERATIONS.iter().zip(operations) {
            let less = if operation.whole { empty } else { base };
            let figure = |(cell, less): (&Cell, &Cell)| Some((cell.ns()? - less.ns()?) / ROUNDS);
            let figures = cells.iter().zip(less).map(figure).collect();
            micro.rows.push((operation.name, figures));
        }
        micro
    }

    /// Nanoseconds of an operation on an engine.
    pub fn ns(&self, operation: &str, engine: &str) -> Option<f64> {
        let (_, figures) = self.rows.iter().find(|(name, _)| *name == operation)?;
        figures[ENGINES.iter().position(|e| e.name == engine)?]
    }

    /// The table: Panal's engines and Linux.
    pub fn table(&self) -> Table {
        let shown: Vec<usize> = (0..ENGINES.len())
            .filter(|&index| {
                self.rows
                    .iter()
                    .any(|(_, figures)| figures[index].is_some())
            })
            .collect();
        let heads = shown
            .iter()
            .map(|&index| format!("{}, ns", ENGINES[index].name));
        let heads: Vec<String> = ["operation".to_owned()].into_iter().chain(heads).collect();
        let mut table = Table::new(&heads.iter().map(String::as_str).collect::<Vec<_>>());
        for (name, figures) in &self.rows {
            let cell = |&index: &usize| figures[index].map_or("-".into(), |ns| format!("{ns:.2}"));
            let cells = [(*name).to_owned()].into_iter();
            table.row(&cells.chain(shown.iter().map(cell)).collect::<Vec<_>>());
        }
        table
    }

    /// For machines: operation, engine, nanoseconds.
    pub fn json(&self) -> Value {
        let row = |(name, figures): &(&str, Vec<Option<f64>>)| {
            let pairs = ENGINES.iter().zip(figures);
            let figures = pairs.map(|(engine, ns)| (engine.name.to_owned(), json!(ns)));
            ((*name).to_owned(), Value::Object(figures.collect()))
        };
        Value::Object(self.rows.iter().map(row).collect())
    }

    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}
