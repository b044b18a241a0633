//! From a check that failed to a rejection with its place, its origin and the way there.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use panal_isa::{CallTarget, Instruction, Operand, Reg, Style};
use panal_uapi::{
    log,
    names::KernelNames,
    report::{Bound, Class, Note, Path, Place, Rejection, Source, Step, Value},
};

use super::{
    advice::{self, Case},
    log::log_here,
    origin::{self, Cause, Goal, Memory, Origin},
    record::{self, Recorded},
    state_text,
};
use crate::{
    Request,
    access::context,
    env::Env,
    error::{Body, Reject},
    state::{RegKind, RegState},
};

/// Branch decisions that are told.
const NOTES: usize = 6;
/// Instructions of the path that are told.
const STEPS: usize = 1000;

/// Says of a rejection where, why and what to do.
pub fn explain(env: &mut Env<'_>, reject: Reject) -> Rejection {
    let body = reject.into_body();
    if body.class == Class::InfiniteLoop {
        log_here(env);
    }
    env.log.always(format_args!("{}\n", body.linux));
    let processed = env.search.processed;
    // The second walk has states of its own: these are not asked any more.
    env.search.restart(0);
    env.facts = crate::facts::Facts::default();
    let path = (processed > 0 && body.at.is_none())
        .then(|| record::record(env.request, env.slot, processed))
        .flatten();
    let mut rejection = Rejection {
        linux_message: log::reason(&body.linux).unwrap_or_default().to_string(),
        ..Rejection::new(body.class, body.errno, "")
    };
    let mut case = Case::new(&body, context::effective_type(env));
    case.call = call_name(env, env.slot);
    case.size = match env.program.get(env.slot) {
        Some(Instruction::Load { size, .. } | Instruction::Store { size, .. }) => {
            Some(size.bytes())
        }
        _ => None,
    };
    match &path {
        Some(path) => {
            rejection.place = Some(place(env, env.slot));
            let subject = subject(env, &body, path);
            if let Some((reg, state)) = subject {
                rejection.value = Some(value(env, &body, reg, &state));
                case.register = Some(reg.number());
                case.state = Some(state);
            }
            case.rounds = rounds(env, path);
            let origin = begin(env, &body, path, subject);
            rejection.origin = origin.as_ref().and_then(|o| note(env, path, o, &case));
            if let Some(origin) = &origin {
                case.origin = origin.number();
                case.compared = decides(env, path, origin);
                case.cause = Some((origin.cause.clone(), called(env, path, origin)));
            }
            rejection.notes = branches(env, path);
            rejection.path = steps(env, path);
        }
        None => {
            let slot = body.at.or_else(|| named_slot(env, &body));
            rejection.place = slot.map(|slot| place(env, slot));
        }
    }
    let advice = advice::find(&case);
    rejection.message = advice.message;
    rejection.help = advice.help;
    rejection
}

/// The same for what is refused before the program could be decoded.
pub fn of_program(request: &Request<'_>, body: Body) -> Rejection {
    let advice = advice::find(&Case::new(&body, request.prog_type));
    let instruction = |slot: usize| Instruction::decode(request.code, slot).ok();
    let place = body.at.map(|slot| Place {
        slot: slot as u32,
        instruction: instruction(slot)
            .map_or_else(String::new, |i| i.text(Some(slot), Style::LLVM).to_string()),
        source: source(request, slot),
    });
    Rejection {
        place,
        message: advice.message,
        help: advice.help,
        ..Rejection::new(body.class, body.errno, body.linux)
    }
}

/// An instruction with its source line.
pub fn place(env: &Env<'_>, slot: usize) -> Place {
    Place {
        slot: slot as u32,
        instruction: instruction_text(env, slot),
        source: source(env.request, slot),
    }
}

fn instruction_text(env: &Env<'_>, slot: usize) -> String {
    let names = KernelNames {
        btf: Some(&env.request.profile.btf),
    };
    let style = Style {
        names: &names,
        ..Style::LLVM
    };
    let instruction = env.program.get(slot);
    if let Some(Instruction::Call(CallTarget::Kfunc { id, object: 0 })) = instruction
        && let Some(name) = crate::calls::kfunc_name(env, *id)
    {
        return format!("call {name}");
    }
    instruction.map_or_else(String::new, |i| i.text(Some(slot), style).to_string())
}

