//! What must be given back before a program ends or goes elsewhere.

use alloc::{format, string::String};

use panal_isa::Reg;
use panal_uapi::ProgType;

use crate::{
    env::Env,
    error::{Check, reject},
    state::{RefKind, State},
};

/// Checks that nothing is held; `what` begins the messages on sections. References of outer frames
/// are theirs to release, unless all frames end (`exception`).
///
/// # Errors
/// A reference, lock or section is left.
pub fn check(env: &Env<'_>, st: &State, exception: bool, what: &str) -> Check {
    let returned = st.reg(Reg::R0).ref_id;
    let gives_back = env.request.prog_type == ProgType::StructOps;
    let mut lines = String::new();
    if exception || st.level() == 0 {
        for reference in st.refs.list.iter().filter(|r| r.kind == RefKind::Pointer) {
            if gives_back && reference.id == returned {
                continue;
            }
            if !lines.is_empty() {
                lines.push('\n');
            }
            lines.push_str(&format!(
                "Unreleased reference id={} alloc_insn={}",
                reference.id, reference.slot
            ));
        }
    }
    if !lines.is_empty() {
        lines.push_str(&format!("\n{what} would lead to reference leak"));
        return Err(reject!(Reference, EINVAL, "{lines}")
            .because("a reference that was acquired on this path is never released")
            .help("release it on every path, error paths too"));
    }
    let section = if st.refs.locks > 0 {
        "bpf_spin_lock"
    } else if st.refs.irq != 0 {
        "bpf_local_irq_save"
    } else if st.refs.rcu > 0 {
        "bpf_rcu_read_lock"
    } else if st.refs.preempt > 0 {
        "bpf_preempt_disable"
    } else {
        return Ok(());
    };
    Err(reject!(
        Locking,
        EINVAL,
        "{what} cannot be used inside {section}-ed region"
    ))
}
