//! The section of `docs/parity.md` about generated programs: how they are asked, and the figures of
//! the run that is recorded.

use std::{fmt::Write, path::PathBuf, process::ExitCode};

use serde_json::{Value, json};

use super::difference::Difference;

const HEADING: &str = "## Generated programs\n";

/// Where the project keeps the run that the page is about.
fn recorded() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("recorded/generated.json")
}

/// Runs `panal-parity write-up RUN.json PAGE`: records the run, and writes its section into the page.
pub fn run(args: &[String]) -> ExitCode {
    let done = match args {
        [run, page] => write_up(run, page),
        _ => Err("usage: panal-parity write-up RUN.json PAGE".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("panal-parity: {why}");
            ExitCode::from(2)
        }
    }
}

fn write_up(run: &str, page: &str) -> Result<(), String> {
    let read = |path: &str| std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"));
    let run: Value = serde_json::from_str(&read(run)?).map_err(|e| format!("{run}: {e}"))?;
    let text = replaced(&read(page)?, &section(&run)?);
    let kept = format!("{:#}\n", without_logs(run));
    let path = recorded();
    std::fs::write(&path, kept).map_err(|e| format!("{}: {e}", path.display()))?;
    std::fs::write(page, text).map_err(|e| format!("{page}: {e}"))
}

/// The section about the recorded run; nothing when none is recorded.
pub fn of_recorded() -> String {
    let text = std::fs::read_to_string(recorded()).unwrap_or_default();
    let run = serde_json::from_str(&text).ok();
    run.and_then(|run| section(&run).ok()).unwrap_or_default()
}

/// A page with this section instead of the one that it had.
fn replaced(page: &str, section: &str) -> String {
    let Some(at) = page.find(HEADING) else {
        return format!("{}\n\n{section}", page.trim_end());
    };
    let after = &page[at + HEADING.len()..];
    let rest = after.find("\n## ").map_or("", |end| &after[end + 1..]);
    let gap = if rest.is_empty() { "" } else { "\n" };
    format!("{}{section}{gap}{rest}", &page[..at])
}

fn without_logs(mut run: Value) -> Value {
    for case in run["cases"].as_array_mut().into_iter().flatten() {
        if let Some(case) = case.as_object_mut() {
            case.retain(|key, _| ["kind", "seed", "type", "now", "again"].contains(&key.as_str()));
        }
    }
    run
}

fn section(run: &Value) -> Result<String, String> {
    let figure = |name: &str| {
        let value = run
            .get(name)
            .ok_or_else(|| format!("no {name} in the run"))?;
        Ok::<String, String>(match value {
            Value::String(text) => text.clone(),
            Value::Number(n) if n.is_f64() => format!("{:.0}", n.as_f64().unwrap_or_default()),
            other => other.to_string(),
        })
    };
    let mut page = format!("{HEADING}\n{HOW}\n");
    let _ = writeln!(
        page,
        "The recorded run (`parity/recorded/generated.json`): {} with {} against {}, {} s with {} threads, \
         seeds from {}: {} programs, of which {} were heavy and left out and {} that Linux might not \
         survive; Linux accepted {}, the results of {} were compared.\n",
        figure("panal")?,
        figure("engines")?,
        figure("linux")?,
        figure("seconds")?,
        figure("jobs")?,
        figure("first_seed")?,
        figure("programs")?,
        figure("heavy_left_out")?,
        figure("dangerous_left_out")?,
        figure("accepted")?,
        figure("compared")?,
    );
    page.push_str("| disagreement | seen | of these now | meaning |\n|---|---|---|---|\n");
    let none = json!([]);
    let cases = run.get("cases").unwrap_or(&none).as_array();
    let cases = cases.ok_or("cases are no list")?;
    for kind in Difference::ALL {
        let name = format!("{kind:?}");
        let of_kind: Vec<&Value> = cases
            .iter()
            .filter(|c| c["kind"] == name.as_str())
            .collect();
        let _ = writeln!(
            page,
            "| {name} | {} | {} | {} |",
            of_kind.len(),
            now(&of_kind),
            kind.meaning()
        );
    }
    Ok(page)
}

/// What the present code makes of the cases of one kind.
fn now(cases: &[&Value]) -> String {
    let mut counts = std::collections::BTreeMap::new();
    for case in cases {
        let now = case["now"].as_str().unwrap_or("not asked again");
        *counts.entry(now).or_insert(0) += 1;
    }
    let counts: Vec<String> = counts.iter().map(|(now, n)| format!("{n} {now}")).collect();
    counts.join(", ")
}

