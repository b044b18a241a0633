//! Maps that are printed when a run is over: what a program counted.
//!
//! Printed are hash maps and arrays whose value is a struct with an array of counters called `slots`,
//! as a histogram of powers of two for every key; and every map whose variable carries
//! `__attribute__((btf_decl_tag("print")))`, element by element. Of per-CPU maps the sum over all
//! CPUs is shown.

use std::io::Write;

use panal_btf::{
    Btf, TypeId,
    value::{Json, Value},
};
use panal_loader::{Loaded, LoadedMap};
use panal_uapi::{MapType, kernel::Kernel};

use crate::{
    error::Problem,
    fields,
    output::{self, HEADING, NAME, Painted},
    text::clean,
};

/// More elements of one map are not printed.
const MOST: usize = 10_000;
/// Characters of the longest bar.
const BAR: u64 = 40;
/// The tag that asks for a map to be printed.
const TAG: &str = "print";
/// The member that makes a struct a histogram.
const SLOTS: &str = "slots";

/// Prints the maps that ask for it.
pub fn print(loaded: &Loaded<'_>, json: bool, out: &mut impl Write) -> Result<(), Problem> {
    let Some(btf) = loaded.object().btf() else {
        return Ok(());
    };
    for map in loaded.maps() {
        let definition = &loaded.object().map(map.plan.id).definition;
        let types = Types {
            btf,
            key: definition.key_type,
            value: definition.value_type,
            histogram: definition
                .value_type
                .is_some_and(|ty| is_histogram(btf, ty)),
        };
        if !is_countable(map.plan.map_type) || !(types.histogram || is_tagged(btf, &map.plan.name))
        {
            continue;
        }
        let mut elements = read(loaded.kernel(), map, &types)?;
        if elements.is_empty() {
            continue;
        }
        if json {
            print_json(&map.plan.name, &elements, out)?;
            continue;
        }
        writeln!(out, "\n{}", Painted(HEADING, &map.plan.name))?;
        if types.histogram {
            elements.sort_by_cached_key(|(_, value)| std::cmp::Reverse(total(value)));
        }
        for (key, value) in &elements {
            let key = &types.named(key);
            match slots(value).filter(|_| types.histogram) {
                Some(slots) => print_histogram(key, value, &slots, out)?,
                None => writeln!(
                    out,
                    "{}: {}",
                    Painted(NAME, show(key)),
                    clean(&value.to_string())
                )?,
            }
        }
    }
    Ok(())
}

struct Types<'a> {
    btf: &'a Btf,
    key: Option<TypeId>,
    value: Option<TypeId>,
    histogram: bool,
}

impl Types<'_> {
    /// The key as people read it.
    fn named(&self, key: &Value) -> Value {
        let is_syscall = self.key.is_some_and(|ty| fields::is_syscall(self.btf, ty));
        match key.as_number().map(u32::try_from) {
            Some(Ok(number)) if is_syscall => Value::Text(fields::syscall(number)),
            _ => key.clone(),
        }
    }
}

/// All of a histogram's counters together.
fn total(value: &Value) -> u128 {
    slots(value).map_or(0, |slots| slots.iter().map(|slot| u128::from(*slot)).sum())
}

/// Whether elements can be walked through.
fn is_countable(ty: MapType) -> bool {
    is_per_cpu(ty)
        || matches!(
            ty,
            MapType::Hash | MapType::LruHash | MapType::Array | MapType::LpmTrie
        )
}

fn is_per_cpu(ty: MapType) -> bool {
    matches!(
        ty,
        MapType::PercpuArray | MapType::PercpuHash | MapType::LruPercpuHash
    )
}

fn is_histogram(btf: &Btf, ty: TypeId) -> bool {
    let members = btf.resolve(ty).1.kind.members();
    members.is_some_and(|members| members.iter().any(|m| &*m.name == SLOTS))
}

/// Whether the variable of this name carries the tag.
fn is_tagged(btf: &Btf, name: &str) -> bool {
    let tags = btf.decl_tags();
    let is_var = |kind: &panal_btf::Kind| matches!(kind, panal_btf::Kind::Var { .. });
    btf.iter()
        .any(|(id, ty)| &*ty.name == name && is_var(&ty.kind) && tags.of(id).any(|tag| tag == TAG))
}

