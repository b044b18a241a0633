//! Contexts and socket mirrors: the uapi's structures, from the tables that the verifier uses.

use panal_btf::TypeId;
use panal_uapi::{
    ProgType,
    program_types::{self, Context, FieldKind, Layout, sockets},
};

use super::describe::Types;

/// Contexts that are no C structure of their own, or one that this kernel describes itself.
const NOT_HERE: [&str; 3] = ["bpf_raw_tracepoint_args", "pt_regs", "bpf_nf_ctx"];

/// Describes all of them.
pub(super) fn describe(types: &mut Types) {
    for mirror in [&sockets::SOCKET, &sockets::TCP_SOCK, &sockets::XDP_SOCK] {
        layout(types, mirror.layout);
    }
    for prog_type in ProgType::ALL {
        if let Some(rules) = program_types::by_type(*prog_type)
            && let Context::Fields(fields) = rules.context
        {
            layout(types, fields.layout);
        }
    }
}

fn layout(types: &mut Types, layout: &Layout) {
    let is_c_name = !layout.name.is_empty() && !layout.name.contains(' ');
    if !is_c_name || layout.fields.is_empty() || NOT_HERE.contains(&layout.name) {
        return;
    }
    let members: Vec<_> = layout
        .fields
        .iter()
        .map(|field| {
            (
                field.name,
                field_type(types, field.kind, field.size),
                field.offset,
            )
        })
        .collect();
    types.structure(layout.name, layout.size, &members);
}

fn field_type(types: &mut Types, kind: FieldKind, size: u32) -> TypeId {
    match kind {
        FieldKind::Socket | FieldKind::SocketOrNull | FieldKind::SockCommonOrNull => {
            // Described before everything that points to it.
            let socket = types.structure(sockets::SOCKET.layout.name, 0, &[]);
            types.pointer(socket)
        }
        FieldKind::FlowKeys | FieldKind::TracepointBuffer => types.pointer(TypeId::VOID),
        FieldKind::TrustedBtf(name) => {
            let target = types.forward(name);
            types.pointer(target)
        }
        _ => match size {
            1 => types.uapi_int("__u8", 1),
            2 => types.uapi_int("__u16", 2),
            4 => types.uapi_int("__u32", 4),
            8 => types.uapi_int("__u64", 8),
            _ => {
                let word = types.uapi_int("__u32", 4);
                types.array(word, size / 4)
            }
        },
    }
}
