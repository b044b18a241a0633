//! The seccomp filter of a supervised tree: which system calls stop, and how.
//!
//! Classic BPF, run by Linux at every system call of the tree. Calls that nobody asked for are
//! allowed by number alone, so that Linux answers for them from its own cache and they cost
//! nothing.

use super::syscall_table::{AUDIT_ARCH, LIMIT};

/// What happens at a system call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// It proceeds unseen.
    #[default]
    Allow,
    /// The caller waits for the supervisor's answer (`SECCOMP_RET_USER_NOTIF`).
    Notify,
    /// The caller stops for its tracer (`SECCOMP_RET_TRACE`).
    Trace,
    /// As [`Action::Trace`], if the low half of the first argument has this value; else unseen.
    TraceIfFirst(u32),
    /// It fails with this errno.
    Fail(u16),
}

/// One action for each system call number.
#[derive(Clone, Debug)]
pub struct Actions([Action; LIMIT as usize]);

impl Default for Actions {
    fn default() -> Self {
        Actions([Action::Allow; LIMIT as usize])
    }
}

impl Actions {
    /// Sets the action of a system call; numbers past the table's limit are ignored.
    pub fn set(&mut self, number: u32, action: Action) {
        if let Some(slot) = self.0.get_mut(number as usize) {
            *slot = action;
        }
    }

    /// The action of a system call.
    pub fn get(&self, number: u32) -> Action {
        self.0.get(number as usize).copied().unwrap_or_default()
    }

    /// Neighbouring numbers with the same action as one range: (first number, action).
    fn ranges(&self) -> Vec<(u32, Action)> {
        let mut ranges: Vec<(u32, Action)> = Vec::new();
        for (number, action) in self.0.iter().enumerate() {
            if ranges.last().is_none_or(|last| last.1 != *action) {
                ranges.push((number as u32, *action));
            }
        }
        // Above the table: unseen.
        if ranges.last().is_some_and(|last| last.1 != Action::Allow) {
            ranges.push((LIMIT, Action::Allow));
        }
        ranges
    }
}

// linux/seccomp.h: struct seccomp_data and return values.
const DATA_NR: u32 = 0;
const DATA_ARCH: u32 = 4;
const DATA_FIRST_ARG_LOW: u32 = 16;
/// Bit that marks x32 calls under x86-64's audit architecture.
#[cfg(target_arch = "x86_64")]
const X32_BIT: u32 = 0x4000_0000;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const JUMP_EQ: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const JUMP_GE: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;

/// Builds the filter's program.
///
/// Calls by another convention than the native one (32-bit or x32 on x86-64) would pass by numbers
/// that mean something else: they fail with `ENOSYS`, as on a kernel built without them.
pub fn build(actions: &Actions) -> Vec<libc::sock_filter> {
    let mut code = vec![
        instruction(LOAD, 0, 0, DATA_ARCH),
        instruction(JUMP_EQ, 1, 0, AUDIT_ARCH),
        instruction(RETURN, 0, 0, fail(libc::ENOSYS as u16)),
        instruction(LOAD, 0, 0, DATA_NR),
    ];
    #[cfg(target_arch = "x86_64")]
    code.extend([
        instruction(JUMP_GE, 0, 1, X32_BIT),
        instruction(RETURN, 0, 0, fail(libc::ENOSYS as u16)),
    ]);
    tree(&actions.ranges(), &mut code);
    code
}

/// A binary search over the ranges; as deep as the logarithm of their count (at most 10).
fn tree(ranges: &[(u32, Action)], code: &mut Vec<libc::sock_filter>) {
    let (low, high) = ranges.split_at(ranges.len() / 2);
    match (low, high) {
        ([], []) => leaf(Action::Allow, code),
        ([], [(_, action), ..]) => leaf(*action, code),
        (_, [(first, _), ..]) => {
            code.push(instruction(JUMP_GE, 0, 1, *first));
            let jump = code.len();
            code.push(instruction(JUMP, 0, 0, 0));
            tree(low, code);
            code[jump].k = (code.len() - jump - 1) as u32;
            tree(high, code);
        }
        (_, []) => tree(low, code),
    }
}

