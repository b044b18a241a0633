//! What a section name says of its programs: `SEC("xdp")`, `SEC("tracepoint/syscalls/sys_enter_openat")`.
//!
//! One table, with the names that libbpf documents (kernel document `bpf/libbpf/program_types.rst`).

use crate::{
    AttachType::{self, *},
    ProgType,
    kernel::ProgFlags,
};

/// What a section name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section<'a> {
    /// Type of its programs.
    pub prog_type: ProgType,
    /// Expected attach type.
    pub attach_type: Option<AttachType>,
    /// `SLEEPABLE` for the `.s` forms, `XDP_HAS_FRAGS` for `.frags`.
    pub flags: ProgFlags,
    /// False when the name begins with `?`: loaded only on request.
    pub autoload: bool,
    /// False when the name is not exactly one that libbpf documents (`xdp_pass`, `socket1`), as
    /// older objects have; libbpf 1.x refuses those.
    pub exact: bool,
    /// What its programs are to be attached to. A malformed target is no reason not to load a
    /// program that is tied to nothing before it is attached.
    pub target: Result<Target<'a>, SectionError>,
}

/// What a section name says of the place where a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// Nothing: an interface, a cgroup, a socket is named when it is attached.
    Unnamed,
    /// A tracepoint.
    Tracepoint {
        /// Category: `syscalls`.
        category: &'a str,
        /// Event: `sys_enter_openat`.
        name: &'a str,
    },
    /// A raw tracepoint by name.
    RawTracepoint(&'a str),
    /// A function, tracepoint, hook or iterator that the kernel's BTF describes.
    Btf {
        /// How its name is made into that of a BTF type.
        kind: BtfTarget,
        /// Module whose BTF is meant; `None` for any.
        module: Option<&'a str>,
        /// Name as the section has it: `vfs_read`, `sched_switch`, `file_open`, `task`.
        name: &'a str,
    },
    /// A function of another program (`freplace`).
    ProgramFunction(&'a str),
    /// A kernel function.
    Kprobe {
        /// Its name.
        function: &'a str,
        /// Bytes into it.
        offset: u64,
        /// At its return.
        on_return: bool,
    },
    /// Kernel functions by a pattern with `*` and `?`.
    KprobeMulti {
        /// The pattern.
        pattern: &'a str,
        /// At their return.
        on_return: bool,
        /// At entry and return, with a cookie for each call.
        session: bool,
    },
    /// A system call by name, whatever the architecture calls its function.
    Ksyscall {
        /// `openat`
        name: &'a str,
        /// At its return.
        on_return: bool,
    },
    /// A function in user space.
    Uprobe {
        /// Path of the binary, or name of a library.
        path: &'a str,
        /// Name or pattern; empty with only an offset.
        function: &'a str,
        /// Bytes into the function or file.
        offset: u64,
        /// At its return.
        on_return: bool,
        /// `uprobe.multi` and `uprobe.session`.
        multi: bool,
    },
    /// A statically defined probe in user space.
    Usdt {
        /// Path of the binary.
        path: &'a str,
        /// Provider.
        provider: &'a str,
        /// Probe.
        name: &'a str,
    },
    /// A member of a struct_ops type; the object's `.struct_ops` section says which.
    StructOps,
}

/// Which BTF type stands for a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BtfTarget {
    /// `BTF_KIND_FUNC` of that name.
    Function,
    /// `BTF_KIND_TYPEDEF` `btf_trace_NAME`.
    RawTracepoint,
    /// `BTF_KIND_FUNC` `bpf_lsm_NAME`.
    Lsm,
    /// `BTF_KIND_FUNC` `bpf_iter_NAME`.
    Iterator,
}

impl BtfTarget {
    /// What stands before the section's name in BTF.
    pub const fn prefix(self) -> &'static str {
        match self {
            BtfTarget::Function => "",
            BtfTarget::RawTracepoint => "btf_trace_",
            BtfTarget::Lsm => "bpf_lsm_",
            BtfTarget::Iterator => "bpf_iter_",
        }
    }
}

