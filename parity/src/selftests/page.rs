//! The page `docs/parity.md`: figures by kernel and by file, then every disagreement, false accepts
//! first.

use std::{collections::BTreeMap, fmt::Write};

use panal_uapi::Errno;

use super::{Case, Part, Which};
use crate::objects::Verdict;

/// The parts that were wanted; the reason for one that could not be.
pub struct Parts(pub Vec<(Which, Result<Part, String>)>);

/// The figures in one sentence.
pub fn summary(part: &Part) -> String {
    let cases = &part.cases;
    let decided = count(cases, Case::decided);
    let agreed = count(cases, |c| c.decided() && c.agrees());
    let false_accepts = count(cases, Case::is_false_accept);
    let share = 100.0 * agreed as f64 / decided.max(1) as f64;
    let (same, ran) = results(cases);
    let rejected = count(cases, |c| errnos(c).is_some());
    let same_errno = count(cases, |c| errnos(c).is_some_and(|(a, b)| a == b));
    format!(
        "agrees with {} on {agreed} of {decided} decided programs ({share:.2} %), \
         {false_accepts} false accepts; {same_errno} of {rejected} rejections have the same errno, \
         {same} of {ran} runs returned the same.",
        part.kernel
    )
}

/// How the selftests' own texts fare, in one sentence.
pub fn messages(cases: &[Case]) -> String {
    let asked = count(cases, asks_messages);
    let met = count(cases, |c| asks_messages(c) && c.missing_message().is_none());
    let share = 100.0 * met as f64 / asked.max(1) as f64;
    format!("Of {asked} programs that expect texts in the log, {met} find them all ({share:.2} %).")
}

/// Both errnos where both reject.
fn errnos(case: &Case) -> Option<(Errno, Errno)> {
    match (&case.linux, &case.panal) {
        (Verdict::Reject { errno: a, .. }, Verdict::Reject { errno: b, .. }) => Some((*a, *b)),
        _ => None,
    }
}

fn asks_messages(case: &Case) -> bool {
    !case.expected.messages.is_empty()
}

fn count(cases: &[Case], wanted: impl Fn(&Case) -> bool) -> usize {
    cases.iter().filter(|case| wanted(case)).count()
}

/// Runs that returned the same, of those that Linux could do.
fn results(cases: &[Case]) -> (usize, usize) {
    let ran = |c: &Case| matches!(&c.returned, Some((Ok(_), _)));
    let same = count(cases, |c| ran(c) && !c.returned_otherwise());
    (same, count(cases, ran))
}

impl Parts {
    /// A part that was asked.
    fn part(&self, which: Which) -> Option<&Part> {
        let (_, part) = self.0.iter().find(|(w, _)| *w == which)?;
        part.as_ref().ok()
    }

    /// The whole page.
    pub fn page(&self) -> String {
        let mut page = String::from(
            "# Agreement with Linux\n\n\
             Written by `cargo xtask parity`: the verifier selftests of Linux 6.12 (`verifier_*.c`), compiled by\n\
             clang-22 against the types of the kernel that is meant, asked of Panal under that kernel's profile.\n\
             The running kernel is asked itself (*live*); what Linux 6.12 said is *recorded*\n\
             (`parity/recorded/`), to a loader with every capability and to one without any (*unprivileged*);\n\
             its types come from Debian's kernel package. What a selftest calls a pointer (`POINTER_VALUE`) is\n\
             compared for being null or not.\n\n",
        );
        for (which, part) in &self.0 {
            let name = which.name();
            let _ = match part {
                Ok(part) => writeln!(page, "- {name}: Panal {}", summary(part)),
                Err(why) => writeln!(page, "- {name}: not asked: {why}"),
            };
        }
        let with_texts = [Which::Recorded, Which::Unprivileged];
        for part in with_texts.into_iter().filter_map(|w| self.part(w)) {
            own_expectations(&mut page, part);
        }
        page.push('\n');
        page.push_str(&crate::fuzz::page::of_recorded());
        page.push_str("\n## By file\n\n");
        by_file(&mut page, self);
        for (which, part) in &self.0 {
            if let Ok(part) = part {
                details(&mut page, which.name(), part);
            }
        }
        for part in with_texts.into_iter().filter_map(|w| self.part(w)) {
            missing_messages(&mut page, part);
        }
        page
    }
}

/// How the selftests' own expectations fare.
fn own_expectations(page: &mut String, part: &Part) {
    let says = |c: &Case| c.expected.accept.is_some();
    let met = |c: &Case, word: &str| Some(word == "accept") == c.expected.accept;
    let said = count(&part.cases, says);
    let _ = writeln!(
        page,
        "- The selftests' own expectations of {}: verdicts: Linux meets {} of {said}, Panal {}. {}",
        part.kernel.trim_end_matches(','),
        count(&part.cases, |c| says(c) && met(c, c.linux.word())),
        count(&part.cases, |c| says(c) && met(c, c.panal.word())),
        messages(&part.cases)
    );
}

