//! What the kernel's own types tell: attach types and kinds of links are enumerators of its
//! interface. Tracing's ways are tried, too, as a kernel can know them and be built without.

use std::collections::BTreeMap;

use panal_btf::{Btf, Kind, KindTag};
use panal_isa::{AluOp, Instruction, Operand, Reg, Width};
use panal_uapi::{AttachType, Errno, ProgType};

use super::loads::{Loads, Outcome, refused};
use crate::Answer;

/// Functions to which any program may be tied, and how.
const TRIED: [(AttachType, ProgType, &str); 4] = [
    (
        AttachType::TraceFentry,
        ProgType::Tracing,
        "bpf_fentry_test1",
    ),
    (
        AttachType::TraceFexit,
        ProgType::Tracing,
        "bpf_fentry_test1",
    ),
    (
        AttachType::ModifyReturn,
        ProgType::Tracing,
        "bpf_modify_return_test",
    ),
    (AttachType::LsmMac, ProgType::Lsm, "bpf_lsm_file_open"),
];

/// The enumerators of an enumeration; `None` where the types are not told.
fn enumerators(btf: Option<&Btf>, name: &str) -> Option<Vec<String>> {
    let btf = btf?;
    let id = btf.find(name, KindTag::Enum)?;
    let Kind::Enum { values, .. } = &btf.get(id)?.kind else {
        return None;
    };
    Some(values.iter().map(|v| v.name.to_string()).collect())
}

/// Attach types.
pub fn attach_types(loads: &Loads<'_>) -> BTreeMap<String, Answer> {
    let named = enumerators(loads.btf.as_deref(), "bpf_attach_type");
    let known = |attach_type: AttachType| match &named {
        Some(names) => Answer::Known(names.iter().any(|n| n == attach_type.uapi_name())),
        None => Answer::Unknown("the kernel does not tell its types".into()),
    };
    let mut all: BTreeMap<String, Answer> = AttachType::ALL
        .iter()
        .map(|&t| (t.short_name().to_owned(), known(t)))
        .collect();
    for (attach_type, prog_type, function) in TRIED {
        if known(attach_type) == Answer::YES {
            let answer = try_function(loads, attach_type, prog_type, function);
            all.insert(attach_type.short_name().to_owned(), answer);
        }
    }
    all
}

fn try_function(
    loads: &Loads<'_>,
    attach_type: AttachType,
    prog_type: ProgType,
    function: &str,
) -> Answer {
    let find = |btf: &Btf| btf.find(function, KindTag::Func);
    let Some(target) = loads.btf.as_deref().and_then(find) else {
        return Answer::Unknown(format!("there is no {function} to try it with"));
    };
    let nothing = Instruction::Alu {
        width: Width::W64,
        op: AluOp::Mov,
        dst: Reg::R0,
        src: Operand::Imm(0),
    };
    let code = [nothing, Instruction::Exit];
    match loads.load_at(prog_type, Some(attach_type), Some(target), &code) {
        Outcome::Accepted => Answer::YES,
        Outcome::Rejected(_) | Outcome::Refused(Errno::EINVAL | Errno::ENOTSUPP) => Answer::NO,
        Outcome::Refused(errno) => refused(errno),
    }
}

/// Kinds of links.
pub fn links(loads: &Loads<'_>) -> BTreeMap<String, Answer> {
    let named = enumerators(loads.btf.as_deref(), "bpf_link_type").unwrap_or_default();
    named
        .iter()
        .filter_map(|name| name.strip_prefix("BPF_LINK_TYPE_"))
        .filter(|name| *name != "UNSPEC")
        .map(|name| (name.to_lowercase(), Answer::YES))
        .collect()
}
