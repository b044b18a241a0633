//! The page `docs/parity.md`: figures by file, then every disagreement, false accepts first.

use std::{collections::BTreeMap, fmt::Write};

use super::Case;
use crate::objects::Verdict;

/// The whole page.
pub fn page(
    kernel: &str,
    cases: &[Case],
    unopened: &BTreeMap<String, String>,
    failed: &[String],
) -> String {
    let mut page = String::new();
    let _ = write!(
        page,
        "# Agreement with Linux\n\n\
         Written by `cargo xtask parity`: the verifier selftests of Linux 6.12 (`verifier_*.c`), compiled by\n\
         clang-22 against the running kernel's types, asked of {kernel} and of Panal under the same\n\
         profile.\n\n{}\n\n",
        summary(cases)
    );
    expectations(&mut page, cases);
    by_file(&mut page, cases);
    disagreements(&mut page, cases);
    let mut list = |title: &str, items: Vec<String>| {
        if !items.is_empty() {
            let _ = writeln!(page, "\n## {title}\n");
            for item in items {
                let _ = writeln!(page, "- {item}");
            }
        }
    };
    list(
        "Objects that could not be opened",
        unopened.iter().map(|(f, w)| format!("{f}: {w}")).collect(),
    );
    list("Sources that did not compile", failed.to_vec());
    page
}

/// The figures in one sentence.
pub fn summary(cases: &[Case]) -> String {
    let decided = cases.iter().filter(|c| c.decided()).count();
    let agreed = cases.iter().filter(|c| c.decided() && c.agrees()).count();
    let false_accepts = cases.iter().filter(|c| is_false_accept(c)).count();
    let share = 100.0 * agreed as f64 / decided.max(1) as f64;
    let (same, ran) = results(cases);
    format!(
        "Agrees with Linux on {agreed} of {decided} decided programs ({share:.2} %), \
         {false_accepts} false accepts; {same} of {ran} runs returned the same."
    )
}

fn is_false_accept(case: &Case) -> bool {
    case.linux.word() == "reject" && case.panal.word() == "accept"
}

/// Runs that returned the same, of those that both kernels could do.
fn results(cases: &[Case]) -> (usize, usize) {
    let ran: Vec<_> = cases
        .iter()
        .filter_map(|c| c.returned.as_ref())
        .filter_map(|(linux, panal)| Some((linux.as_ref().ok()?, panal)))
        .collect();
    let same = ran
        .iter()
        .filter(|(linux, panal)| panal.as_ref() == Ok(*linux))
        .count();
    (same, ran.len())
}

/// How the selftests' own expectations fare.
fn expectations(page: &mut String, cases: &[Case]) {
    let said: Vec<&Case> = cases
        .iter()
        .filter(|c| c.expected.accept.is_some())
        .collect();
    let met = |verdict: fn(&Case) -> &Verdict| {
        said.iter()
            .filter(|c| Some(verdict(c).word() == "accept") == c.expected.accept)
            .count()
    };
    let _ = writeln!(
        page,
        "The selftests' own expectations (written for 6.12): Linux meets {} of {}, Panal {}.\n",
        met(|c| &c.linux),
        said.len(),
        met(|c| &c.panal)
    );
}

fn by_file(page: &mut String, cases: &[Case]) {
    let mut files: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for case in cases.iter().filter(|c| c.decided()) {
        let (agreed, decided) = files.entry(&case.file).or_default();
        *decided += 1;
        *agreed += usize::from(case.agrees());
    }
    let _ = writeln!(page, "| file | agree | decided |\n|---|---|---|");
    for (file, (agreed, decided)) in files {
        let _ = writeln!(page, "| {file} | {agreed} | {decided} |");
    }
}

fn disagreements(page: &mut String, cases: &[Case]) {
    let mut differ: Vec<&Case> = cases
        .iter()
        .filter(|c| c.decided() && !c.agrees())
        .collect();
    differ.sort_by_key(|c| !is_false_accept(c));
    let _ = writeln!(page, "\n## Disagreements\n");
    if differ.is_empty() {
        let _ = writeln!(page, "None.");
    }
    for case in differ {
        let kind = if is_false_accept(case) {
            " (false accept)"
        } else {
            ""
        };
        let _ = writeln!(page, "- {} `{}`{kind}", case.file, case.program);
        let _ = writeln!(
            page,
            "  - Linux: {} {}",
            case.linux.word(),
            case.linux.reason()
        );
        let _ = writeln!(
            page,
            "  - Panal: {} {}",
            case.panal.word(),
            case.panal.reason()
        );
    }
    let different = cases.iter().filter_map(|c| Some((c, c.returned.as_ref()?)));
    for (case, (linux, panal)) in different {
        if linux.is_ok() && linux != panal {
            let _ = writeln!(
                page,
                "- {} `{}` returned {linux:?} on Linux, {panal:?} on Panal",
                case.file, case.program
            );
        }
    }
}