/// The elements that hold anything, in the map's order.
fn read(
    kernel: &dyn Kernel,
    map: &LoadedMap,
    types: &Types<'_>,
) -> Result<Vec<(Value, Value)>, Problem> {
    let failed = |failure| Problem::Asked(format!("map {}: {failure}", map.plan.name));
    let mut elements = Vec::new();
    let mut key = kernel.map_next_key(&map.fd, None).map_err(failed)?;
    while let Some(bytes) = key {
        if elements.len() == MOST {
            break;
        }
        if let Some(found) = kernel.map_lookup(&map.fd, &bytes, 0).map_err(failed)?
            && found.iter().any(|byte| *byte != 0)
        {
            let value = match is_per_cpu(map.plan.map_type) {
                true => {
                    let stride = (map.plan.value_size as usize).next_multiple_of(8).max(8);
                    let parts = found
                        .chunks(stride)
                        .map(|part| decode(types.btf, types.value, part));
                    parts.reduce(sum).unwrap_or(Value::Void)
                }
                false => decode(types.btf, types.value, &found),
            };
            elements.push((decode(types.btf, types.key, &bytes), value));
        }
        key = kernel.map_next_key(&map.fd, Some(&bytes)).map_err(failed)?;
    }
    Ok(elements)
}

fn decode(btf: &Btf, ty: Option<TypeId>, bytes: &[u8]) -> Value {
    ty.and_then(|ty| btf.decode(ty, bytes).ok())
        .unwrap_or_else(|| Value::Text(output::hex(bytes.iter().copied())))
}

/// Adds counters; of what is no number the first that says something stays.
fn sum(a: Value, b: Value) -> Value {
    match (a, b) {
        (Value::Unsigned(a), Value::Unsigned(b)) => Value::Unsigned(a.saturating_add(b)),
        (Value::Signed(a), Value::Signed(b)) => Value::Signed(a.saturating_add(b)),
        (Value::Array(a), Value::Array(b)) => {
            Value::Array(a.into_iter().zip(b).map(|(a, b)| sum(a, b)).collect())
        }
        (Value::Struct(a), Value::Struct(b)) => Value::Struct(
            a.into_iter()
                .zip(b)
                .map(|((name, a), (_, b))| (name, sum(a, b)))
                .collect(),
        ),
        (Value::Text(a), b @ Value::Text(_)) if a.is_empty() => b,
        (a, _) => a,
    }
}

/// The counters of a histogram.
fn slots(value: &Value) -> Option<Vec<u64>> {
    let Value::Array(counters) = value.member(SLOTS)? else {
        return None;
    };
    counters
        .iter()
        .map(|c| c.as_number().and_then(|n| u64::try_from(n).ok()))
        .collect()
}

/// A key or value: text without quotes.
fn show(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Struct(members) => {
            let parts = members
                .iter()
                .map(|(name, value)| format!("{name} {}", show(value)));
            parts.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

fn print_histogram(
    key: &Value,
    value: &Value,
    slots: &[u64],
    out: &mut impl Write,
) -> Result<(), Problem> {
    // What stands beside the counters describes them.
    let rest: Vec<String> = match value {
        Value::Struct(members) => members
            .iter()
            .filter(|(name, _)| &**name != SLOTS)
            .map(|(name, value)| format!("{name} {}", show(value)))
            .collect(),
        _ => Vec::new(),
    };
    let rest = match rest.is_empty() {
        true => format!("count {}", total(value)),
        false => rest.join(", "),
    };
    writeln!(out, "{} ({})", Painted(NAME, show(key)), clean(&rest))?;
    let most = slots.iter().copied().max().unwrap_or(0).max(1);
    let first = slots.iter().position(|slot| *slot > 0).unwrap_or(0);
    let last = slots.iter().rposition(|slot| *slot > 0).unwrap_or(0);
    for (index, slot) in slots.iter().enumerate().take(last + 1).skip(first) {
        let low = if index == 0 {
            0
        } else {
            1u128 << index.min(120)
        };
        let high = (1u128 << (index + 1).min(120)) - 1;
        let bar = (u128::from(*slot) * u128::from(BAR) / u128::from(most)) as usize;
        let bar = "*".repeat(bar);
        writeln!(out, "  {low:>12} -> {high:<12} : {slot:<9}|{bar:<40}|")?;
    }
    Ok(())
}

fn print_json(
    name: &str,
    elements: &[(Value, Value)],
    out: &mut impl Write,
) -> Result<(), Problem> {
    let name = serde_json::Value::from(name);
    for (key, value) in elements {
        writeln!(
            out,
            "{{\"map\":{name},\"key\":{},\"value\":{}}}",
            Json(key),
            Json(value)
        )?;
    }
    Ok(())
}
