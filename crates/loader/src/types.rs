//! The object's types in the form that a kernel takes.

use panal_btf::{
    Btf, Builder, Encoding, Kind, Linkage, Member, SecVar, TypeId, VarLinkage, WriteError,
};
use panal_object::{ExternKind, Object};

/// `KERNEL_VERSION(major, minor, 0)`
const fn version(major: u32, minor: u32) -> u32 {
    major << 16 | minor << 8
}

/// The bytes of an object's types for a kernel of this version: external declarations become
/// definitions, and kinds that the kernel does not know yet become others of the same size.
pub(crate) fn for_kernel(object: &Object, btf: &Btf, kernel: u32) -> Result<Vec<u8>, WriteError> {
    let mut builder = Builder::from(btf);
    kernel_symbols(btf, &mut builder);
    configuration(object, btf, &mut builder);
    for (id, ty) in btf.iter_own() {
        if let Some(older) = older_kind(&ty.kind, kernel)
            && let Some(ty) = builder.get_mut(id)
        {
            if let Kind::Int { .. } | Kind::Const(_) = older {
                ty.name = "".into();
            }
            if let Kind::Int { .. } = older {
                ty.name = "__tag".into();
            }
            ty.kind = older;
        }
    }
    builder.to_bytes()
}

/// `.ksyms`: kernels know neither functions nor external variables in a section.
fn kernel_symbols(btf: &Btf, builder: &mut Builder) {
    let Some((section, _, vars)) = btf.section(".ksyms") else {
        return;
    };
    let int = builder.int(
        "int",
        4,
        Encoding {
            signed: true,
            ..Encoding::default()
        },
    );
    let var = Kind::Var {
        ty: int,
        linkage: VarLinkage::Global,
    };
    let dummy = builder.add("dummy_ksym", var.clone());
    let mut placed = Vec::new();
    for (index, entry) in vars.iter().enumerate() {
        let ty = match (btf.kind(entry.ty), builder.get_mut(entry.ty)) {
            (Kind::Func { .. }, Some(ty)) => {
                if let Kind::Func { linkage, proto } = ty.kind.clone() {
                    let _ = linkage;
                    ty.kind = Kind::Func {
                        proto,
                        linkage: Linkage::Global,
                    };
                    name_parameters(builder, proto);
                }
                dummy
            }
            (_, Some(ty)) => {
                ty.kind = var.clone();
                entry.ty
            }
            _ => continue,
        };
        placed.push(SecVar {
            ty,
            offset: index as u32 * 4,
            size: 4,
        });
    }
    if let Some(ty) = builder.get_mut(section) {
        ty.kind = Kind::DataSec {
            size: placed.len() as u32 * 4,
            vars: placed.into(),
        };
    }
}

/// Parameters of a global function must have names.
fn name_parameters(builder: &mut Builder, proto: TypeId) {
    if let Some(ty) = builder.get_mut(proto)
        && let Kind::FuncProto { params, .. } = &mut ty.kind
    {
        for param in params
            .iter_mut()
            .filter(|p| p.name.is_empty() && p.ty != TypeId::VOID)
        {
            param.name = "param".into();
        }
    }
}

/// `.kconfig`: variables at the places where the loader puts them.
fn configuration(object: &Object, btf: &Btf, builder: &mut Builder) {
    let Some((section, _, vars)) = btf.section(".kconfig") else {
        return;
    };
    let mut placed = Vec::new();
    let mut end = 0;
    for entry in vars {
        let name = btf.name(entry.ty);
        let found = object
            .externs()
            .iter()
            .find(|e| &*e.name == name)
            .map(|e| e.kind);
        let Some(ExternKind::Kconfig { offset, size, .. }) = found else {
            continue;
        };
        if let Some(ty) = builder.get_mut(entry.ty)
            && let Kind::Var { linkage, .. } = &mut ty.kind
        {
            *linkage = VarLinkage::Global;
        }
        placed.push(SecVar {
            ty: entry.ty,
            offset,
            size,
        });
        end = end.max(offset + size);
    }
    placed.sort_by_key(|v| v.offset);
    if let Some(ty) = builder.get_mut(section) {
        ty.kind = Kind::DataSec {
            size: end,
            vars: placed.into(),
        };
    }
}

/// What stands in for a kind that a kernel of this version does not know.
fn older_kind(kind: &Kind, kernel: u32) -> Option<Kind> {
    match kind {
        Kind::Float { size } if kernel < version(5, 13) => Some(Kind::Struct {
            size: *size,
            members: Box::new([]),
        }),
        Kind::DeclTag { .. } if kernel < version(5, 16) => Some(Kind::Int {
            size: 1,
            bits: 8,
            offset: 0,
            encoding: Encoding::default(),
        }),
        Kind::TypeTag { ty, .. } if kernel < version(5, 17) => Some(Kind::Const(*ty)),
        // As wide, and opaque.
        Kind::Enum {
            size, wide: true, ..
        } if kernel < version(6, 0) => Some(Kind::Union {
            size: *size,
            members: Box::new([] as [Member; 0]),
        }),
        Kind::Func {
            proto,
            linkage: Linkage::Global,
        } if kernel < version(5, 6) => Some(Kind::Func {
            proto: *proto,
            linkage: Linkage::Static,
        }),
        _ => None,
    }
}
