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
    let mut fields: Vec<_> = layout.fields.iter().collect();
    fields.sort_by_key(|field| (field.offset, field.size));
    // A field that may also be read wider than it is stands twice in the tables.
    fields.dedup_by_key(|field| field.name);
    let mut members: Vec<(&str, TypeId, u32)> = Vec::new();
    // Fields at the same bytes stand in an anonymous union, as in the uapi's headers.
    for overlapping in fields.chunk_by(|a, b| b.offset < a.offset + a.size) {
        let types_of: Vec<_> = overlapping
            .iter()
            .map(|field| (field.name, field_type(types, field.kind, field.size)))
            .collect();
        match (overlapping, types_of.as_slice()) {
            ([field], [(name, ty)]) => members.push((name, *ty, field.offset)),
            ([first, ..], members_of) => {
                let size = overlapping
                    .iter()
                    .map(|field| field.size)
                    .max()
                    .unwrap_or(0);
                members.push(("", types.nameless_union(size, members_of), first.offset));
            }
            _ => {}
        }
    }
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