/// A section name that says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SectionError {
    /// No program type has it.
    #[error("no program type is known by this section name")]
    Unknown,
    /// What follows the type cannot be read.
    #[error("what follows the type must have the form {expected}")]
    Malformed {
        /// `tracepoint/CATEGORY/NAME`
        expected: &'static str,
    },
}

/// How the name goes on after the first part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// It does not.
    Exact,
    /// It did not matter to libbpf before 1.0.
    Loose,
    Tracepoint,
    RawTracepoint,
    Btf(BtfTarget),
    ProgramFunction,
    Kprobe {
        on_return: bool,
    },
    KprobeMulti {
        on_return: bool,
        session: bool,
    },
    Ksyscall {
        on_return: bool,
    },
    Uprobe {
        on_return: bool,
        multi: bool,
    },
    Usdt,
    StructOps,
}

struct Rule {
    prefix: &'static str,
    prog_type: ProgType,
    attach_type: Option<AttachType>,
    flags: ProgFlags,
    form: Form,
}

const PLAIN: ProgFlags = ProgFlags::empty();
const SLEEPABLE: ProgFlags = ProgFlags::SLEEPABLE;
const FRAGS: ProgFlags = ProgFlags::XDP_HAS_FRAGS;

macro_rules! rules {
    ($($prefix:literal, $ty:ident, $attach:expr, $flags:ident, $form:expr;)*) => {
        &[$(Rule {
            prefix: $prefix,
            prog_type: ProgType::$ty,
            attach_type: $attach,
            flags: $flags,
            form: $form,
        },)*]
    };
}

use Form::{Exact, Loose};
const FUNCTION: Form = Form::Btf(BtfTarget::Function);
const LSM: Form = Form::Btf(BtfTarget::Lsm);
const ITERATOR: Form = Form::Btf(BtfTarget::Iterator);
const ENTRY: Form = Form::Kprobe { on_return: false };
const RETURN: Form = Form::Kprobe { on_return: true };
const MULTI: Form = Form::KprobeMulti {
    on_return: false,
    session: false,
};
const MULTI_RETURN: Form = Form::KprobeMulti {
    on_return: true,
    session: false,
};
const SESSION: Form = Form::KprobeMulti {
    on_return: false,
    session: true,
};
const USER: Form = Form::Uprobe {
    on_return: false,
    multi: false,
};
const USER_RETURN: Form = Form::Uprobe {
    on_return: true,
    multi: false,
};
const USER_MULTI: Form = Form::Uprobe {
    on_return: false,
    multi: true,
};
const USER_MULTI_RETURN: Form = Form::Uprobe {
    on_return: true,
    multi: true,
};

