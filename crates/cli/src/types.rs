//! Names of types, as one would write them in C.

use panal_btf::{Btf, Kind, TypeId};

/// Types that modify each other, such as pointers to pointers, are followed this far.
const DEPTH: u32 = 24;

/// `struct event`, `const char *`, `__u32[4]`.
pub fn name(btf: &Btf, id: TypeId) -> String {
    named(btf, id, DEPTH)
}

fn named(btf: &Btf, id: TypeId, depth: u32) -> String {
    let Some(depth) = depth.checked_sub(1) else {
        return "…".to_owned();
    };
    let own = btf.name(id);
    let tagged = |keyword: &str| match own {
        "" => format!("{keyword} {{…}}"),
        own => format!("{keyword} {own}"),
    };
    match *btf.kind(id) {
        Kind::Void => "void".to_owned(),
        Kind::Struct { .. } => tagged("struct"),
        Kind::Union { .. } => tagged("union"),
        Kind::Enum { .. } => tagged("enum"),
        Kind::Fwd { union: true } => tagged("union"),
        Kind::Fwd { union: false } => tagged("struct"),
        Kind::Ptr(target) => pointer(btf, target, depth),
        Kind::Array { element, len, .. } => {
            let element = named(btf, element, depth);
            match element.split_once('[') {
                // The outer dimension is written first.
                Some((base, inner)) => format!("{base}[{len}][{inner}"),
                None => format!("{element}[{len}]"),
            }
        }
        Kind::Const(inner) => format!("const {}", named(btf, inner, depth)),
        Kind::Volatile(inner) => format!("volatile {}", named(btf, inner, depth)),
        Kind::Restrict(inner) => named(btf, inner, depth),
        Kind::TypeTag { ty, .. } => named(btf, ty, depth),
        Kind::Var { ty, .. } => named(btf, ty, depth),
        Kind::FuncProto { .. } => "function".to_owned(),
        Kind::Int { .. }
        | Kind::Float { .. }
        | Kind::Typedef(_)
        | Kind::Func { .. }
        | Kind::DataSec { .. }
        | Kind::DeclTag { .. } => own.to_owned(),
    }
}

fn pointer(btf: &Btf, target: TypeId, depth: u32) -> String {
    let text = named(btf, target, depth);
    if text.ends_with('*') {
        format!("{text}*")
    } else {
        format!("{text} *")
    }
}

/// The member that a CO-RE access string leads to: `0:1:2` is `.b.c`; an enumerator's index is
/// `::NAME`. `None` when the string does not fit the type.
pub fn member_path(btf: &Btf, root: TypeId, access: &str) -> Option<String> {
    let mut indices = access.split(':').map(|part| part.parse::<u32>().ok());
    let first = indices.next()??;
    let (mut id, ty) = btf.resolve(root);
    if let Kind::Enum { values, .. } = &ty.kind {
        return Some(format!("::{}", values.get(first as usize)?.name));
    }
    let mut path = if first == 0 {
        String::new()
    } else {
        format!("[{first}]")
    };
    for index in indices {
        let index = index?;
        id = match &btf.resolve(id).1.kind {
            Kind::Struct { members, .. } | Kind::Union { members, .. } => {
                let member = members.get(index as usize)?;
                if !member.name.is_empty() {
                    path.push('.');
                    path.push_str(&member.name);
                }
                member.ty
            }
            Kind::Array { element, .. } => {
                path.push_str(&format!("[{index}]"));
                *element
            }
            _ => return None,
        };
    }
    Some(path)
}
