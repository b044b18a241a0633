//! What was wrong, for people, and what mends it.
//!
//! Checks speak Linux's words; a check that knows more says so itself (`Reject::because`,
//! `Reject::help`). What is said here hangs on the cause that was found, or else on Linux's words.

use alloc::{
    format,
    string::{String, ToString},
};

use panal_isa::AluOp;
use panal_uapi::{
    ProgType,
    report::{Bound, Class, Quantity},
};

use super::{
    limits::{limit, size_limit},
    origin::{Cause, Memory},
    words,
};
use crate::{
    error::Body,
    state::{RegKind, RegState},
};

/// Greatest variable offset of a packet pointer for which comparisons with the end count.
const MAX_PACKET_OFFSET: u64 = 0xffff;

/// What is known of a rejection.
pub struct Case<'a> {
    /// The check that failed.
    pub body: &'a Body,
    /// The register at fault.
    pub register: Option<u8>,
    /// The value at fault.
    pub state: Option<RegState>,
    /// How it came to that, and what was called there.
    pub cause: Option<(Cause, Option<String>)>,
    /// The number that it came from, least to greatest.
    pub origin: Option<(i128, i128)>,
    /// It came from a comparison.
    pub compared: bool,
    /// What the instruction at fault calls.
    pub call: Option<String>,
    /// Bytes that it loads or stores.
    pub size: Option<u32>,
    /// How often that instruction was done before on this path.
    pub rounds: usize,
    prog_type: ProgType,
}

impl<'a> Case<'a> {
    /// A rejection of which no path is known.
    pub fn new(body: &'a Body, prog_type: ProgType) -> Case<'a> {
        Case {
            body,
            register: None,
            state: None,
            cause: None,
            origin: None,
            compared: false,
            call: None,
            size: None,
            rounds: 0,
            prog_type,
        }
    }
}

/// What is said.
pub struct Advice {
    /// What was wrong.
    pub message: String,
    /// What mends it.
    pub help: Option<String>,
}

/// What to say of a case.
pub fn find(case: &Case<'_>) -> Advice {
    let body = case.body;
    let row = words::of(&body.linux);
    let some = |text: &str| Some(text.to_string()).filter(|text| !text.is_empty());
    let message = by_cause_message(case)
        .or_else(|| row.and_then(|row| some(row.message)))
        .or_else(|| some(&body.message))
        .unwrap_or_else(|| body.linux.replace('\n', "; "));
    let help = by_cause(case)
        .or_else(|| row.and_then(|row| some(row.help)))
        .or_else(|| body.help.clone());
    Advice {
        message: case.in_its_words(message),
        help: help.map(|help| case.in_its_words(help)),
    }
}

/// An operation in words.
pub fn operation(op: AluOp) -> &'static str {
    match op {
        AluOp::Add => "addition",
        AluOp::Sub => "subtraction",
        AluOp::Mul => "multiplication",
        AluOp::Div | AluOp::SDiv => "division",
        AluOp::Mod | AluOp::SMod => "remainder",
        AluOp::Or => "`|`",
        AluOp::And => "`&`",
        AluOp::Xor => "`^`",
        AluOp::Lsh => "shift to the left",
        AluOp::Rsh | AluOp::Arsh => "shift to the right",
        AluOp::Mov => "copy",
    }
}

fn by_cause_message(case: &Case<'_>) -> Option<String> {
    if case.locks_twice() {
        return Some("a lock is taken while another one is held".to_string());
    }
    let (cause, call) = case.cause.as_ref()?;
    let call = call.as_deref().unwrap_or("a call");
    let number_as_pointer = case.body.linux.contains("invalid mem access 'scalar'");
    match cause {
        Cause::Invalidated => Some(format!(
            "a pointer into the packet is used after {call}, which may have moved the packet"
        )),
        Cause::Released if call.starts_with("bpf_spin_unlock") => Some(
            "an object that was put into a list or tree is used after the lock was given back"
                .to_string(),
        ),
        Cause::Released => Some(format!("an object is used after {call} released it")),
        Cause::Returned if number_as_pointer && case.is_near_null() => {
            Some(format!("what {call} returns is used where it is NULL"))
        }
        Cause::LostTrust => Some(format!(
            "a pointer to a kernel object is used after {call}, which ended what kept the object \
             alive"
        )),
        Cause::KnownNull if number_as_pointer => {
            Some("a pointer that is NULL on this path is used".to_string())
        }
        Cause::Constant if number_as_pointer && case.is_near_null() => {
            Some("a pointer that is NULL on this path, or near it, is used".to_string())
        }
        Cause::Loaded(_) if number_as_pointer => Some(
            "an address that was read from memory is used as a pointer: for the verifier it is a number"
                .to_string(),
        ),
        Cause::BeyondEnd => Some(
            "the packet is accessed where it was found to be too short: the test is the wrong way round"
                .to_string(),
        ),
        Cause::Clobbered if case.body.class == Class::Uninitialized => {
            let register = case.register.unwrap_or_default();
            Some(format!("r{register} is read after {call}, which leaves no value in it"))
        }
        _ => None,
    }
}