fn source(request: &Request<'_>, slot: usize) -> Option<Source> {
    let types = request.types?;
    let after = types.lines.partition_point(|l| l.slot as usize <= slot);
    let line = types.lines.get(after.checked_sub(1)?)?;
    Some(Source {
        file: line.file.clone(),
        line: line.line,
        column: line.column,
        text: line.text.clone(),
    })
}

/// A slot that Linux's words name: for what is refused before any path is walked.
fn named_slot(env: &Env<'_>, body: &Body) -> Option<usize> {
    if body.class != Class::ControlFlow {
        return None;
    }
    let (_, rest) = body.linux.split_once("insn ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    let slot: usize = digits.parse().ok()?;
    env.program.get(slot).map(|_| slot)
}

/// The register at fault: the one that Linux's words name, with what is known of it.
fn subject(env: &Env<'_>, body: &Body, path: &Recorded) -> Option<(Reg, RegState)> {
    let last = body.linux.lines().last().unwrap_or_default();
    let reg = body
        .about
        .or_else(|| named_register(last))
        .or_else(|| named_register(&body.linux));
    let frame = path.fault.frames.last()?;
    let is_number = |reg: &Reg| frame.regs[reg.index()].is_scalar();
    let reg = match (env.program.get(env.slot), body.class) {
        (_, Class::InfiniteLoop | Class::TooComplex) => None,
        // The number that is added, not the pointer.
        (Some(Instruction::Alu { dst, src, .. }), Class::PointerArithmetic)
            if reg.is_none() || body.linux.contains("math between") =>
        {
            match src {
                Operand::Reg(src) => [*src, *dst].into_iter().find(is_number),
                Operand::Imm(_) => Some(*dst),
            }
        }
        // What is accessed is behind the base, whatever the words.
        (Some(Instruction::Load { base, .. } | Instruction::Store { base, .. }), _) => {
            reg.or(Some(*base))
        }
        _ => reg,
    }?;
    Some((reg, frame.regs[reg.index()]))
}

/// `R3` in `R3 !read_ok`.
fn named_register(text: &str) -> Option<Reg> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .find_map(|word| {
            let number = word.strip_prefix('R')?;
            Reg::new(number.parse().ok()?)
        })
}

fn value(env: &Env<'_>, body: &Body, reg: Reg, state: &RegState) -> Value {
    Value {
        register: format!("r{}", reg.number()),
        state: state_text::value(env, state),
        bound: body.bound,
    }
}

/// What the walk back looks for.
fn goal(body: &Body, state: &RegState) -> Option<Goal> {
    if let Some(Bound { known, needed, .. }) = body.bound
        && body.class != Class::PacketBounds
    {
        return Some(
            match known.min < needed.min && needed.min >= 0 && known.min < 0 {
                true => Goal::Small,
                false if known.max > needed.max => Goal::Large,
                false => Goal::Small,
            },
        );
    }
    match body.class {
        Class::PacketBounds if body.linux.contains("min value is negative") => Some(Goal::Small),
        Class::PacketBounds => Some(Goal::Packet),
        Class::Uninitialized => Some(Goal::Written),
        Class::OutOfBounds | Class::ReturnValue => Some(match state.num.smin < 0 {
            true => Goal::Small,
            false => Goal::Large,
        }),
        Class::PointerArithmetic if state.is_scalar() => Some(Goal::Large),
        Class::Stack if body.linux.contains("variable-offset") => Some(Goal::Large),
        Class::NullPointer
        | Class::WrongType
        | Class::PointerArithmetic
        | Class::Reference
        | Class::SpecialObject
        | Class::NotAllowed => Some(Goal::Pointer),
        _ => None,
    }
}

fn begin(
    env: &Env<'_>,
    body: &Body,
    path: &Recorded,
    subject: Option<(Reg, RegState)>,
) -> Option<Origin> {
    if let Some(slot) = held_since(env, body, path) {
        let step = path.steps.iter().rposition(|s| s.slot == slot)?;
        return Some(Origin {
            step: Some(step),
            cause: Cause::Acquired,
            value: RegState::NOT_INIT,
            low: false,
        });
    }
    match body.class {
        Class::Locking => return None,
        Class::InfiniteLoop | Class::TooComplex => return most_decided(env, path),
        _ => {}
    }
    let (reg, state) = subject?;
    if matches!(state.kind, RegKind::Context) && body.class == Class::ContextAccess {
        return None;
    }
    origin::trace(env, path, reg, goal(body, &state)?)
}

