//! Types as text.

use panal_btf::{Btf, Kind, TypeId};

/// `struct event`, `const char *`, `__u32[4]`.
pub fn name(btf: &Btf, id: TypeId) -> String {
    btf.declare(id, "").trim().to_owned()
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