/// Every documented name. Order does not matter: a name matches one rule exactly, or the longest
/// loose one.
static RULES: &[Rule] = rules! {
    "socket", SocketFilter, None, PLAIN, Loose;
    "sk_reuseport/migrate", SkReuseport, Some(SkReuseportSelectOrMigrate), PLAIN, Exact;
    "sk_reuseport", SkReuseport, Some(SkReuseportSelect), PLAIN, Loose;
    "kprobe", Kprobe, None, PLAIN, ENTRY;
    "kretprobe", Kprobe, None, PLAIN, RETURN;
    "kprobe.multi", Kprobe, Some(TraceKprobeMulti), PLAIN, MULTI;
    "kretprobe.multi", Kprobe, Some(TraceKprobeMulti), PLAIN, MULTI_RETURN;
    "kprobe.session", Kprobe, Some(TraceKprobeSession), PLAIN, SESSION;
    "uprobe", Kprobe, None, PLAIN, USER;
    "uprobe.s", Kprobe, None, SLEEPABLE, USER;
    "uretprobe", Kprobe, None, PLAIN, USER_RETURN;
    "uretprobe.s", Kprobe, None, SLEEPABLE, USER_RETURN;
    "uprobe.multi", Kprobe, Some(TraceUprobeMulti), PLAIN, USER_MULTI;
    "uprobe.multi.s", Kprobe, Some(TraceUprobeMulti), SLEEPABLE, USER_MULTI;
    "uretprobe.multi", Kprobe, Some(TraceUprobeMulti), PLAIN, USER_MULTI_RETURN;
    "uretprobe.multi.s", Kprobe, Some(TraceUprobeMulti), SLEEPABLE, USER_MULTI_RETURN;
    "uprobe.session", Kprobe, Some(TraceUprobeSession), PLAIN, USER_MULTI;
    "uprobe.session.s", Kprobe, Some(TraceUprobeSession), SLEEPABLE, USER_MULTI;
    "ksyscall", Kprobe, None, PLAIN, Form::Ksyscall { on_return: false };
    "kretsyscall", Kprobe, None, PLAIN, Form::Ksyscall { on_return: true };
    "usdt", Kprobe, None, PLAIN, Form::Usdt;
    "usdt.s", Kprobe, None, SLEEPABLE, Form::Usdt;
    "tc/ingress", SchedCls, Some(TcxIngress), PLAIN, Exact;
    "tc/egress", SchedCls, Some(TcxEgress), PLAIN, Exact;
    "tcx/ingress", SchedCls, Some(TcxIngress), PLAIN, Exact;
    "tcx/egress", SchedCls, Some(TcxEgress), PLAIN, Exact;
    "tc", SchedCls, None, PLAIN, Loose;
    "classifier", SchedCls, None, PLAIN, Loose;
    "action", SchedAct, None, PLAIN, Loose;
    "netkit/primary", SchedCls, Some(NetkitPrimary), PLAIN, Exact;
    "netkit/peer", SchedCls, Some(NetkitPeer), PLAIN, Exact;
    "tracepoint", Tracepoint, None, PLAIN, Form::Tracepoint;
    "tp", Tracepoint, None, PLAIN, Form::Tracepoint;
    "raw_tracepoint", RawTracepoint, None, PLAIN, Form::RawTracepoint;
    "raw_tp", RawTracepoint, None, PLAIN, Form::RawTracepoint;
    "raw_tracepoint.w", RawTracepointWritable, None, PLAIN, Form::RawTracepoint;
    "raw_tp.w", RawTracepointWritable, None, PLAIN, Form::RawTracepoint;
    "tp_btf", Tracing, Some(TraceRawTp), PLAIN, Form::Btf(BtfTarget::RawTracepoint);
    "fentry", Tracing, Some(TraceFentry), PLAIN, FUNCTION;
    "fentry.s", Tracing, Some(TraceFentry), SLEEPABLE, FUNCTION;
    "fexit", Tracing, Some(TraceFexit), PLAIN, FUNCTION;
    "fexit.s", Tracing, Some(TraceFexit), SLEEPABLE, FUNCTION;
    "fmod_ret", Tracing, Some(ModifyReturn), PLAIN, FUNCTION;
    "fmod_ret.s", Tracing, Some(ModifyReturn), SLEEPABLE, FUNCTION;
    "freplace", Ext, None, PLAIN, Form::ProgramFunction;
    "lsm", Lsm, Some(LsmMac), PLAIN, LSM;
    "lsm.s", Lsm, Some(LsmMac), SLEEPABLE, LSM;
    "lsm_cgroup", Lsm, Some(LsmCgroup), PLAIN, LSM;
    "iter", Tracing, Some(TraceIter), PLAIN, ITERATOR;
    "iter.s", Tracing, Some(TraceIter), SLEEPABLE, ITERATOR;
    "syscall", Syscall, None, SLEEPABLE, Exact;
    "xdp.frags/devmap", Xdp, Some(XdpDevmap), FRAGS, Exact;
    "xdp/devmap", Xdp, Some(XdpDevmap), PLAIN, Exact;
    "xdp_devmap", Xdp, Some(XdpDevmap), PLAIN, Loose;
    "xdp.frags/cpumap", Xdp, Some(XdpCpumap), FRAGS, Exact;
    "xdp/cpumap", Xdp, Some(XdpCpumap), PLAIN, Exact;
    "xdp_cpumap", Xdp, Some(XdpCpumap), PLAIN, Loose;
    "xdp.frags", Xdp, Some(Xdp), FRAGS, Exact;
    "xdp", Xdp, Some(Xdp), PLAIN, Loose;
    "perf_event", PerfEvent, None, PLAIN, Loose;
    "lwt_in", LwtIn, None, PLAIN, Loose;
    "lwt_out", LwtOut, None, PLAIN, Loose;
    "lwt_xmit", LwtXmit, None, PLAIN, Loose;
    "lwt_seg6local", LwtSeg6local, None, PLAIN, Loose;
    "sockops", SockOps, Some(CgroupSockOps), PLAIN, Loose;
    "sk_skb/stream_parser", SkSkb, Some(SkSkbStreamParser), PLAIN, Exact;
    "sk_skb/stream_verdict", SkSkb, Some(SkSkbStreamVerdict), PLAIN, Exact;
    "sk_skb/verdict", SkSkb, Some(SkSkbVerdict), PLAIN, Exact;
    "sk_skb", SkSkb, None, PLAIN, Loose;
    "sk_msg", SkMsg, Some(SkMsgVerdict), PLAIN, Loose;
    "lirc_mode2", LircMode2, Some(LircMode2), PLAIN, Loose;
    "flow_dissector", FlowDissector, Some(FlowDissector), PLAIN, Loose;
    "cgroup_skb/ingress", CgroupSkb, Some(CgroupInetIngress), PLAIN, Loose;
    "cgroup_skb/egress", CgroupSkb, Some(CgroupInetEgress), PLAIN, Loose;
    "cgroup/skb", CgroupSkb, None, PLAIN, Loose;
    "cgroup/sock_create", CgroupSock, Some(CgroupInetSockCreate), PLAIN, Exact;
    "cgroup/sock_release", CgroupSock, Some(CgroupInetSockRelease), PLAIN, Exact;
    "cgroup/sock", CgroupSock, Some(CgroupInetSockCreate), PLAIN, Exact;
    "cgroup/post_bind4", CgroupSock, Some(CgroupInet4PostBind), PLAIN, Exact;
    "cgroup/post_bind6", CgroupSock, Some(CgroupInet6PostBind), PLAIN, Exact;
    "cgroup/bind4", CgroupSockAddr, Some(CgroupInet4Bind), PLAIN, Exact;
    "cgroup/bind6", CgroupSockAddr, Some(CgroupInet6Bind), PLAIN, Exact;
    "cgroup/connect4", CgroupSockAddr, Some(CgroupInet4Connect), PLAIN, Exact;
    "cgroup/connect6", CgroupSockAddr, Some(CgroupInet6Connect), PLAIN, Exact;
    "cgroup/connect_unix", CgroupSockAddr, Some(CgroupUnixConnect), PLAIN, Exact;
    "cgroup/sendmsg4", CgroupSockAddr, Some(CgroupUdp4Sendmsg), PLAIN, Exact;
    "cgroup/sendmsg6", CgroupSockAddr, Some(CgroupUdp6Sendmsg), PLAIN, Exact;
    "cgroup/sendmsg_unix", CgroupSockAddr, Some(CgroupUnixSendmsg), PLAIN, Exact;
    "cgroup/recvmsg4", CgroupSockAddr, Some(CgroupUdp4Recvmsg), PLAIN, Exact;
    "cgroup/recvmsg6", CgroupSockAddr, Some(CgroupUdp6Recvmsg), PLAIN, Exact;
    "cgroup/recvmsg_unix", CgroupSockAddr, Some(CgroupUnixRecvmsg), PLAIN, Exact;
    "cgroup/getpeername4", CgroupSockAddr, Some(CgroupInet4Getpeername), PLAIN, Exact;
    "cgroup/getpeername6", CgroupSockAddr, Some(CgroupInet6Getpeername), PLAIN, Exact;
    "cgroup/getpeername_unix", CgroupSockAddr, Some(CgroupUnixGetpeername), PLAIN, Exact;
    "cgroup/getsockname4", CgroupSockAddr, Some(CgroupInet4Getsockname), PLAIN, Exact;
    "cgroup/getsockname6", CgroupSockAddr, Some(CgroupInet6Getsockname), PLAIN, Exact;
    "cgroup/getsockname_unix", CgroupSockAddr, Some(CgroupUnixGetsockname), PLAIN, Exact;
    "cgroup/sysctl", CgroupSysctl, Some(CgroupSysctl), PLAIN, Exact;
    "cgroup/getsockopt", CgroupSockopt, Some(CgroupGetsockopt), PLAIN, Exact;
    "cgroup/setsockopt", CgroupSockopt, Some(CgroupSetsockopt), PLAIN, Exact;
    "cgroup/dev", CgroupDevice, Some(CgroupDevice), PLAIN, Exact;
    "struct_ops", StructOps, None, PLAIN, Form::StructOps;
    "struct_ops.s", StructOps, None, SLEEPABLE, Form::StructOps;
    "sk_lookup", SkLookup, Some(SkLookup), PLAIN, Loose;
    "netfilter", Netfilter, Some(Netfilter), PLAIN, Exact;
};

