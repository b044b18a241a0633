//! What a loader without all capabilities may not do. The rules that hang on an instruction stand
//! where the instruction is checked and ask the questions here; containing speculation is in
//! [`crate::transfer`]'s `speculation`.

use panal_isa::{CallTarget, Imm64, Instruction, Reg};
use panal_uapi::Capabilities;

use crate::{
    Request,
    env::Env,
    error::{Check, reject},
    state::{RegState, State},
};

impl Env<'_> {
    /// Whether the loader has capabilities.
    pub fn can(&self, capabilities: Capabilities) -> bool {
        self.request.profile.capabilities.contains(capabilities)
    }

    /// Whether the program may have functions and loops, and its numbers need be exact only where
    /// they matter (`CAP_BPF`).
    pub fn is_capable(&self) -> bool {
        self.can(Capabilities::BPF)
    }

    /// Whether the program may see addresses, and what was left on the stack (`CAP_PERFMON`).
    pub fn sees_addresses(&self) -> bool {
        self.can(Capabilities::PERFMON)
    }

    /// Whether what a processor does on mispredicted paths must be harmless, too: for loaders without
    /// `CAP_PERFMON`.
    pub fn contains_speculation(&self) -> bool {
        !self.can(Capabilities::PERFMON)
    }

    /// Whether wrong guesses are kept out by barriers where they would do harm.
    pub fn has_barriers(&self) -> bool {
        self.contains_speculation() && self.since(6, 17)
    }

    /// What a pointer becomes that points to nothing any more.
    pub fn invalidated(&self) -> RegState {
        if self.sees_addresses() {
            RegState::UNKNOWN
        } else {
            RegState::NOT_INIT
        }
    }

    /// Whether the register holds an address that the program must not see as a number.
    pub fn is_secret(&self, reg: &RegState) -> bool {
        !self.sees_addresses() && !reg.is_scalar()
    }
}

/// Whether the loader may load such a program at all.
///
/// # Errors
/// It misses a capability for the type, or the program is too long for a loader without `CAP_BPF`.
pub fn check_load(request: &Request<'_>) -> Check {
    let profile = request.profile;
    let needed = Capabilities::to_load(request.prog_type);
    let missing = needed.difference(profile.capabilities);
    if !missing.is_empty() {
        return Err(reject!(
            NotAllowed,
            EPERM,
            "programs of type {} need {missing}",
            request.prog_type
        )
        .because(alloc::format!(
            "the loader has not {missing}, which programs of type {} need",
            request.prog_type
        )));
    }
    let most = profile.max_instructions();
    if request.code.len() > most as usize {
        return Err(reject!(
            TooComplex,
            E2BIG,
            "the program has {} instructions, more than {most}",
            request.code.len()
        ));
    }
    Ok(())
}

/// Functions, of the program and of the kernel, are for loaders with `CAP_BPF`.
///
/// # Errors
/// One is called, or its address taken.
pub fn check_calls(env: &Env<'_>) -> Check {
    if env.is_capable() {
        return Ok(());
    }
    let calls = env.program.instructions.iter().flatten().any(|i| {
        matches!(
            i,
            Instruction::Call(CallTarget::Local(_) | CallTarget::Kfunc { .. })
                | Instruction::LoadImm64 {
                    imm: Imm64::Func(_),
                    ..
                }
        )
    });
    if calls {
        return Err(reject!(
            NotAllowed,
            EPERM,
            "loading/calling other bpf or kernel functions are allowed for CAP_BPF and CAP_SYS_ADMIN"
        ));
    }
    Ok(())
}

/// The register's value goes where the program's user can see it: it must be no address.
///
/// # Errors
/// It is one.
pub fn check_leak(env: &Env<'_>, st: &State, reg: Reg, into: &str) -> Check {
    if env.is_secret(st.reg(reg)) {
        return Err(reject!(
            Leak,
            EACCES,
            "R{} leaks addr {into}",
            reg.number()
        )
        .because(alloc::format!(
            "r{} holds an address of the kernel, which a program without CAP_PERFMON must not reveal",
            reg.number()
        )));
    }
    Ok(())
}