/// Figures of one file: of how many, and how many.
#[derive(Default)]
struct Figures {
    live: (usize, usize),
    recorded: (usize, usize),
    unprivileged: (usize, usize),
    messages: (usize, usize),
}

fn by_file(page: &mut String, parts: &Parts) {
    let live = parts.part(Which::Live);
    let recorded = parts.part(Which::Recorded);
    let unprivileged = parts.part(Which::Unprivileged);
    let mut files: BTreeMap<&str, Figures> = BTreeMap::new();
    fn add(figure: &mut (usize, usize), yes: bool) {
        figure.0 += usize::from(yes);
        figure.1 += 1;
    }
    for case in live.iter().flat_map(|p| &p.cases).filter(|c| c.decided()) {
        add(
            &mut files.entry(&case.file).or_default().live,
            case.agrees(),
        );
    }
    for case in recorded.iter().flat_map(|p| &p.cases) {
        let figures = files.entry(&case.file).or_default();
        add(&mut figures.recorded, case.agrees());
        if asks_messages(case) {
            add(&mut figures.messages, case.missing_message().is_none());
        }
    }
    for case in unprivileged.iter().flat_map(|p| &p.cases) {
        let figures = files.entry(&case.file).or_default();
        add(&mut figures.unprivileged, case.agrees());
    }
    let name = |part: Option<&Part>, otherwise| part.map_or(otherwise, |p: &Part| p.kernel.clone());
    let _ = writeln!(
        page,
        "| file | {}, live | {}, recorded | the same, unprivileged | texts in the log |\n\
         |---|---|---|---|---|",
        name(live, "running kernel".into()),
        name(recorded, "linux 6.12".into())
    );
    let share = |(yes, of): (usize, usize)| match of {
        0 => "-".to_owned(),
        _ => format!("{yes} of {of}"),
    };
    for (file, figures) in files {
        let _ = writeln!(
            page,
            "| {file} | {} | {} | {} | {} |",
            share(figures.live),
            share(figures.recorded),
            share(figures.unprivileged),
            share(figures.messages)
        );
    }
}

/// Every disagreement, and what could not be asked.
fn details(page: &mut String, name: &str, part: &Part) {
    let _ = writeln!(page, "\n## Disagreements with {}, {name}\n", part.kernel);
    let mut differ: Vec<&Case> = part
        .cases
        .iter()
        .filter(|c| c.decided() && !c.agrees())
        .collect();
    differ.sort_by_key(|c| !c.is_false_accept());
    if differ.is_empty() {
        let _ = writeln!(page, "None.");
    }
    for case in differ {
        let kind = if case.is_false_accept() {
            " (false accept)"
        } else {
            ""
        };
        let _ = writeln!(page, "- {} `{}`{kind}", case.file, case.program);
        for (who, verdict) in [("Linux", &case.linux), ("Panal", &case.panal)] {
            let _ = writeln!(page, "  - {who}: {} {}", verdict.word(), verdict.reason());
        }
    }
    let mut list = |title: &str, items: Vec<String>| {
        if !items.is_empty() {
            let _ = writeln!(page, "\n### {title} ({})\n", part.kernel);
            for item in items {
                let _ = writeln!(page, "- {item}");
            }
        }
    };
    let otherwise = part.cases.iter().filter(|c| c.returned_otherwise());
    let otherwise = otherwise.filter_map(|case| {
        let (linux, panal) = case.returned.as_ref()?;
        let linux = linux.as_ref().ok()?;
        let panal = panal
            .as_ref()
            .map_or_else(|why| why.clone(), u32::to_string);
        Some(format!(
            "{} `{}`: {linux} on Linux, on Panal {panal}",
            case.file, case.program
        ))
    });
    list("Runs that returned another value", otherwise.collect());
    let unopened = part.unopened.iter().map(|(f, w)| format!("{f}: {w}"));
    list("Objects that could not be opened", unopened.collect());
    list("Sources that did not compile", part.failed.clone());
}

/// The texts that Panal's log lacks.
fn missing_messages(page: &mut String, part: &Part) {
    let kernel = part.kernel.trim_end_matches(',');
    let _ = writeln!(page, "\n## Texts that Panal's log lacks ({kernel})\n");
    for case in &part.cases {
        if let Some(missing) = case.missing_message() {
            let _ = writeln!(
                page,
                "- {} `{}`: {missing:?}; the last words are {:?}",
                case.file,
                case.program,
                case.panal.reason()
            );
        }
    }
}