/// The condition that was decided most often on the path: that of the loop.
fn most_decided(env: &Env<'_>, path: &Recorded) -> Option<Origin> {
    let mut counts: Vec<u32> = alloc::vec![0; env.program.len()];
    let mut last = None;
    for (index, step) in path.steps.iter().enumerate() {
        let slot = step.slot as usize;
        if matches!(env.program.get(slot), Some(Instruction::Branch { .. })) {
            counts[slot] += 1;
            let most = last
                .is_none_or(|last: usize| counts[path.steps[last].slot as usize] <= counts[slot]);
            if most {
                last = Some(index);
            }
        }
    }
    let step = last?;
    let rounds = counts[path.steps[step].slot as usize];
    (rounds > 1).then_some(Origin {
        step: Some(step),
        cause: Cause::Decided(rounds),
        value: RegState::NOT_INIT,
        low: false,
    })
}

/// Where the oldest thing that is held and must not be was taken.
fn held_since(env: &Env<'_>, body: &Body, path: &Recorded) -> Option<u32> {
    let held = &path.fault.refs;
    let leaks = body.linux.contains("Unreleased reference");
    match body.class {
        Class::Reference if leaks => {
            let line = body.linux.lines().next()?;
            line.split("alloc_insn=").nth(1)?.trim().parse().ok()
        }
        Class::Locking | Class::NotAllowed => {
            use crate::state::RefKind::{Irq, Lock, ResLock, ResLockIrq};
            let sections = held.locks + held.rcu + held.preempt + held.irq;
            if sections == 0 {
                return None;
            }
            let reference = held
                .list
                .iter()
                .rev()
                .find(|r| matches!(r.kind, Lock | ResLock | ResLockIrq | Irq));
            reference
                .map(|r| r.slot)
                .or_else(|| section_begin(env, path))
        }
        _ => None,
    }
}

/// The newest call that began an RCU or preemption section.
fn section_begin(env: &Env<'_>, path: &Recorded) -> Option<u32> {
    let begins = |slot: u32| {
        let name = call_name(env, slot as usize).unwrap_or_default();
        name.contains("bpf_rcu_read_lock") || name.contains("bpf_preempt_disable")
    };
    path.steps.iter().rev().map(|s| s.slot).find(|&s| begins(s))
}

/// How often the instruction at fault was done before, in this call of its function.
fn rounds(env: &Env<'_>, path: &Recorded) -> usize {
    let (slot, level) = (env.slot, path.fault.level());
    let here = path.steps.iter().rev();
    let here = here.take_while(|step| usize::from(step.level) >= level);
    here.filter(|step| step.slot as usize == slot && usize::from(step.level) == level)
        .count()
}

/// Whether what happened at an origin is a comparison.
fn decides(env: &Env<'_>, path: &Recorded, origin: &Origin) -> bool {
    let step = origin.step.and_then(|step| path.steps.get(step));
    let instruction = step.and_then(|step| env.program.get(step.slot as usize));
    matches!(instruction, Some(Instruction::Branch { .. }))
}

/// The name of what the step at an origin calls.
fn called(env: &Env<'_>, path: &Recorded, origin: &Origin) -> Option<String> {
    let slot = path.steps.get(origin.step?)?.slot as usize;
    call_name(env, slot)
}

/// The name of what an instruction calls: `bpf_map_lookup_elem()`.
pub fn call_name(env: &Env<'_>, slot: usize) -> Option<String> {
    match env.program.get(slot)? {
        Instruction::Call(CallTarget::Helper(id)) => {
            panal_uapi::helpers::by_id(*id).map(|h| format!("bpf_{}()", h.name))
        }
        Instruction::Call(CallTarget::Kfunc { id, object: 0 }) => {
            crate::calls::kfunc_name(env, *id).map(|name| format!("{name}()"))
        }
        Instruction::Call(CallTarget::Local(_)) => {
            let callee = env.program.callee(slot)?;
            let sub = env.program.subprograms.get(callee as usize)?;
            Some(format!("{}()", sub.name))
        }
        _ => None,
    }
}

/// The origin in words.
fn note(env: &Env<'_>, path: &Recorded, origin: &Origin, case: &Case<'_>) -> Option<Note> {
    let slot = match origin.step {
        Some(step) => path.steps.get(step)?.slot as usize,
        // The function's own start.
        None => match path.steps.first() {
            Some(first) => first.slot as usize,
            None => env.slot,
        },
    };
    let text = origin_text(env, origin, case.body, call_name(env, slot))?;
    Some(Note {
        place: place(env, slot),
        text: case.in_its_words(text),
    })
}

