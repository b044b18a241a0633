//! Linux's verifier log, as far as it must be read: which of its lines says what is wrong.

/// The line of a log that says why the program was rejected: the last that is neither a source line,
/// nor an instruction with its state, nor a figure.
///
/// What Linux writes after it without beginning a line is cut off.
pub fn reason(log: &str) -> Option<&str> {
    let said = |line: &&str| !line.is_empty() && !is_about_the_walk(line) && !is_figure(line);
    let mut lines = log.lines().rev().map(|line| sole(line.trim_end()));
    let last = lines.find(said)?;
    // Of a program that ends, the line before it says which one.
    if last.starts_with("BPF_EXIT") && last.ends_with("would lead to reference leak") {
        let leaked = lines.find(said);
        return Some(
            leaked
                .filter(|line| line.starts_with("Unreleased"))
                .unwrap_or(last),
        );
    }
    Some(last)
}

/// A line without the figures that follow a message which does not end its line.
fn sole(line: &str) -> &str {
    const GLUED: [(&str, &str); 3] = [
        ("verification time ", " usec"),
        ("stack depth ", ""),
        ("processed ", " insns (limit "),
    ];
    let begin = GLUED.iter().filter_map(|(before, after)| {
        let at = line.rfind(before)?;
        let rest = line[at + before.len()..].trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = rest.len() < line.len() - at - before.len();
        (at > 0 && digits && rest.starts_with(after)).then_some(at)
    });
    begin.min().map_or(line, |at| line[..at].trim_end())
}

fn is_figure(line: &str) -> bool {
    ["processed ", "stack depth ", "verification time "]
        .iter()
        .any(|figure| line.starts_with(figure))
}

/// What the verifier writes while it walks: lines of source, instructions, states.
fn is_about_the_walk(line: &str) -> bool {
    const BEGIN: &[&str] = &[
        ";",
        "func#",
        "Func#",
        "Validating ",
        "Live regs before insn",
        "mark_precise:",
        "last_idx ",
        "regs=",
        "parent state",
        "parent didn't have",
        "propagating ",
        "caller:",
        "callee:",
        "returning from callee",
        "to caller at ",
        "cur state:",
        "old state:",
        "live stack",
        "SCC ",
        "stack use/def ",
        "(",
        "#",
    ];
    let line = line.trim_start();
    BEGIN.iter().any(|begin| line.starts_with(begin))
        || is_instruction(line)
        || is_way(line)
        || is_state(line)
}

/// `12: (bf) r6 = r1`
fn is_instruction(line: &str) -> bool {
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.len() < line.len() && rest.starts_with(':')
}

/// `from 12 to 14: R0=0`
fn is_way(line: &str) -> bool {
    let rest = line.strip_prefix("from ").unwrap_or_default();
    rest.starts_with(|c: char| c.is_ascii_digit()) && rest.contains(" to ")
}

/// `R0=0`, `frame1: R1=ctx()`; `R0 !read_ok` is a message.
fn is_state(line: &str) -> bool {
    let line = match line.strip_prefix("frame") {
        Some(rest) => {
            let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            match after.strip_prefix(':') {
                Some(state) if after.len() < rest.len() => state.trim_start(),
                _ => return false,
            }
        }
        None => line,
    };
    let Some((name, _)) = line.split_once('=') else {
        return line.is_empty();
    };
    let register = name.strip_prefix('R').unwrap_or_default();
    let number = register.split('_').next().unwrap_or_default();
    let slot = name.starts_with("fp-") || name.starts_with("refs");
    slot || (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::reason;

    /// Ends of logs of Linux 6.18, with the line that says what is wrong.
    const LOGS: &[(&str, &str)] = &[
        // A source line and a state after the message's own line, and figures glued to it.
        (
            "; return t->slots[i]; @ x.c:10\nR0 unbounded memory access, make sure to bounds check \
             any such access\nverification time 40 usec\nprocessed 13 insns (limit 1000000) \
             max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n",
            "R0 unbounded memory access, make sure to bounds check any such access",
        ),
        (
            "combined stack size of 2 calls is 608. Too largeverification time 12 usec\nstack depth \
             304+304\nprocessed 9 insns (limit 1000000) max_states_per_insn 0 total_states 0\n",
            "combined stack size of 2 calls is 608. Too large",
        ),
        (
            "5: (05) goto pc-6\ninfinite loop detected at insn 0\ncur state: R0=0 R10=fp0\nold state: \
             R0=0 R10=fp0\nprocessed 6 insns (limit 1000000)\n",
            "infinite loop detected at insn 0",
        ),
        (
            "Unreleased reference id=2 alloc_insn=9\nBPF_EXIT instruction in main prog would lead to \
             reference leak\nprocessed 18 insns (limit 1000000)\n",
            "Unreleased reference id=2 alloc_insn=9",
        ),
        (
            "Unreleased reference id=2 alloc_insn=13\ntail_call would lead to reference leak\n",
            "tail_call would lead to reference leak",
        ),
        (
            "R1 invalid mem access 'scalar'\n; *p = 1; @ x.c:3\n12: (62) *(u32 *)(r1 +0) = 1 ; \
             R1=scalar()\nfrom 3 to 5: R0=0 R10=fp0\nframe1: R0=0\n R0=0 R10=fp0 refs=2\n",
            "R1 invalid mem access 'scalar'",
        ),
        (
            "R0 !read_ok\nverification time 38 usec\nstack depth 0\nprocessed 1 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n",
            "R0 !read_ok",
        ),
    ];

    #[test]
    fn the_line_that_says_what_is_wrong_is_found() {
        for (log, wanted) in LOGS {
            assert_eq!(reason(log), Some(*wanted), "{log}");
        }
        assert_eq!(reason("verification time 1 usec\n"), None);
        assert_eq!(reason(""), None);
    }
}