const HOW: &str = "\
`cargo xtask fuzz-parity` (`--help` of `cargo xtask` has its options) makes programs from seeds, asks Linux and
Panal about each, runs those that both accept on three packets with two of Panal's engines (interpreter,
machine code, in the cage, for a CPU without extensions: every pair in turn), and compares. Exit
code 1 after a FalseAccept, a Result or a Panic; `--seed S --programs 1` asks about one program again;
`--json FILE` writes everything down, and `--again FILE` asks again about what it lists.

- Made: programs of 14 types' shares (tc, XDP, socket filter, cgroup skb, LWT, syscall, raw tracepoint) with
  up to two further functions (static, global, called back), branches, bounded loops, `may_goto`, iterators,
  spills whole and in part, pointer arithmetic, packet checks, legacy packet loads, atomics, 12 maps
  of 11 types, helpers for maps, packets, checksums, strings, ring buffers, dynptrs, tail calls. In half of
  them one part in 15 or 40 is wild: what no careful programmer writes.
- Compared: the verdict; for those that both accept the return value, the packet, a syscall program's
  context, and every map's elements, after each packet.
- Not compared: results that are no function of the input. Registers and stack bytes are followed
  (`parity/src/function/`): where an address or a byte that nobody wrote comes to where it shows, only the
  verdict counts. So it does for fields of a context that kernels fill otherwise, for parts of
  a field that Linux keeps narrower than programs see it, and where packets grow in loops: whether Linux
  has a larger buffer depends on its free memory.
- Left out: programs that take more than 20,000 instructions to verify, but for one in 64; and loops without
  an end of their own in functions that are called back: verifying some of these, Linux 6.18
  dereferences a null pointer (`__mark_chain_precision`, from `propagate_precision`), which kills the thread.
- Where Linux is wrong: 6.18 does not carry precision back through an atomic fetch from the stack (among the
  attacks of docs/soundness.md, `atomic fetch`). It prunes a path that it must walk, takes for dead what runs,
  and removes it: the program then returns otherwise than its instructions say, which Panal does. The
  Result of seed 10546290 is that; where a load stands in the place of the fetch, both return the same.
  For the same reason it accepts programs that Panal rejects: so in each FalseReject of the recorded run, and in
  seeds 10001762, 10084681, 10378107, 10560863 and 10580199 of earlier ones.
- What once disagreed and was mended is in `parity/tests/mended.txt`, which a test asks again.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Value {
        json!({
            "panal": "panal 1", "engines": "[Interpreter]", "linux": "linux 2", "seconds": 3.4, "jobs": 2,
            "first_seed": 5, "programs": 60, "heavy_left_out": 7, "dangerous_left_out": 8,
            "accepted": 30, "compared": 20,
            "cases": [
                {"kind": "Result", "seed": 9, "now": "agrees", "linux_log": "long"},
                {"kind": "Result", "seed": 10},
            ],
        })
    }

    #[test]
    fn the_section_has_the_figures() {
        let text = section(&run()).unwrap();
        assert!(
            text.contains("60 programs, of which 7 were heavy"),
            "{text}"
        );
        assert!(
            text.contains("| Result | 2 | 1 agrees, 1 not asked again |"),
            "{text}"
        );
        assert!(text.contains("| FalseAccept | 0 |  |"), "{text}");
    }

    #[test]
    fn a_run_without_figures_is_refused() {
        assert_eq!(section(&json!({})), Err("no panal in the run".to_owned()));
    }

    #[test]
    fn the_section_takes_the_place_of_the_old_one() {
        let page = "# Title\n\n## Generated programs\n\nold\n\n## Next\n\ntext\n";
        let new = "## Generated programs\n\nnew\n";
        let twice = replaced(&replaced(page, new), new);
        assert_eq!(
            twice,
            "# Title\n\n## Generated programs\n\nnew\n\n## Next\n\ntext\n"
        );
        assert_eq!(replaced("# Title\n", new), format!("# Title\n\n{new}"));
    }

    #[test]
    fn logs_are_not_kept() {
        let kept = without_logs(run());
        assert_eq!(
            kept["cases"][0],
            json!({"kind": "Result", "seed": 9, "now": "agrees"})
        );
    }
}
