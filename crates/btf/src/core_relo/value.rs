//! What a relocated value is before and after.

use super::{
    CoreFault, CoreKind, Subject,
    spec::{Accessor, Spec},
};
use crate::types::{Kind, TypeId};

/// What becomes of a relocated value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// What it stands for.
    pub kind: CoreKind,
    /// What the compiler wrote into the instruction.
    pub original: u64,
    /// Whether `original` is certain, so that an instruction with another value is an error:
    /// compilers choose freely how to read a bitfield.
    pub validate: bool,
    /// The new value; `None` when the target has no such thing: the instruction must never run.
    pub value: Option<u64>,
    /// For the offset of a field whose size is another in the target.
    pub resize: Option<Resize>,
    /// The type found in the target, if any.
    pub target: Option<TypeId>,
}

/// A field is of another size in the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resize {
    /// Bytes in the object's types.
    pub from: u32,
    /// Bytes in the target's types.
    pub to: u32,
    /// Whether a load of the other size gives the same value: for pointers and unsigned integers.
    pub safe: bool,
}

/// What one side says about a field.
struct Field {
    value: u64,
    certain: bool,
    /// Size and type, for [`Resize`].
    sized: Option<(u32, TypeId)>,
}

impl Resolution {
    /// A type's number in the object, which does not change.
    pub(super) fn local_type(id: TypeId) -> Resolution {
        let value = id.0.into();
        Resolution {
            kind: CoreKind::TypeIdLocal,
            original: value,
            validate: false,
            value: Some(value),
            resize: None,
            target: None,
        }
    }

    /// Compares what was found in the target, if anything was, with the object's.
    pub(super) fn of(local: &Spec, target: Option<&Spec>) -> Result<Resolution, CoreFault> {
        let resolution = |original, validate, value| Resolution {
            kind: local.kind,
            original,
            validate,
            value,
            resize: None,
            target: target.map(|target| target.root),
        };
        match local.kind.subject() {
            Subject::Type => {
                let value = target.map_or(Ok(0), type_value)?;
                // The original of a number is not known: linkers renumber types.
                let validate = local.kind != CoreKind::TypeIdTarget;
                Ok(resolution(type_value(local)?, validate, Some(value)))
            }
            Subject::Enumerator => {
                let exists = local.kind == CoreKind::EnumvalExists;
                let value = match target {
                    None if exists => Some(0),
                    target => target.map(enumerator_value),
                };
                Ok(resolution(enumerator_value(local), true, value))
            }
            Subject::Field if local.kind == CoreKind::FieldExists => {
                Ok(resolution(1, true, Some(target.is_some().into())))
            }
            Subject::Field => {
                let before = field(local)?;
                let Some(target) = target else {
                    return Ok(resolution(before.value, before.certain, None));
                };
                let after = field(target)?;
                let mut resolution = resolution(before.value, before.certain, Some(after.value));
                resolution.resize = resize(local, &before, target, &after);
                Ok(resolution)
            }
        }
    }
}

fn type_value(spec: &Spec) -> Result<u64, CoreFault> {
    Ok(match spec.kind {
        CoreKind::TypeIdTarget => spec.root.0.into(),
        CoreKind::TypeSize => spec.btf.size_of(spec.root).ok_or(CoreFault::NoSize)?.into(),
        _ => 1,
    })
}

fn enumerator_value(spec: &Spec) -> u64 {
    if spec.kind == CoreKind::EnumvalExists {
        return 1;
    }
    let Some(accessor) = spec.accessors.first() else {
        return 0;
    };
    match spec.btf.kind(accessor.ty) {
        Kind::Enum { values, .. } => values
            .get(accessor.index as usize)
            .map_or(0, |value| value.value as u64),
        _ => 0,
    }
}

/// Where a field lies, in the units of loads.
struct Extent {
    byte_offset: u64,
    byte_size: u64,
    bit_offset: u64,
    bit_size: u64,
}