impl<'a> Section<'a> {
    /// Reads a section name.
    pub fn parse(name: &'a str) -> Result<Self, SectionError> {
        let (autoload, name) = match name.strip_prefix('?') {
            Some(rest) => (false, rest),
            None => (true, name),
        };
        let (rule, rest, exact) = find(name).ok_or(SectionError::Unknown)?;
        Ok(Section {
            prog_type: rule.prog_type,
            attach_type: rule.attach_type,
            flags: rule.flags,
            autoload,
            exact,
            target: target(rule.form, rest),
        })
    }

    /// Every first part of a section name that means a program type, for messages and completion.
    pub fn prefixes() -> impl Iterator<Item = &'static str> {
        RULES.iter().map(|r| r.prefix)
    }
}

/// The rule for a name, what follows the first part (without its `/`), and whether the match is exact.
fn find(name: &str) -> Option<(&'static Rule, Option<&str>, bool)> {
    for rule in RULES {
        let Some(rest) = name.strip_prefix(rule.prefix) else {
            continue;
        };
        let takes_more = !matches!(rule.form, Exact | Loose);
        if rest.is_empty() {
            return Some((rule, None, true));
        }
        if let Some(rest) = rest.strip_prefix('/').filter(|_| takes_more) {
            return Some((rule, Some(rest), true));
        }
    }
    let loose = RULES.iter().filter(|r| r.form == Loose).filter(|r| {
        // `xdp_pass`, `socket1`, `classifier/ingress`, but not `tcp`.
        name.strip_prefix(r.prefix)
            .and_then(|rest| rest.chars().next())
            .is_some_and(|c| !c.is_ascii_alphabetic())
    });
    loose
        .max_by_key(|r| r.prefix.len())
        .map(|rule| (rule, None, false))
}