fn by_cause(case: &Case<'_>) -> Option<String> {
    let body = case.body;
    if case.locks_twice() {
        return Some(
            "give the first one back before the second is taken: a program may hold one lock at a \
             time"
                .to_string(),
        );
    }
    let number_as_pointer = body.linux.contains("invalid mem access 'scalar'");
    if let Some((cause, call)) = &case.cause {
        let call = call.as_deref().unwrap_or("the call");
        match cause {
            Cause::Invalidated => {
                return Some(format!(
                    "after {call}, read data and data_end again and compare them again"
                ));
            }
            Cause::Released if call.starts_with("bpf_spin_unlock") => {
                return Some(
                    "use the object before bpf_spin_unlock(): from then on it belongs to the list \
                     or tree, and others may have freed it"
                        .to_string(),
                );
            }
            Cause::LostTrust => {
                return Some(format!(
                    "use the object before {call}, or acquire it there (bpf_task_acquire(), …) \
                     and release it in the end"
                ));
            }
            Cause::Returned if number_as_pointer && case.is_near_null() => {
                return Some(
                    "leave when the pointer is NULL, before it is used: `if (!p) return 0;`; in a \
                     loop over an iterator that is its end"
                        .to_string(),
                );
            }
            Cause::Released => {
                return Some(format!(
                    "use the object before {call}, or keep what is needed of it"
                ));
            }
            Cause::KnownNull | Cause::Constant
                if matches!(cause, Cause::KnownNull)
                    || (number_as_pointer && case.is_near_null()) =>
            {
                return Some(
                    "leave where the pointer is NULL: `if (!p) return 0;`; or turn the test round, \
                     if the pointer was meant to be used on its other side"
                        .to_string(),
                );
            }
            Cause::BeyondEnd => {
                return Some(
                    "leave when `data + size > data_end`, and access the packet otherwise"
                        .to_string(),
                );
            }
            Cause::Loaded(memory) if number_as_pointer => {
                return Some(read_through(*memory).to_string());
            }
            Cause::Clobbered if body.class == Class::Uninitialized => {
                return Some(
                    "calls leave r1 to r5 without a value: keep what is needed in a variable, and \
                     return a value on every path of the function"
                        .to_string(),
                );
            }
            Cause::Overwritten => {
                return Some(
                    "write the variable as a whole, or bound it after it was written".to_string(),
                );
            }
            Cause::CallbackArgument => {
                return Some(
                    "compare it with the number of elements in the callback, before it is used"
                        .to_string(),
                );
            }
            Cause::Remainder(divisor) => {
                return Some(format!(
                    "bound the result by what the verifier sees: `barrier_var(i); if (i >= {divisor}) \
                     return 0;` (without barrier_var() the compiler drops the comparison, which it \
                     knows to hold), or use a power of two, which becomes a mask"
                ));
            }
            Cause::Lost(AluOp::Mod) => {
                return Some(
                    "the verifier knows no bound of a remainder: compare the result with the \
                     divisor (after `barrier_var(result)`, or the compiler drops the comparison), or \
                     use a power of two, which becomes a mask"
                        .to_string(),
                );
            }
            Cause::Lost(op) => {
                return Some(format!(
                    "the bound must hold after the {}: check what comes of it, or bound what goes \
                     into it more tightly",
                    operation(*op)
                ));
            }
            Cause::Difference => {
                let bound = limit(case, body.bound.as_ref());
                return Some(format!(
                    "compute it in 64 bits, and so that the compiler does not compare the pointers \
                     instead: `__u64 n = (void *)(long)ctx->data_end - (void *)(long)ctx->data; \
                     barrier_var(n);`; then {bound}"
                ));
            }
            Cause::CheckedHalf => {
                return Some(
                    "compare the whole number: without a cast to a 32-bit type".to_string(),
                );
            }
            Cause::CheckedAbove
                if let Some(Bound {
                    quantity: Quantity::Size,
                    known,
                    needed,
                }) = &body.bound =>
            {
                let limit = size_limit(known, needed);
                return Some(match known.min < 0 {
                    true => limit,
                    false => format!("make the size unsigned, and {limit}"),
                });
            }
            Cause::CheckedAbove => {
                return Some(
                    "make the number unsigned, or leave when it is negative, before it is used"
                        .to_string(),
                );
            }
            Cause::Function => {
                return Some(format!(
                    "check what {call} returns, or make the function `static`, so that it is \
                     verified where it is called"
                ));
            }
            Cause::Argument
                if case.state.as_ref().is_some_and(RegState::may_be_null)
                    && body.class == Class::NullPointer =>
            {
                return Some(
                    "leave when the pointer is NULL, before it is used: `if (!p) return 0;`; or \
                     declare that callers pass none: `struct x *p __arg_nonnull`"
                        .to_string(),
                );
            }
            Cause::Acquired if body.class == Class::Reference => {
                return Some(release_of(call));
            }
            Cause::NewBase => {
                if let Some(help) = far_packet(case) {
                    return Some(help);
                }
                return Some(
                    "compare the new pointer, with the size of the access added, with data_end"
                        .to_string(),
                );
            }
            _ => {}
        }
    }
    if let Some(help) = argument_help(case) {
        return Some(help);
    }
    let bound = body.bound.as_ref()?;
    match bound.quantity {
        Quantity::PacketBytes => far_packet(case).or_else(|| {
            Some(format!(
                "leave when `pointer + {} > data_end` before this access, on every path to it",
                bound.needed.min
            ))
        }),
        Quantity::Size | Quantity::Offset | Quantity::Value => Some(limit(case, Some(bound))),
    }
}

