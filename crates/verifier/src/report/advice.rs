//! What was wrong, for people, and what mends it.
//!
//! Checks speak Linux's words; a check that knows more says so itself (`Reject::because`,
//! `Reject::help`). What is said here hangs on the cause that was found, or else on Linux's words.

use alloc::{
    format,
    string::{String, ToString},
};

use panal_isa::AluOp;
use panal_uapi::report::{Bound, Class, Quantity, Range};

use super::origin::{Cause, Memory};
use crate::{
    error::Body,
    state::{RegKind, RegState},
};

/// Greatest variable offset of a packet pointer for which comparisons with the end count.
const MAX_PACKET_OFFSET: u64 = 0xffff;

/// What is known of a rejection.
pub struct Case<'a> {
    body: &'a Body,
    /// The register at fault.
    pub register: Option<u8>,
    /// The value at fault.
    pub state: Option<RegState>,
    /// How it came to that, and what was called there.
    pub cause: Option<(Cause, Option<String>)>,
}

impl<'a> Case<'a> {
    /// A rejection of which no path is known.
    pub fn new(body: &'a Body) -> Case<'a> {
        Case {
            body,
            register: None,
            state: None,
            cause: None,
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
    let row = WORDS
        .iter()
        .find(|row| row.linux.iter().all(|part| body.linux.contains(part)));
    let some = |text: &str| Some(text.to_string()).filter(|text| !text.is_empty());
    let message = by_cause_message(case)
        .or_else(|| row.and_then(|row| some(row.message)))
        .or_else(|| some(&body.message))
        .unwrap_or_else(|| body.linux.replace('\n', "; "));
    let help = by_cause(case)
        .or_else(|| row.and_then(|row| some(row.help)))
        .or_else(|| body.help.clone());
    Advice { message, help }
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
    let (cause, call) = case.cause.as_ref()?;
    let call = call.as_deref().unwrap_or("a call");
    let number_as_pointer = case.body.linux.contains("invalid mem access 'scalar'");
    match cause {
        Cause::Invalidated => Some(format!(
            "a pointer into the packet is used after {call}, which may have moved the packet"
        )),
        Cause::Released => Some(format!("an object is used after {call} released it")),
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
    let number_as_pointer = body.linux.contains("invalid mem access 'scalar'");
    if let Some((cause, call)) = &case.cause {
        let call = call.as_deref().unwrap_or("the call");
        match cause {
            Cause::Invalidated => {
                return Some(format!(
                    "after {call}, read data and data_end again and compare them again"
                ));
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
                return Some("turn the test round: leave when the pointer is NULL".to_string());
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
        Quantity::Size | Quantity::Offset | Quantity::Value => Some(limit(Some(bound))),
    }
}

/// What makes a bound hold.
fn limit(bound: Option<&Bound>) -> String {
    let Some(Bound {
        quantity,
        known,
        needed,
    }) = bound
    else {
        return "check the bound".to_string();
    };
    if needed.min > needed.max {
        return "no value would do here: the access itself is larger than the object".to_string();
    }
    let what = match quantity {
        Quantity::Size => "the size",
        Quantity::Value => "the value",
        Quantity::Offset => "the index",
        Quantity::PacketBytes => "the pointer",
    };
    if *quantity == Quantity::Value {
        return match known.min == known.max {
            true if needed.max == needed.min + 1 => {
                format!("return {} or {}", needed.min, needed.max)
            }
            true if needed.max == needed.min => format!("return {}", needed.min),
            true => format!("return a number from {} to {}", needed.min, needed.max),
            false => format!(
                "bring the value into {} to {} on every path before it is returned",
                needed.min, needed.max
            ),
        };
    }
    if *quantity == Quantity::Size {
        return size_limit(known, needed);
    }
    if known.min == known.max {
        return format!(
            "the offset must be {} to {}: mind the sizes of the types involved",
            needed.min, needed.max
        );
    }
    if known.min < needed.min && known.max <= needed.max {
        return format!("make {what} unsigned, or leave when it is negative, before it is used");
    }
    let unsigned = match known.min < needed.min {
        true => " as an unsigned number",
        false => "",
    };
    let compare = format!(
        "compare {what}{unsigned} with the number of elements before it is used, or mask it"
    );
    match needed.min < 0 {
        true => compare,
        false => format!(
            "{compare}; the offset may be {} to {}",
            needed.min, needed.max
        ),
    }
}

/// What makes the bound of a size hold: many calls do not take 0.
fn size_limit(known: &Range, needed: &Range) -> String {
    let (zero, most) = (needed.min > 0, needed.max);
    if known.min == known.max {
        return match known.min {
            0 if zero => "pass a size of at least 1".to_string(),
            _ => format!(
                "pass a size of {} to {most}, or a larger buffer",
                needed.min
            ),
        };
    }
    let (negative, large) = (known.min < 0, known.max > most);
    match (zero && known.min <= 0, large) {
        (true, true) => format!(
            "leave when the size is 0 or greater than {most}{}, before the call: \
             `if (size == 0 || size > {most}) return 0;`",
            if negative {
                ", as an unsigned number"
            } else {
                ""
            }
        ),
        (true, false) if negative => {
            "leave when the size is 0 or negative, before the call: `if (size <= 0) return 0;`"
                .to_string()
        }
        (true, false) => {
            "leave when the size is 0, before the call: `if (size == 0) return 0;`".to_string()
        }
        (false, true) => format!(
            "compare the size{} with {most} before it is used, or mask it",
            if negative {
                " as an unsigned number"
            } else {
                ""
            }
        ),
        (false, false) => {
            "make the size unsigned, or leave when it is negative, before it is used".to_string()
        }
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

/// What is said of some of Linux's words.
struct Words {
    /// All of these are in them.
    linux: &'static [&'static str],
    /// What was wrong; empty: as the check says.
    message: &'static str,
    /// What mends it.
    help: &'static str,
}

const fn words(linux: &'static [&'static str], message: &'static str, help: &'static str) -> Words {
    Words {
        linux,
        message,
        help,
    }
}

/// The first that fits counts.
const WORDS: &[Words] = &[
    words(
        &["invalid mem access 'scalar'"],
        "a number is used as a pointer",
        "only pointers that the verifier has followed from their origin can be used",
    ),
    words(
        &["invalid mem access", "_or_null"],
        "a pointer that may be NULL is used before it is tested",
        "leave when the pointer is NULL, before it is used: `if (!p) return 0;`",
    ),
    words(
        &["pointer arithmetic on", "_or_null"],
        "a pointer that may be NULL is added to before it is tested",
        "leave when the pointer is NULL, before anything is added to it: `if (!p) return 0;`",
    ),
    words(
        &["_or_null expected="],
        "a pointer that may be NULL is passed where none may be",
        "leave when the pointer is NULL, before the call: `if (!p) return 0;`",
    ),
    words(
        &["Possibly NULL pointer passed"],
        "a pointer that may be NULL is passed where none may be",
        "leave when the pointer is NULL, before the call: `if (!p) return 0;`",
    ),
    words(
        &["R0 !read_ok"],
        "the function ends without a return value on this path",
        "return a value on every path of the function",
    ),
    words(
        &["!read_ok"],
        "",
        "initialise the variable on every path to this point",
    ),
    words(
        &["Unreleased reference"],
        "the program ends while it still holds an object that it acquired",
        "release it on every path to the end, error paths too: bpf_ringbuf_submit() or \
         bpf_ringbuf_discard(), bpf_sk_release(), bpf_task_release(), bpf_obj_drop(), \
         the iterator's destroy function, or whatever belongs to it",
    ),
    words(
        &["must be referenced when passed to release function"],
        "an object is released that the program does not hold: it was released already, or never acquired",
        "release each object once, and only what a function acquired for the program",
    ),
    words(
        &["cannot be used inside bpf_spin_lock-ed region"],
        "the program (or function) ends while it holds a lock",
        "call bpf_spin_unlock() on every path before this point",
    ),
    words(
        &["while holding a lock"],
        "a function is called while a lock is held",
        "call it before bpf_spin_lock() or after bpf_spin_unlock(); only few functions may be \
         called in between",
    ),
    words(
        &["cannot be used inside bpf_rcu_read_lock-ed region"],
        "the program (or function) ends inside an RCU section",
        "call bpf_rcu_read_unlock() on every path before this point",
    ),
    words(
        &["cannot be used inside bpf_preempt_disable-ed region"],
        "the program (or function) ends while preemption is disabled",
        "call bpf_preempt_enable() on every path before this point",
    ),
    words(
        &["cannot be used inside bpf_local_irq_save-ed region"],
        "the program (or function) ends while interrupts are disabled",
        "call bpf_local_irq_restore() on every path before this point",
    ),
    words(
        &["requires RCU critical section protection"],
        "this kernel function may be called only inside an RCU section",
        "surround the call with bpf_rcu_read_lock() and bpf_rcu_read_unlock()",
    ),
    words(
        &["expected an RCU CS"],
        "this may be used only inside an RCU section",
        "surround it with bpf_rcu_read_lock() and bpf_rcu_read_unlock()",
    ),
    words(
        &["is sleepable within"],
        "a function that may sleep is called where sleeping is forbidden",
        "call it before the section begins or after it ended",
    ),
    words(
        &["might sleep in a non-sleepable prog"],
        "a helper that may sleep is called in a program that may not",
        "make the program sleepable by its section, where its type allows that: `fentry.s/`, \
         `lsm.s/`, `uprobe.s/`, `iter.s/`; or use the helper's variant that does not sleep",
    ),
    words(
        &["must be sleepable to call sleepable kfunc"],
        "a kernel function that may sleep is called in a program that may not",
        "make the program sleepable by its section, where its type allows that: `fentry.s/`, \
         `lsm.s/`, `uprobe.s/`, `iter.s/`",
    ),
    words(
        &["sleep", "in ", " region"],
        "a helper that may sleep is called where sleeping is forbidden",
        "call it before the section begins or after it ended",
    ),
    words(
        &["cannot use helper"],
        "programs of this type may not call this helper",
        "use a helper of this program type, or another program type (section) that may call it",
    ),
    words(
        &["from non-GPL compatible program"],
        "this helper or kernel function may be called only by programs with a licence compatible with the GPL",
        "declare it: `char LICENSE[] SEC(\"license\") = \"GPL\";`",
    ),
    words(
        &["must have a GPL compatible license"],
        "programs of this type need a licence compatible with the GPL",
        "declare it: `char LICENSE[] SEC(\"license\") = \"GPL\";`",
    ),
    words(
        &["calling kernel function", "is not allowed"],
        "programs of this type may not call this kernel function",
        "use another program type (section) that may call it",
    ),
    words(
        &["expected prog array map for tail call"],
        "a tail call takes its program from a map that is no program array",
        "use a map of type BPF_MAP_TYPE_PROG_ARRAY",
    ),
    words(
        &["cannot pass map_type"],
        "this helper does not take maps of this type",
        "use a helper for this map type, or another map type",
    ),
    words(
        &["invalid func unknown#"],
        "this helper does not exist in the kernel that is meant",
        "ask with bpf_core_enum_value_exists() before it is called, or use an older helper",
    ),
    words(
        &["must be referenced or trusted"],
        "the kernel function wants an object that is surely alive; this pointer may dangle",
        "acquire the object first (bpf_task_acquire(), bpf_cgroup_from_id(), …), or take it from \
         the program's arguments",
    ),
    words(
        &["must be a rcu pointer"],
        "the kernel function wants an object that is alive in an RCU section; this pointer may dangle",
        "acquire the object first, or read the pointer inside bpf_rcu_read_lock()",
    ),
    words(
        &["infinite loop detected"],
        "the loop comes back to this instruction with nothing changed: it may never end",
        "let the loop's condition depend on a counter that changes in each round; for loops that \
         wait for something, use `can_loop`, bpf_loop() or an iterator (`bpf_for`)",
    ),
    words(
        &["BPF program is too large. Processed"],
        "the program has too many paths, or loops that run too long: the verifier gave up",
        "bound loops more tightly; or use bpf_loop() or `bpf_for`, whose bodies are verified once; \
         or move code into functions that are not static (global), which are verified on their own",
    ),
    words(
        &["jumps is too complex"],
        "too many branches wait to be verified",
        "use bpf_loop() or `bpf_for`, or move code into global functions",
    ),
    words(
        &["combined stack size"],
        "",
        "move large variables into a map (a per-CPU array with one element is usual), or call \
         fewer functions within each other",
    ),
    words(
        &["stack size of subprog"],
        "the function needs more than 512 bytes of stack",
        "move large variables into a map (a per-CPU array with one element is usual)",
    ),
    words(
        &["call stack of previous frames is"],
        "a function that makes tail calls is called with too much on the stack",
        "at most 256 bytes may be in use where a function with bpf_tail_call() is called: move \
         large variables into a map, or make the tail call in the main program",
    ),
    words(
        &["call stack of"],
        "calls are nested too deeply",
        "no more than 8 functions may be active at once: inline some of them",
    ),
    words(
        &["unreachable insn"],
        "no path through the program leads to this instruction",
        "remove the dead code",
    ),
    words(
        &["last insn is not an exit or jmp"],
        "the function does not end: what follows its last instruction is not part of it",
        "end every path with `return`; in Rust this is often a call of a function that never \
         returns (a panic): avoid what may panic",
    ),
    words(
        &["unexpected __bpf_trap()"],
        "the compiler found undefined behaviour, often an uninitialised variable, and left out the code",
        "initialise the variables, and heed the compiler's warnings",
    ),
    words(
        &["dereference of modified ctx ptr"],
        "the context pointer was changed before it was used",
        "access fields of the context itself; do not take their addresses, and do not step \
         through the context in a loop",
    ),
    words(
        &["variable ctx access"],
        "the context is accessed at an offset that is not constant",
        "access fields of the context by name; unroll loops over its arrays \
         (`#pragma unroll`), or copy it to the stack first",
    ),
    words(
        &["invalid bpf_context access"],
        "",
        "use the fields of the context type as they are declared, with their own size; many are \
         read-only, and some belong to certain program types only",
    ),
    words(
        &["write into map forbidden"],
        "a read-only map is written: constants (`const volatile`, .rodata) do not change once loaded",
        "make the variable not `const`, so that it lies in .data or .bss",
    ),
    words(
        &["cannot write into rdonly"],
        "read-only memory is written",
        "copy what it holds to the stack, and change the copy",
    ),
    words(
        &["only read is supported"],
        "a kernel object is written directly",
        "kernel objects are read-only for programs: use a helper or kernel function that changes it",
    ),
    words(
        &["cannot write into packet"],
        "programs of this type may not write to the packet",
        "use a program type that may, such as tc or XDP, or bpf_skb_store_bytes()",
    ),
    words(
        &["misaligned"],
        "the access is not aligned to its size",
        "align the variable to the size of the access, or access it byte by byte \
         (`__builtin_memcpy`)",
    ),
    words(
        &["unbounded memory access, use 'var &= const'"],
        "",
        "compare the size with the buffer's size before the call, or mask it",
    ),
    words(
        &["min value is negative, either use unsigned or 'var &= const'"],
        "",
        "make the size unsigned, or leave when it is negative, before the call",
    ),
    words(
        &["invalid zero-sized read"],
        "the size may be 0",
        "leave when the size is 0 before the call",
    ),
    words(
        &["min value is negative, either use unsigned index"],
        "the index may be negative",
        "make the index unsigned, or leave when it is negative, before it is used",
    ),
    words(
        &["unbounded min value is not allowed"],
        "a number without a lower bound is added to a pointer",
        "compare the number with its greatest value, as an unsigned one, before it is added",
    ),
    words(
        &["bitwise operator", "on pointer prohibited"],
        "a bitwise operation is done on a pointer",
        "only numbers may be added to or subtracted from pointers: do the operation on an index",
    ),
    words(
        &["pointer arithmetic with", "operator prohibited"],
        "an operation is done on a pointer that pointers do not allow",
        "only numbers may be added to or subtracted from pointers: do the operation on an index",
    ),
    words(
        &["32-bit pointer arithmetic prohibited"],
        "a pointer is treated as a 32-bit number",
        "keep pointers in 64-bit variables",
    ),
    words(
        &["pointer arithmetic on", "prohibited"],
        "a number is added to a pointer that does not allow it",
        "index what it points to only after the verifier knows its type and size",
    ),
    words(
        &["Expected an initialized dynptr"],
        "a dynptr is used that was not made, or made only on another path, or released",
        "make it first (bpf_dynptr_from_mem(), bpf_ringbuf_reserve_dynptr(), …), and use it \
         before it is submitted or discarded",
    ),
    words(
        &["cannot overwrite referenced dynptr"],
        "a dynptr that still holds a record is overwritten",
        "submit or discard it first",
    ),
    words(
        &["expected an initialized iter_"],
        "an iterator is used that was not made",
        "call the iterator's `new` function first, even when it fails call its `destroy`; \
         `bpf_for_each()` does both",
    ),
    words(
        &["global function calls", "holding a lock"],
        "a global function is called while a lock is held",
        "make the function `static`, or call it without the lock",
    ),
    words(
        &["At program exit the register R0 has"],
        "the program may return a value that its type does not allow",
        "",
    ),
    words(
        &["At callback return the register R0 has"],
        "the callback may return a value that the helper does not allow",
        "return 0 to go on, 1 to stop",
    ),
    words(
        &["is not a known value"],
        "the program returns a pointer instead of a number",
        "return a number",
    ),
    words(
        &["frame pointer is read only"],
        "the frame pointer is written",
        "r10 cannot be changed: use another register",
    ),
    words(
        &["invalid access to packet"],
        "",
        "leave when `pointer + size > data_end` before this access, on every path to it",
    ),
    words(
        &["Caller passes invalid args into func"],
        "the global function cannot be called with these arguments",
        "pass what its prototype promises: pointers to memory of the declared type",
    ),
];