fn origin_text(
    env: &Env<'_>,
    origin: &Origin,
    body: &Body,
    call: Option<String>,
) -> Option<String> {
    let call = call.unwrap_or_else(|| "this call".to_string());
    let num = &origin.value.num;
    // Functions return an `int`, whatever the register's upper half.
    let int = body.class == Class::ReturnValue
        && num.smin > i64::from(i32::MAX)
        && num.smax <= i64::from(u32::MAX);
    let low = (origin.low && num.s32_min < 0) || int;
    let (min, max) = match num.smin < 0 {
        _ if low => (i128::from(num.s32_min), i128::from(num.s32_max)),
        true => (i128::from(num.smin), i128::from(num.smax)),
        false => (i128::from(num.umin), i128::from(num.umax)),
    };
    let between = match origin.value.is_scalar() {
        true if origin.low && num.s32_min == i32::MIN && num.s32_max == i32::MAX => {
            "may be negative or large".to_string()
        }
        true if low && min != max => format!("may be {min} to {max} as a signed number"),
        true if num.smin == i64::MIN && num.smax == i64::MAX => "may be anything".to_string(),
        true if min == max => format!("is {min}"),
        true => format!("may be {min} to {max}"),
        false => String::new(),
    };
    let number = origin.value.is_scalar();
    let unchecked = match body.class {
        _ if !number => "",
        Class::OutOfBounds | Class::Stack | Class::PointerArithmetic => {
            ", and no comparison on this path bounds it"
        }
        _ => "",
    };
    Some(match &origin.cause {
        Cause::Argument if matches!(origin.value.kind, RegKind::Context) => return None,
        Cause::Argument if origin.value.may_be_null() => {
            "the function is verified for every argument of its types: pointers may be NULL"
                .to_string()
        }
        Cause::CallbackArgument => format!(
            "{call} hands this number to the callback: the verifier takes it for any number, \
             however often the callback is called"
        ),
        Cause::Remainder(divisor) => format!(
            "the compiler computes the remainder (`% {divisor}`) by a multiplication, and the \
             verifier does not see that it is less than {divisor}: for it the value {between}"
        ),
        Cause::Argument if number => format!("an argument here: it {between}"),
        Cause::Argument => return None,
        Cause::Loaded(memory) => {
            let from = match memory {
                Memory::Context => "the context",
                Memory::MapValue => "a map value",
                Memory::Packet => "the packet",
                Memory::Stack => "the stack",
                Memory::Object => "a kernel object",
                Memory::Other => "memory",
            };
            match number {
                _ if body.class == Class::PacketBounds => {
                    "the pointer comes from here; no comparison with data_end covers it".to_string()
                }
                true => format!("read from {from} here: it {between}{unchecked}"),
                false => format!("read from {from} here"),
            }
        }
        Cause::Returned if body.class == Class::WrongType && num.umax == 0 && number => {
            format!("{call} returns NULL here: there is nothing, or nothing left")
        }
        Cause::Returned if number => format!("{call} gave it: it {between}{unchecked}"),
        Cause::Returned => format!("{call} gave it: {}", state_text::value(env, &origin.value)),
        Cause::Constant if body.class == Class::WrongType && num.umax < 4096 => match num.umax {
            0 => "on this path the pointer is NULL".to_string(),
            distance => {
                format!("on this path the pointer is NULL, and this is {distance} bytes from it")
            }
        },
        Cause::Constant if number => format!("set here: it {between}"),
        Cause::Constant => return None,
        Cause::Lost(op) => format!(
            "the bound is lost here: after this {} the value {between}",
            advice::operation(*op)
        ),
        Cause::Cut => {
            format!("the bound is lost here: of the value only a part is kept, and it {between}")
        }
        Cause::Checked if body.class == Class::PacketBounds => match origin.value.kind {
            RegKind::Packet { range } | RegKind::PacketMeta { range } => {
                let plural = if range == 1 { "" } else { "s" };
                format!("this comparison proves only {range} byte{plural}")
            }
            _ => "this comparison proves too little".to_string(),
        },
        Cause::Checked => format!("its bound comes from here: it {between}"),
        Cause::Overwritten => {
            "a part of the variable is overwritten here: what is left of it is any number"
                .to_string()
        }
        Cause::CheckedAbove => {
            "this comparison bounds it from above only: as a signed number it may be negative"
                .to_string()
        }
        Cause::CheckedHalf => {
            "this comparison looks at the lower 32 bits only: the upper ones may be anything"
                .to_string()
        }
        Cause::Function if number => {
            format!("the result of {call}, which is global and verified on its own: it {between}")
        }
        Cause::Function => format!("the result of {call}"),
        Cause::Decided(rounds) => format!("decided {rounds} times on this path"),
        Cause::KnownNull => "on this side of the test the pointer is NULL".to_string(),
        Cause::BeyondEnd => {
            "on this side of the test the pointer is beyond the packet's end".to_string()
        }
        Cause::Invalidated => {
            format!("{call} may move the packet: pointers into it are invalid from here on")
        }
        Cause::Released if call.starts_with("bpf_spin_unlock") => {
            format!("after {call} the object is the list's or tree's: the pointer is invalid")
        }
        Cause::Released => {
            format!("{call} releases the object: the pointer is invalid from here on")
        }
        Cause::LostTrust => {
            format!("{call} ends what kept the object alive: the pointer may dangle from here on")
        }
        Cause::Difference => {
            "the difference of two pointers: for the verifier it may be anything".to_string()
        }
        Cause::Clobbered => format!("{call} leaves no value in this register"),
        Cause::NewBase => {
            "a variable offset is added here: comparisons with data_end made before do not cover \
             the new pointer"
                .to_string()
        }
        Cause::MaybeNull => match call.as_str() {
            "this call" => "the pointer that is read here may be NULL".to_string(),
            _ => format!("{call} returns NULL when there is nothing"),
        },
        Cause::NoPointer => {
            "after this operation the verifier no longer takes the value for a pointer".to_string()
        }
        Cause::Never => "nothing is written to it from here on".to_string(),
        Cause::Acquired => match body.class {
            Class::Reference => format!("{call} acquires it here"),
            _ => format!("{call} begins it here"),
        },
    })
}