/// Comparisons with the packet's end teach nothing of a pointer that may be too far away.
fn far_packet(case: &Case<'_>) -> Option<String> {
    let state = case.state.as_ref()?;
    let packet = matches!(
        state.kind,
        RegKind::Packet { .. } | RegKind::PacketMeta { .. }
    );
    (packet && state.num.umax > MAX_PACKET_OFFSET).then(|| {
        "bound the offset first (`off &= 0xfff`, or leave when it is greater): comparisons with \
         data_end count only for offsets up to 65535"
            .to_string()
    })
}

impl Case<'_> {
    /// A second lock is asked for.
    fn locks_twice(&self) -> bool {
        let call = self.call.as_deref().unwrap_or_default();
        call == "bpf_spin_lock()" && self.body.linux.contains("while holding a lock")
    }

    /// What is a packet to the verifier is something else to some programs, and has another end.
    pub fn in_its_words(&self, text: String) -> String {
        if self.prog_type == ProgType::CgroupSockopt {
            return text
                .replace("data_end", "optval_end")
                .replace("of the packet", "of the option's value")
                .replace("the packet is", "the value is");
        }
        let meta = |state: &RegState| matches!(state.kind, RegKind::PacketMeta { .. });
        if self.state.as_ref().is_some_and(meta) {
            return text
                .replace("data_end", "data")
                .replace("of the packet", "of the metadata")
                .replace("the packet is", "the metadata is");
        }
        text
    }

    /// Whether the value is a small number: NULL, or a field of it.
    fn is_near_null(&self) -> bool {
        let value = self.state.as_ref().and_then(RegState::as_const);
        value.is_some_and(|value| value < 4096)
    }
}

/// What gives back that which a call acquired.
fn release_of(call: &str) -> String {
    const PAIRS: &[(&str, &str)] = &[
        (
            "bpf_ringbuf_reserve_dynptr",
            "bpf_ringbuf_submit_dynptr() or, also where the reservation failed, \
             bpf_ringbuf_discard_dynptr()",
        ),
        (
            "bpf_ringbuf_reserve",
            "bpf_ringbuf_submit() or bpf_ringbuf_discard()",
        ),
        ("bpf_sk", "bpf_sk_release()"),
        ("bpf_task", "bpf_task_release()"),
        ("bpf_cgroup", "bpf_cgroup_release()"),
        ("bpf_cpumask", "bpf_cpumask_release()"),
        ("bpf_obj_new", "bpf_obj_drop()"),
        ("bpf_get_task_exe_file", "bpf_put_file()"),
        (
            "bpf_kptr_xchg",
            "the function that releases objects of its type (bpf_task_release(), bpf_obj_drop(), …)",
        ),
    ];
    let name = call.trim_end_matches("()");
    if let Some(iterator) = name.strip_suffix("_new")
        && name.starts_with("bpf_iter_")
    {
        return format!("call {iterator}_destroy() on every path, also when nothing was found");
    }
    match PAIRS.iter().find(|(start, _)| name.starts_with(start)) {
        Some((_, release)) => {
            format!("call {release} on every path to the end, error paths too")
        }
        None => {
            "give the object back on every path to the end, error paths too, with the function \
                 that belongs to the one that acquired it"
                .to_string()
        }
    }
}

/// Of an argument of the wrong kind.
fn argument_help(case: &Case<'_>) -> Option<String> {
    let (_, expected) = case.body.linux.split_once(" expected=")?;
    let state = case.state.as_ref()?;
    if state.may_be_null() {
        return None;
    }
    let memory = expected.split(", ").any(|kind| kind == "fp");
    if expected == "map_value" {
        return Some(
            "it must lie in a map: make strings `static const char[]`, and keep timers and locks \
             in map values"
                .to_string(),
        );
    }
    if expected == "ctx" {
        return Some("pass the context as the program got it".to_string());
    }
    (memory && state.is_scalar())
        .then(|| "pass the address of a variable: `&key`, not `key`".to_string())
}

fn read_through(memory: Memory) -> &'static str {
    match memory {
        Memory::MapValue | Memory::Stack | Memory::Other => {
            "read what it points to with bpf_probe_read_kernel() (or _user()); to keep kernel \
             objects in maps, use a `__kptr` field"
        }
        Memory::Context | Memory::Object => {
            "read through it with BPF_CORE_READ(), bpf_probe_read_kernel() or, for user memory, \
             bpf_probe_read_user()"
        }
        Memory::Packet => "numbers from a packet are offsets, never addresses",
    }
}