fn leaf(action: Action, code: &mut Vec<libc::sock_filter>) {
    match action {
        Action::Allow => code.push(instruction(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW)),
        Action::Notify => code.push(instruction(RETURN, 0, 0, libc::SECCOMP_RET_USER_NOTIF)),
        Action::Trace => code.push(instruction(RETURN, 0, 0, libc::SECCOMP_RET_TRACE)),
        Action::TraceIfFirst(value) => code.extend([
            instruction(LOAD, 0, 0, DATA_FIRST_ARG_LOW),
            instruction(JUMP_EQ, 0, 1, value),
            instruction(RETURN, 0, 0, libc::SECCOMP_RET_TRACE),
            instruction(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
        ]),
        Action::Fail(errno) => code.push(instruction(RETURN, 0, 0, fail(errno))),
    }
}

fn fail(errno: u16) -> u32 {
    libc::SECCOMP_RET_ERRNO | u32::from(errno)
}

fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slow and obvious classic BPF machine for the instructions used here.
    fn run(code: &[libc::sock_filter], arch: u32, nr: u32, arg: u32) -> u32 {
        let (mut pc, mut acc) = (0usize, 0u32);
        loop {
            let at = code[pc];
            pc += 1;
            let choose = |yes: bool| usize::from(if yes { at.jt } else { at.jf });
            match at.code {
                LOAD => {
                    acc = match at.k {
                        DATA_NR => nr,
                        DATA_ARCH => arch,
                        DATA_FIRST_ARG_LOW => arg,
                        other => panic!("load from {other}"),
                    }
                }
                RETURN => return at.k,
                JUMP => pc += at.k as usize,
                JUMP_EQ => pc += choose(acc == at.k),
                JUMP_GE => pc += choose(acc >= at.k),
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    fn expected(action: Action, arg: u32) -> u32 {
        match action {
            Action::Allow => libc::SECCOMP_RET_ALLOW,
            Action::Notify => libc::SECCOMP_RET_USER_NOTIF,
            Action::Trace => libc::SECCOMP_RET_TRACE,
            Action::TraceIfFirst(v) if v == arg => libc::SECCOMP_RET_TRACE,
            Action::TraceIfFirst(_) => libc::SECCOMP_RET_ALLOW,
            Action::Fail(e) => fail(e),
        }
    }

    #[test]
    fn every_number_gets_its_own_action() {
        let kinds = [
            Action::Allow,
            Action::Notify,
            Action::Trace,
            Action::TraceIfFirst(15),
            Action::Fail(13),
        ];
        for step in [1usize, 2, 3, 7, 100, 511] {
            let mut actions = Actions::default();
            for number in (0..LIMIT).step_by(step) {
                actions.set(number, kinds[(number as usize / step) % kinds.len()]);
            }
            let code = build(&actions);
            assert!(code.len() < 4096, "Linux takes at most 4096 instructions");
            for number in 0..LIMIT + 10 {
                for arg in [15, 16] {
                    let want = expected(actions.get(number), arg);
                    assert_eq!(run(&code, AUDIT_ARCH, number, arg), want, "{number}");
                }
            }
        }
    }

    #[test]
    fn every_call_noticed_up_to_the_last_number_and_not_beyond() {
        let mut actions = Actions::default();
        (0..LIMIT).for_each(|n| actions.set(n, Action::Notify));
        let code = build(&actions);
        assert_eq!(
            run(&code, AUDIT_ARCH, LIMIT - 1, 0),
            libc::SECCOMP_RET_USER_NOTIF
        );
        assert_eq!(run(&code, AUDIT_ARCH, LIMIT, 0), libc::SECCOMP_RET_ALLOW);
    }

    #[test]
    fn foreign_conventions_are_refused() {
        let code = build(&Actions::default());
        let i386 = 0x4000_0003;
        assert_eq!(run(&code, i386, 5, 0), fail(libc::ENOSYS as u16));
        #[cfg(target_arch = "x86_64")]
        assert_eq!(
            run(&code, AUDIT_ARCH, X32_BIT | 1, 0),
            fail(libc::ENOSYS as u16)
        );
    }
}