/// The newest decisions of the path, oldest first: where it went on.
fn branches(env: &Env<'_>, path: &Recorded) -> Vec<Note> {
    /// Instructions of a condition's own line that may follow it.
    const OWN: usize = 8;
    let next = |index: usize| {
        path.steps
            .get(index + 1)
            .map_or(env.slot, |s| s.slot as usize)
    };
    let line = |slot: usize| source(env.request, slot).map(|s| (s.line, s.file));
    // The first line that is another one: what is done first belongs to the condition's own often.
    let goes_on = |index: usize| {
        let own = line(path.steps[index].slot as usize)?;
        let after = (index..index + OWN).map(next).map(line);
        let other = after.flatten().find(|other| *other != own);
        Some(other.unwrap_or(own).0)
    };
    let mut notes: Vec<Note> = Vec::new();
    for (index, step) in path.steps.iter().enumerate().rev() {
        let slot = step.slot as usize;
        if !matches!(env.program.get(slot), Some(Instruction::Branch { .. })) {
            continue;
        }
        let next = next(index);
        let taken = next != slot + 1;
        let place = place(env, slot);
        // Of a loop each decision is told once.
        if notes.iter().any(|n| n.place.slot == place.slot) {
            continue;
        }
        let holds = match taken {
            true => "holds",
            false => "does not hold",
        };
        let text = match goes_on(index) {
            Some(line) => format!("the path goes on at line {line}"),
            None => format!("this condition {holds}: the path goes on at instruction {next}"),
        };
        notes.push(Note { place, text });
        if notes.len() >= NOTES {
            break;
        }
    }
    notes.reverse();
    notes
}

fn steps(env: &Env<'_>, path: &Recorded) -> Path {
    let first = path.steps.len().saturating_sub(STEPS);
    let mut steps: Vec<Step> = path.steps[first..]
        .iter()
        .map(|step| Step {
            place: place(env, step.slot as usize),
            frame: step.level,
            changes: step
                .changes
                .iter()
                .map(|change| state_text::change(env, step.level, change))
                .collect(),
        })
        .collect();
    steps.push(Step {
        place: place(env, env.slot),
        frame: path.fault.level() as u8,
        changes: Vec::new(),
    });
    Path {
        steps,
        earlier: (first + path.dropped) as u64,
    }
}
