//! What Linux asks of a BTF that is loaded (`BPF_BTF_LOAD`) beyond what [`Btf::parse`] checks:
//! compilers write more than kernels take, and loaders cut it down.

use crate::{
    table::Btf,
    types::{Kind, KindTag, Linkage, Member, Type, TypeId, VarLinkage},
};

/// Why Linux would refuse a BTF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("type {id}: {fault}")]
pub struct NotLoadable {
    /// The type.
    pub id: TypeId,
    /// What is wrong with it.
    pub fault: LoadFault,
}

/// What Linux refuses in a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadFault {
    /// A name that is not an identifier of C.
    #[error("invalid name")]
    Name,
    /// A member, value or parameter whose name is not an identifier of C, or is missing.
    #[error("invalid name of component {0}")]
    ComponentName(u32),
    /// Members that are not in ascending order, or not at 0 in a union.
    #[error("invalid offset of member {0}")]
    MemberOffset(u32),
    /// An array indexed by something else than an integer.
    #[error("invalid index type")]
    Index,
    /// A return type, or a parameter, or a variable without a size.
    #[error("{0} without a size")]
    Unsized(&'static str),
    /// `extern` functions and variables are the loader's to resolve.
    #[error("extern linkage")]
    Extern,
    /// A section without a size; one without variables is none the worse for it.
    #[error("empty section")]
    EmptySection,
    /// Something else than a variable in a section, or one of another size than its type.
    #[error("invalid variable {0} of the section")]
    SectionVar(u32),
}

impl Btf {
    /// Checks that Linux 6.18 would take this BTF from `BPF_BTF_LOAD`, its size aside (16 MiB).
    pub fn check_loadable(&self) -> Result<(), NotLoadable> {
        self.iter_own()
            .try_for_each(|(id, ty)| check(self, ty).map_err(|fault| NotLoadable { id, fault }))
    }
}

fn check(btf: &Btf, ty: &Type) -> Result<(), LoadFault> {
    check_name(ty)?;
    match &ty.kind {
        Kind::Struct { members, .. } => check_members(members, false),
        Kind::Union { members, .. } => check_members(members, true),
        Kind::Enum { values, .. } => components(values.iter().map(|value| &*value.name), |name| {
            is_identifier(name)
        }),
        Kind::Array { index, .. } => match btf.resolve(*index).1.kind {
            Kind::Int { .. } => Ok(()),
            _ => Err(LoadFault::Index),
        },
        Kind::FuncProto { ret, params } => {
            let unsized_ret = *ret != TypeId::VOID && btf.size_of(*ret).is_none();
            // `const void` has no size either, but is as good as void.
            if unsized_ret && !matches!(btf.resolve(*ret).1.kind, Kind::Void) {
                return Err(LoadFault::Unsized("return type"));
            }
            let variadic = params.last().is_some_and(|last| last.ty == TypeId::VOID);
            let params = &params[..params.len() - usize::from(variadic)];
            if params.iter().any(|param| btf.size_of(param.ty).is_none()) {
                return Err(LoadFault::Unsized("parameter"));
            }
            let named = |name: &str| name.is_empty() || is_identifier(name);
            components(params.iter().map(|param| &*param.name), named)
        }
        Kind::Func {
            linkage: Linkage::Extern,
            ..
        }
        | Kind::Var {
            linkage: VarLinkage::Extern,
            ..
        } => Err(LoadFault::Extern),
        Kind::Func { proto, .. } => {
            let params = btf.prototype(*proto).map_or(&[][..], |proto| proto.params);
            components(params.iter().map(|param| &*param.name), is_identifier)
        }
        Kind::Var { ty, .. } if btf.size_of(*ty).is_none() => Err(LoadFault::Unsized("variable")),
        Kind::DataSec { size, vars } => {
            if *size == 0 {
                return Err(LoadFault::EmptySection);
            }
            for (index, var) in vars.iter().enumerate() {
                let Kind::Var { ty, .. } = btf.kind(var.ty) else {
                    return Err(LoadFault::SectionVar(index as u32));
                };
                if var.size == 0 || btf.size_of(*ty).is_none_or(|size| var.size < size) {
                    return Err(LoadFault::SectionVar(index as u32));
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn check_name(ty: &Type) -> Result<(), LoadFault> {
    use KindTag::*;
    let valid = match ty.kind.tag() {
        Typedef | Fwd | Func | Var => is_identifier(&ty.name),
        Struct | Union | Enum | Enum64 => ty.name.is_empty() || is_identifier(&ty.name),
        DataSec => ty.name.bytes().all(|b| b.is_ascii_graphic() || b == b' '),
        _ => true,
    };
    if valid { Ok(()) } else { Err(LoadFault::Name) }
}

fn check_members(members: &[Member], union: bool) -> Result<(), LoadFault> {
    let mut last = 0;
    for (index, member) in members.iter().enumerate() {
        if member.bit_offset < last || union && member.bit_offset != 0 {
            return Err(LoadFault::MemberOffset(index as u32));
        }
        last = member.bit_offset;
    }
    let named = |name: &str| name.is_empty() || is_identifier(name);
    components(members.iter().map(|member| &*member.name), named)
}

fn components<'a>(
    names: impl Iterator<Item = &'a str>,
    valid: impl Fn(&str) -> bool,
) -> Result<(), LoadFault> {
    match names.enumerate().find(|(_, name)| !valid(name)) {
        Some((index, _)) => Err(LoadFault::ComponentName(index as u32)),
        None => Ok(()),
    }
}

/// `KSYM_NAME_LEN`: names are shorter.
const MAX_NAME: usize = 512;

/// Letters, digits, underscores and dots, no digit first.
fn is_identifier(name: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.';
    !name.is_empty()
        && name.len() < MAX_NAME
        && name.bytes().all(word)
        && !name.as_bytes()[0].is_ascii_digit()
}