fn target(form: Form, rest: Option<&str>) -> Result<Target<'_>, SectionError> {
    let malformed = |expected| SectionError::Malformed { expected };
    let Some(rest) = rest else {
        return Ok(match form {
            Form::StructOps => Target::StructOps,
            _ => Target::Unnamed,
        });
    };
    match form {
        Exact | Loose => Ok(Target::Unnamed),
        Form::StructOps => Ok(Target::StructOps),
        Form::Tracepoint => match rest.split_once('/') {
            Some((category, name)) if is_word(category) && is_word(name) => {
                Ok(Target::Tracepoint { category, name })
            }
            _ => Err(malformed("tracepoint/CATEGORY/NAME")),
        },
        Form::RawTracepoint if is_word(rest) => Ok(Target::RawTracepoint(rest)),
        Form::RawTracepoint => Err(malformed("raw_tracepoint/NAME")),
        Form::Btf(kind) => {
            let (module, name) = match rest.split_once(':') {
                Some((module, name)) => (Some(module), name),
                None => (None, rest),
            };
            if !is_word(name) || module.is_some_and(|m| !is_word(m)) {
                return Err(malformed("TYPE/FUNCTION or TYPE/MODULE:FUNCTION"));
            }
            Ok(Target::Btf { kind, module, name })
        }
        Form::ProgramFunction if is_word(rest) => Ok(Target::ProgramFunction(rest)),
        Form::ProgramFunction => Err(malformed("freplace/FUNCTION")),
        Form::Kprobe { on_return } => {
            let expected = "kprobe/FUNCTION or kprobe/FUNCTION+OFFSET";
            let (function, offset) = function_and_offset(rest).ok_or(malformed(expected))?;
            if !is_word(function) || (on_return && offset != 0) {
                return Err(malformed(expected));
            }
            Ok(Target::Kprobe {
                function,
                offset,
                on_return,
            })
        }
        Form::KprobeMulti { on_return, session } => {
            let ok = |c: char| c.is_ascii_alphanumeric() || "_.*?".contains(c);
            if rest.is_empty() || !rest.chars().all(ok) {
                return Err(malformed("kprobe.multi/PATTERN"));
            }
            Ok(Target::KprobeMulti {
                pattern: rest,
                on_return,
                session,
            })
        }
        Form::Ksyscall { on_return } if is_word(rest) => Ok(Target::Ksyscall {
            name: rest,
            on_return,
        }),
        Form::Ksyscall { .. } => Err(malformed("ksyscall/NAME")),
        Form::Uprobe { on_return, multi } => {
            let expected = "uprobe/PATH:FUNCTION or uprobe/PATH:FUNCTION+OFFSET";
            let (path, rest) = rest.split_once(':').ok_or(malformed(expected))?;
            let (function, offset) = match function_and_offset(rest) {
                Some(parts) if !path.is_empty() => parts,
                _ => return Err(malformed(expected)),
            };
            Ok(Target::Uprobe {
                path,
                function,
                offset,
                on_return,
                multi,
            })
        }
        Form::Usdt => {
            let mut parts = rest.split(':');
            match (parts.next(), parts.next(), parts.next(), parts.next()) {
                (Some(path), Some(provider), Some(name), None)
                    if !path.is_empty() && !provider.is_empty() && !name.is_empty() =>
                {
                    Ok(Target::Usdt {
                        path,
                        provider,
                        name,
                    })
                }
                _ => Err(malformed("usdt/PATH:PROVIDER:NAME")),
            }
        }
    }
}

