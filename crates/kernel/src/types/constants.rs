//! Names without a structure: typedefs of the C headers, and the constants of the uapi.

use panal_btf::{Encoding, TypeId};
use panal_uapi::{AttachType, MapType, ProgType, helpers, kernel::MapFlags};

use super::describe::Types;

/// `enum bpf_map_type`
pub(super) fn map_type(types: &mut Types) -> TypeId {
    let values: Vec<_> = MapType::ALL
        .iter()
        .map(|t| (t.uapi_name(), i64::from(t.number())))
        .collect();
    types.enumeration("bpf_map_type", &values)
}

/// Integer typedefs: name, bytes, signed. `bpf_helpers.h` and programs write these.
const INTEGERS: &[(&str, &str)] = &[
    ("__u8", "unsigned char"),
    ("__s8", "signed char"),
    ("__u16", "unsigned short"),
    ("__s16", "short"),
    ("__u32", "unsigned int"),
    ("__s32", "int"),
    ("__u64", "unsigned long long"),
    ("__s64", "long long"),
    ("u8", "__u8"),
    ("s8", "__s8"),
    ("u16", "__u16"),
    ("s16", "__s16"),
    ("u32", "__u32"),
    ("s32", "__s32"),
    ("u64", "__u64"),
    ("s64", "__s64"),
    ("__be16", "__u16"),
    ("__be32", "__u32"),
    ("__be64", "__u64"),
    ("__le16", "__u16"),
    ("__le32", "__u32"),
    ("__le64", "__u64"),
    ("__sum16", "__u16"),
    ("__wsum", "__u32"),
    ("__kernel_pid_t", "int"),
    ("pid_t", "__kernel_pid_t"),
    ("__kernel_size_t", "unsigned long"),
    ("size_t", "__kernel_size_t"),
    ("__kernel_ssize_t", "long"),
    ("ssize_t", "__kernel_ssize_t"),
    ("uid_t", "__u32"),
    ("gid_t", "__u32"),
    ("umode_t", "unsigned short"),
    ("dev_t", "__u32"),
    ("loff_t", "__s64"),
    ("uintptr_t", "unsigned long"),
    ("sa_family_t", "unsigned short"),
    ("__kernel_sa_family_t", "unsigned short"),
    ("fmode_t", "unsigned int"),
];

/// Integers of C by name: bytes, signed.
const C_INTEGERS: &[(&str, u32, bool)] = &[
    ("char", 1, true),
    ("signed char", 1, true),
    ("unsigned char", 1, false),
    ("short", 2, true),
    ("unsigned short", 2, false),
    ("int", 4, true),
    ("unsigned int", 4, false),
    ("long", 8, true),
    ("unsigned long", 8, false),
    ("long long", 8, true),
    ("unsigned long long", 8, false),
];

/// Constants of the uapi that programs write by name, by enumeration ("" for one without a name).
const CONSTANTS: &[(&str, &[(&str, i64)])] = &[
    ("", &[("false", 0), ("true", 1)]),
    (
        "",
        &[
            ("BPF_ANY", 0),
            ("BPF_NOEXIST", 1),
            ("BPF_EXIST", 2),
            ("BPF_F_LOCK", 4),
        ],
    ),
    (
        "",
        &[
            ("BPF_F_INDEX_MASK", 0xffff_ffff),
            ("BPF_F_CURRENT_CPU", 0xffff_ffff),
            ("BPF_F_CTXLEN_MASK", 0xf_ffff << 32),
        ],
    ),
    (
        "",
        &[
            ("BPF_F_USER_STACK", 256),
            ("BPF_F_FAST_STACK_CMP", 512),
            ("BPF_F_REUSE_STACKID", 1024),
        ],
    ),
    (
        "",
        &[
            ("BPF_F_RECOMPUTE_CSUM", 1),
            ("BPF_F_INVALIDATE_HASH", 2),
            ("BPF_F_HDR_FIELD_MASK", 15),
            ("BPF_F_PSEUDO_HDR", 16),
            ("BPF_F_MARK_MANGLED_0", 32),
            ("BPF_F_MARK_ENFORCE", 64),
        ],
    ),
    (
        "",
        &[
            ("BPF_F_INGRESS", 1),
            ("BPF_F_BROADCAST", 8),
            ("BPF_F_EXCLUDE_INGRESS", 16),
        ],
    ),
    ("", &[("BPF_RB_NO_WAKEUP", 1), ("BPF_RB_FORCE_WAKEUP", 2)]),
    (
        "",
        &[
            ("BPF_RB_AVAIL_DATA", 0),
            ("BPF_RB_RING_SIZE", 1),
            ("BPF_RB_CONS_POS", 2),
            ("BPF_RB_PROD_POS", 3),
        ],
    ),
    (
        "xdp_action",
        &[
            ("XDP_ABORTED", 0),
            ("XDP_DROP", 1),
            ("XDP_PASS", 2),
            ("XDP_TX", 3),
            ("XDP_REDIRECT", 4),
        ],
    ),
    (
        "",
        &[
            ("IPPROTO_IP", 0),
            ("IPPROTO_ICMP", 1),
            ("IPPROTO_TCP", 6),
            ("IPPROTO_UDP", 17),
            ("IPPROTO_IPV6", 41),
            ("IPPROTO_GRE", 47),
            ("IPPROTO_SCTP", 132),
        ],
    ),
];

/// Describes all of them.
pub(super) fn describe(types: &mut Types) {
    let mut named: Vec<(&str, TypeId)> = Vec::new();
    for (name, size, signed) in C_INTEGERS {
        let encoding = Encoding {
            signed: *signed,
            ..Encoding::default()
        };
        named.push((name, types.int(name, *size, encoding)));
    }
    for (name, target) in INTEGERS {
        // Every target stands above, which the test checks by compiling a program.
        let target = named
            .iter()
            .find(|(known, _)| known == target)
            .map_or(TypeId::VOID, |t| t.1);
        named.push((name, types.typedef(name, target)));
    }
    let boolean = types.boolean();
    types.typedef("bool", boolean);
    map_type(types);
    let values: Vec<_> = ProgType::ALL
        .iter()
        .map(|t| (t.uapi_name(), i64::from(t.number())))
        .collect();
    types.enumeration("bpf_prog_type", &values);
    let values: Vec<_> = AttachType::ALL
        .iter()
        .map(|t| (t.uapi_name(), i64::from(t.number())))
        .collect();
    types.enumeration("bpf_attach_type", &values);
    let names: Vec<_> = helpers::all()
        .map(|h| (format!("BPF_FUNC_{}", h.name), i64::from(h.id)))
        .collect();
    let values: Vec<_> = names
        .iter()
        .map(|(name, id)| (name.as_str(), *id))
        .collect();
    types.enumeration("bpf_func_id", &values);
    let flags = MapFlags::all();
    let names: Vec<_> = flags
        .iter_names()
        .map(|(name, flag)| (format!("BPF_F_{name}"), i64::from(flag.bits())))
        .collect();
    let values: Vec<_> = names
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    types.constants("", &values);
    for (name, values) in CONSTANTS {
        types.constants(name, values);
    }
}
