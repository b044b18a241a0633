//! Compares the tables of program types with what the running kernel accepts: every helper, and
//! every load and store of the context, for every type that loads without a kernel function to
//! attach to.

mod linux;

use linux::{Load, Verdict, insn, load};
use panal_uapi::program_types::{Access, Context, FieldKind, Situation, by_type};
use panal_uapi::{AttachType, Capabilities, ProgType, helpers};

const SLEEPABLE: u32 = 1 << 4;

/// Types and attach types that load with nothing but code, with the return value that passes.
fn cases() -> Vec<(ProgType, Option<AttachType>, i32)> {
    use AttachType as A;
    use ProgType as P;
    let mut cases = Vec::new();
    for prog_type in [
        P::SocketFilter,
        P::Kprobe,
        P::SchedCls,
        P::SchedAct,
        P::Tracepoint,
        P::PerfEvent,
        P::LwtIn,
        P::LwtOut,
        P::LwtXmit,
        P::LwtSeg6local,
        P::RawTracepoint,
        P::RawTracepointWritable,
        P::Syscall,
    ] {
        cases.push((prog_type, None, 0));
    }
    for (prog_type, attach_types) in [
        (P::Xdp, &[A::Xdp, A::XdpDevmap, A::XdpCpumap][..]),
        (P::CgroupSkb, &[A::CgroupInetIngress, A::CgroupInetEgress]),
        (
            P::CgroupSock,
            &[
                A::CgroupInetSockCreate,
                A::CgroupInetSockRelease,
                A::CgroupInet4PostBind,
                A::CgroupInet6PostBind,
            ],
        ),
        (
            P::CgroupSockAddr,
            &[
                A::CgroupInet4Bind,
                A::CgroupInet6Bind,
                A::CgroupInet4Connect,
                A::CgroupInet6Connect,
                A::CgroupUnixConnect,
                A::CgroupUdp4Sendmsg,
                A::CgroupUdp6Sendmsg,
                A::CgroupUnixSendmsg,
                A::CgroupUdp4Recvmsg,
                A::CgroupUdp6Recvmsg,
                A::CgroupUnixRecvmsg,
                A::CgroupInet4Getpeername,
                A::CgroupInet6Getpeername,
                A::CgroupUnixGetpeername,
                A::CgroupInet4Getsockname,
                A::CgroupInet6Getsockname,
                A::CgroupUnixGetsockname,
            ],
        ),
        (
            P::CgroupSockopt,
            &[A::CgroupGetsockopt, A::CgroupSetsockopt],
        ),
        (P::CgroupSysctl, &[A::CgroupSysctl]),
        (P::CgroupDevice, &[A::CgroupDevice]),
        (P::SockOps, &[A::CgroupSockOps]),
        (
            P::SkSkb,
            &[A::SkSkbStreamParser, A::SkSkbStreamVerdict, A::SkSkbVerdict],
        ),
        (P::SkMsg, &[A::SkMsgVerdict]),
        (P::SkLookup, &[A::SkLookup]),
        (
            P::SkReuseport,
            &[A::SkReuseportSelect, A::SkReuseportSelectOrMigrate],
        ),
        (P::FlowDissector, &[A::FlowDissector]),
        (P::Netfilter, &[A::Netfilter]),
    ] {
        cases.extend(
            attach_types
                .iter()
                .map(|&attach_type| (prog_type, Some(attach_type), 1)),
        );
    }
    cases
}

fn run(
    prog_type: ProgType,
    attach_type: Option<AttachType>,
    code: &[[u8; 8]],
    log: u32,
) -> Verdict {
    let flags = if prog_type == ProgType::Syscall {
        SLEEPABLE
    } else {
        0
    };
    load(&Load {
        prog_type,
        attach_type,
        flags,
        code,
        log_level: log,
    })
}

fn situation(attach_type: Option<AttachType>) -> Situation {
    Situation {
        attach_type,
        capabilities: Capabilities::all(),
        version: 6 << 16 | 18 << 8,
    }
}

/// Helpers that a kernel may lack by its configuration.
fn configured(prog_type: ProgType, name: &str) -> bool {
    match name {
        // CONFIG_BPF_KPROBE_OVERRIDE
        "override_return" => false,
        // Refused where the kernel is locked down.
        "probe_write_user" => false,
        _ => prog_type != ProgType::LircMode2,
    }
}