/// `vfs_read+0x10`; the function may be empty when a bare offset stands there.
fn function_and_offset(text: &str) -> Option<(&str, u64)> {
    let number = |s: &str| match s.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => s.parse().ok(),
    };
    match text.rsplit_once('+') {
        Some((function, offset)) => Some((function, number(offset)?)),
        None if text.is_empty() => None,
        None if text.starts_with(|c: char| c.is_ascii_digit()) => Some(("", number(text)?)),
        None => Some((text, 0)),
    }
}

fn is_word(s: &str) -> bool {
    !s.is_empty()
        && s.chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.' || c == '-')
}

/// Whether a name matches a pattern in which `*` stands for any text and `?` for one character.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Where the last `*` was, and how far it reaches by now.
    let mut star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, reach)) => {
                    star = Some((at, reach + 1));
                    p = at + 1;
                    n = reach + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> Section<'_> {
        Section::parse(name).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    #[test]
    fn every_prefix_gives_its_own_rule_and_no_other() {
        for rule in RULES {
            let s = parse(rule.prefix);
            assert!(s.exact && s.autoload, "{}", rule.prefix);
            assert_eq!(
                (s.prog_type, s.attach_type),
                (rule.prog_type, rule.attach_type)
            );
        }
        let mut names: alloc::vec::Vec<_> = Section::prefixes().collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RULES.len(), "a prefix stands twice");
    }

    #[test]
    fn targets_are_read_from_the_name() {
        assert_eq!(
            parse("tp/sched/sched_switch").target.unwrap(),
            Target::Tracepoint {
                category: "sched",
                name: "sched_switch"
            }
        );
        assert_eq!(
            parse("raw_tp.w/x").prog_type,
            ProgType::RawTracepointWritable
        );
        assert_eq!(
            parse("?lsm.s/file_open"),
            Section {
                prog_type: ProgType::Lsm,
                attach_type: Some(LsmMac),
                flags: ProgFlags::SLEEPABLE,
                autoload: false,
                exact: true,
                target: Ok(Target::Btf {
                    kind: BtfTarget::Lsm,
                    module: None,
                    name: "file_open"
                }),
            }
        );
        assert_eq!(
            parse("kprobe/do_x+0x10").target.unwrap(),
            Target::Kprobe {
                function: "do_x",
                offset: 16,
                on_return: false
            }
        );
        assert_eq!(
            parse("uretprobe//bin/bash:readline").target.unwrap(),
            Target::Uprobe {
                path: "/bin/bash",
                function: "readline",
                offset: 0,
                on_return: true,
                multi: false
            }
        );
        assert_eq!(
            parse("usdt//usr/lib/libc.so.6:libc:setjmp").target.unwrap(),
            Target::Usdt {
                path: "/usr/lib/libc.so.6",
                provider: "libc",
                name: "setjmp"
            }
        );
        assert_eq!(
            parse("kprobe.multi/tcp_*").target.unwrap(),
            Target::KprobeMulti {
                pattern: "tcp_*",
                on_return: false,
                session: false
            }
        );
        assert_eq!(
            parse("fentry/nf_nat:nf_nat_init").target.unwrap(),
            Target::Btf {
                kind: BtfTarget::Function,
                module: Some("nf_nat"),
                name: "nf_nat_init"
            }
        );
    }

    #[test]
    fn older_names_match_loosely_and_say_so() {
        for (name, ty) in [
            ("xdp_pass", ProgType::Xdp),
            ("xdp/router", ProgType::Xdp),
            ("socket1", ProgType::SocketFilter),
            ("classifier/ingress", ProgType::SchedCls),
            ("tc/tail", ProgType::SchedCls),
            ("xdp_devmap/map", ProgType::Xdp),
        ] {
            let s = parse(name);
            assert_eq!((s.prog_type, s.exact), (ty, false), "{name}");
        }
        assert_eq!(parse("xdp_devmap/map").attach_type, Some(XdpDevmap));
        for name in ["tcp_thing", "xdpfoo", "from-container", ".text", "", "?"] {
            assert_eq!(Section::parse(name), Err(SectionError::Unknown), "{name}");
        }
    }

    #[test]
    fn malformed_targets_are_refused() {
        for name in [
            "tracepoint/syscalls",
            "tp//x",
            "kprobe/",
            "kprobe/f+zz",
            "kretprobe/f+4",
            "uprobe/bash",
            "usdt/a:b",
            "kprobe.multi/a b",
            "fentry/",
        ] {
            let target = parse(name).target;
            assert!(
                matches!(target, Err(SectionError::Malformed { .. })),
                "{name}"
            );
        }
    }

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("vfs_*", "vfs_read", true),
            ("vfs_*", "do_vfs_read", false),
            ("*_read*", "vfs_read_iter", true),
            ("vfs_????", "vfs_read", true),
            ("vfs_???", "vfs_read", false),
            ("a*b*c", "a_b_b_c", true),
            ("a*b*c", "a_b_b", false),
            ("*", "", true),
            ("exact", "exact", true),
            ("exact", "exactly", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
