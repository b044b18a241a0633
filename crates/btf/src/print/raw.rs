//! Types one by one, as bpftool's raw dump writes them.

use core::fmt::{self, Display, Formatter};

use crate::{
    table::Btf,
    types::{Encoding, Kind, Type, TypeId},
};

/// Formats one type with its members as `bpftool btf dump` does.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a> {
    btf: &'a Btf,
    id: TypeId,
    ty: &'a Type,
}

impl Btf {
    /// A type with its members as `bpftool btf dump` writes it; `None` out of range.
    pub fn raw(&self, id: TypeId) -> Option<Raw<'_>> {
        Some(Raw {
            btf: self,
            id,
            ty: self.get(id)?,
        })
    }
}

fn encoding(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding { signed: true, .. } => "SIGNED",
        Encoding { char: true, .. } => "CHAR",
        Encoding { bool: true, .. } => "BOOL",
        _ => "(none)",
    }
}

fn or_anon(name: &str) -> &str {
    if name.is_empty() { "(anon)" } else { name }
}

impl Display for Raw<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kind = &self.ty.kind;
        write!(f, "{} {} '{}'", self.id, kind.tag(), or_anon(&self.ty.name))?;
        match kind {
            Kind::Void => Ok(()),
            Kind::Int {
                size,
                bits,
                offset,
                encoding: e,
            } => {
                let e = encoding(*e);
                write!(
                    f,
                    " size={size} bits_offset={offset} nr_bits={bits} encoding={e}"
                )
            }
            Kind::Ptr(ty)
            | Kind::Typedef(ty)
            | Kind::Volatile(ty)
            | Kind::Const(ty)
            | Kind::Restrict(ty)
            | Kind::TypeTag { ty, .. } => write!(f, " type_id={}", ty.0),
            Kind::Array {
                element,
                index,
                len,
            } => {
                write!(
                    f,
                    " type_id={} index_type_id={} nr_elems={len}",
                    element.0, index.0
                )
            }
            Kind::Struct { size, members } | Kind::Union { size, members } => {
                write!(f, " size={size} vlen={}", members.len())?;
                for member in members {
                    let (name, ty) = (or_anon(&member.name), member.ty.0);
                    write!(
                        f,
                        "\n\t'{name}' type_id={ty} bits_offset={}",
                        member.bit_offset
                    )?;
                    if member.bits != 0 {
                        write!(f, " bitfield_size={}", member.bits)?;
                    }
                }
                Ok(())
            }
            Kind::Enum {
                size,
                signed,
                wide,
                values,
            } => {
                let sign = if *signed { "SIGNED" } else { "UNSIGNED" };
                write!(f, " encoding={sign} size={size} vlen={}", values.len())?;
                for value in values {
                    write!(f, "\n\t'{}' val=", value.name)?;
                    match (signed, wide) {
                        (true, _) => write!(f, "{}", value.value)?,
                        (false, _) => write!(f, "{}", value.value as u64)?,
                    }
                    f.write_str(match (wide, signed) {
                        (false, _) => "",
                        (true, true) => "LL",
                        (true, false) => "ULL",
                    })?;
                }
                Ok(())
            }
            Kind::Fwd { union } => {
                write!(f, " fwd_kind={}", if *union { "union" } else { "struct" })
            }
            Kind::Func { proto, linkage } => {
                write!(f, " type_id={} linkage={}", proto.0, linkage.name())
            }
            Kind::FuncProto { ret, params } => {
                write!(f, " ret_type_id={} vlen={}", ret.0, params.len())?;
                for param in params {
                    write!(f, "\n\t'{}' type_id={}", or_anon(&param.name), param.ty.0)?;
                }
                Ok(())
            }
            Kind::Var { ty, linkage } => {
                write!(f, " type_id={}, linkage={}", ty.0, linkage.name())
            }
            Kind::DataSec { size, vars } => {
                write!(f, " size={size} vlen={}", vars.len())?;
                for var in vars {
                    let ty = self.btf.get_or_void(var.ty);
                    let (id, kind) = (var.ty.0, ty.kind.tag());
                    write!(
                        f,
                        "\n\ttype_id={id} offset={} size={}",
                        var.offset, var.size
                    )?;
                    write!(f, " ({kind} '{}')", or_anon(&ty.name))?;
                }
                Ok(())
            }
            Kind::Float { size } => write!(f, " size={size}"),
            Kind::DeclTag { ty, component, .. } => {
                write!(f, " type_id={} component_idx={component}", ty.0)
            }
        }
    }
}