#[test]
fn helpers_are_allowed_as_by_the_kernel() {
    if let Err(why) = linux::available() {
        eprintln!("skipped: {why}");
        return;
    }
    let mut wrong = Vec::new();
    for (prog_type, attach_type, result) in cases() {
        let rules = by_type(prog_type).expect("a real type");
        for helper in helpers::all() {
            if !configured(prog_type, helper.name) {
                continue;
            }
            let code = [
                insn(0xb7, 2, 0, 0, 0),
                insn(0xb7, 3, 0, 0, 0),
                insn(0xb7, 4, 0, 0, 0),
                insn(0xb7, 5, 0, 0, 0),
                insn(0x85, 0, 0, 0, helper.id as i32),
                insn(0xb7, 0, 0, 0, result),
                insn(0x95, 0, 0, 0, 0),
            ];
            let log = run(prog_type, attach_type, &code, 1).log;
            let linux = !log.contains("program of this type cannot use helper");
            let ours = rules.allows_helper(helper.id, &situation(attach_type));
            if linux != ours {
                wrong.push(format!(
                    "{prog_type} {attach_type:?} {}: Linux {linux}",
                    helper.name
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn load_kind(log: &str) -> &'static str {
    let Some(rest) = log
        .split("R0=")
        .nth(1)
        .or_else(|| log.split("R0_w=").nth(1))
    else {
        return "?";
    };
    for kind in [
        "scalar",
        "pkt_meta",
        "pkt_end",
        "pkt(",
        "sock_common_or_null",
        "sock_or_null",
        "sock(",
        "flow_keys",
        "tp_buffer",
        "trusted_ptr_",
    ] {
        if rest.starts_with(kind) {
            return kind;
        }
    }
    "?"
}

fn our_kind(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Scalar => "scalar",
        FieldKind::PacketData => "pkt(",
        FieldKind::PacketEnd => "pkt_end",
        FieldKind::PacketMeta => "pkt_meta",
        FieldKind::Socket => "sock(",
        FieldKind::SocketOrNull => "sock_or_null",
        FieldKind::SockCommonOrNull => "sock_common_or_null",
        FieldKind::FlowKeys => "flow_keys",
        FieldKind::TracepointBuffer => "tp_buffer",
        FieldKind::TrustedBtf(_) => "trusted_ptr_",
    }
}

#[test]
fn contexts_are_accessed_as_by_the_kernel() {
    if let Err(why) = linux::available() {
        eprintln!("skipped: {why}");
        return;
    }
    let mut wrong = Vec::new();
    for (prog_type, attach_type, result) in cases() {
        let Context::Fields(fields) = by_type(prog_type).expect("a real type").context else {
            continue;
        };
        let ends = [
            0..fields.layout.size.min(240) + 8,
            fields.layout.size - 8..fields.layout.size + 8,
        ];
        for offset in ends.into_iter().flatten() {
            // The kernel's own limit of this context is a byte shorter than its last word.
            if offset > i16::MAX as u32 {
                continue;
            }
            for (size, ldx, stx) in [
                (1, 0x71, 0x73),
                (2, 0x69, 0x6b),
                (4, 0x61, 0x63),
                (8, 0x79, 0x7b),
            ] {
                for access in [Access::Read, Access::Write] {
                    let mut code = match access {
                        Access::Read => vec![insn(ldx, 0, 1, offset as i16, 0)],
                        Access::Write => {
                            vec![insn(0xb7, 2, 0, 0, 0), insn(stx, 1, 2, offset as i16, 0)]
                        }
                    };
                    code.extend([insn(0xb7, 0, 0, 0, result), insn(0x95, 0, 0, 0, 0)]);
                    let verdict = run(prog_type, attach_type, &code, 2);
                    let ours = fields.access(offset.into(), size, access, &situation(attach_type));
                    let kinds = ours
                        .filter(|_| access == Access::Read)
                        .map(|f| our_kind(f.kind));
                    let same_kind = kinds.is_none_or(|ours| ours == load_kind(&verdict.log));
                    if (verdict.errno == 0) != ours.is_some() || (ours.is_some() && !same_kind) {
                        wrong.push(format!(
                            "{prog_type} {attach_type:?} {access:?} {size} bytes at {offset}: Linux \
                             errno {}, {}; here {:?}",
                            verdict.errno,
                            load_kind(&verdict.log),
                            ours.map(|f| f.name),
                        ));
                    }
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