fn field(spec: &Spec) -> Result<Field, CoreFault> {
    let Some(&accessor) = spec.accessors.last() else {
        return Err(CoreFault::NoSize);
    };
    let Accessor {
        ty,
        index,
        name: Some(_),
    } = accessor
    else {
        return array_element(spec, accessor);
    };
    let members = spec.btf.kind(ty).members().unwrap_or(&[]);
    let member = members.get(index as usize).ok_or(CoreFault::NoSize)?;
    let bitfield = member.bits != 0;
    let (id, resolved) = spec.btf.resolve(member.ty);
    let size = spec.btf.size_of(id).ok_or(CoreFault::NoSize)?;
    let extent = match bitfield {
        true => bitfield_extent(spec.bit_offset, member.bits.into(), size.into())?,
        false => Extent {
            byte_offset: spec.bit_offset / 8,
            byte_size: size.into(),
            bit_offset: spec.bit_offset,
            bit_size: u64::from(size) * 8,
        },
    };
    let mut sized = None;
    let value = match spec.kind {
        CoreKind::FieldByteOffset => {
            if !bitfield {
                sized = Some((innermost_size(spec, id)?, id));
            }
            extent.byte_offset
        }
        CoreKind::FieldByteSize => extent.byte_size,
        CoreKind::FieldSigned => match &resolved.kind {
            Kind::Int { encoding, .. } => encoding.signed.into(),
            Kind::Enum { signed, .. } => (*signed).into(),
            _ => 0,
        },
        CoreKind::FieldLshiftU64 => 64u64
            .wrapping_sub(extent.bit_offset.wrapping_add(extent.bit_size) - extent.byte_offset * 8),
        CoreKind::FieldRshiftU64 => 64u64.wrapping_sub(extent.bit_size),
        _ => 1,
    };
    // How a bitfield is loaded is the compiler's choice; its sign and width are not.
    let certain =
        !bitfield || matches!(spec.kind, CoreKind::FieldSigned | CoreKind::FieldRshiftU64);
    Ok(Field {
        value,
        certain,
        sized,
    })
}

/// The smallest aligned load that covers a bitfield.
fn bitfield_extent(bit_offset: u64, bit_size: u64, size: u64) -> Result<Extent, CoreFault> {
    let mut byte_size = size.max(1);
    loop {
        let byte_offset = bit_offset / 8 / byte_size * byte_size;
        if bit_offset + bit_size - byte_offset * 8 <= byte_size * 8 {
            return Ok(Extent {
                byte_offset,
                byte_size,
                bit_offset,
                bit_size,
            });
        }
        if byte_size >= 8 {
            return Err(CoreFault::Bitfield);
        }
        byte_size *= 2;
    }
}

fn array_element(spec: &Spec, accessor: Accessor) -> Result<Field, CoreFault> {
    match spec.kind {
        CoreKind::FieldByteOffset => {
            let sized = Some((innermost_size(spec, accessor.ty)?, accessor.ty));
            Ok(Field {
                value: spec.bit_offset / 8,
                certain: true,
                sized,
            })
        }
        CoreKind::FieldByteSize => {
            let size = spec.btf.size_of(accessor.ty).ok_or(CoreFault::NoSize)?;
            Ok(Field {
                value: size.into(),
                certain: true,
                sized: None,
            })
        }
        _ => Err(CoreFault::ArrayElement),
    }
}

/// Size of what a load reads: of an array, one element.
fn innermost_size(spec: &Spec, id: TypeId) -> Result<u32, CoreFault> {
    let mut id = spec.btf.resolve(id).0;
    while let Kind::Array { element, .. } = *spec.btf.kind(id) {
        id = spec.btf.resolve(element).0;
    }
    spec.btf.size_of(id).ok_or(CoreFault::NoSize)
}

fn resize(local: &Spec, before: &Field, target: &Spec, after: &Field) -> Option<Resize> {
    // A bitfield has no size here: 0, as in libbpf, so that its load is never adjusted safely.
    let (from, from_type) = before.sized.unwrap_or((0, TypeId::VOID));
    let (to, to_type) = after.sized.unwrap_or((0, TypeId::VOID));
    if from == to {
        return None;
    }
    let safe = match (local.btf.kind(from_type), target.btf.kind(to_type)) {
        (Kind::Ptr(_), Kind::Ptr(_)) => true,
        (Kind::Int { encoding: a, .. }, Kind::Int { encoding: b, .. }) => !a.signed && !b.signed,
        _ => false,
    };
    Some(Resize { from, to, safe })
}
