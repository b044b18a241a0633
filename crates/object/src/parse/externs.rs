//! Declarations without a definition: `__kconfig` and `__ksym`.

use alloc::{sync::Arc, vec::Vec};

use panal_btf::{Btf, Kind, SecVar, TypeId};

use super::{data, layout::Layout};
use crate::{
    elf::{Home, Symbol},
    error::{Error, Fault, Place},
    external::{Extern, ExternKind, KconfigValue},
    map::{Map, Origin, Segment},
    object::{ExternId, MapId},
};

const KCONFIG: &str = ".kconfig";
/// Most bytes of all configuration values together.
const MAX_KCONFIG: u32 = 1 << 20;
const KSYMS: &str = ".ksyms";

/// Finds what is external: undefined symbols that the types describe.
pub(super) fn collect(layout: &mut Layout<'_, '_>) -> Result<(), Error> {
    let Some(btf) = layout.btf.clone() else {
        return Ok(());
    };
    let undefined: hashbrown::HashMap<&str, &Symbol<'_>> = layout
        .elf
        .symbols
        .iter()
        .filter(|s| s.home == Home::Undefined && !s.name.is_empty())
        .map(|s| (s.name, s))
        .collect();
    let vars = |section: &str| btf.section(section).map_or(&[][..], |(_, _, vars)| vars);
    for var in vars(KSYMS) {
        let Some(ty) = btf.get(var.ty) else { continue };
        let weak = undefined.get(&*ty.name).is_some_and(|s| s.weak);
        let kind = match ty.kind {
            Kind::Func { .. } => ExternKind::Function { ty: var.ty },
            Kind::Var { ty, .. } => ExternKind::Variable {
                ty: typed(&btf, ty),
            },
            _ => continue,
        };
        add(
            layout,
            Extern {
                name: ty.name.clone(),
                weak,
                kind,
            },
        );
    }
    kconfig(layout, &btf, vars(KCONFIG), &undefined)
}

/// A variable declared `void` has no type but only an address.
fn typed(btf: &Btf, ty: TypeId) -> Option<TypeId> {
    match btf.resolve(ty).1.kind {
        Kind::Void => None,
        _ => Some(ty),
    }
}

fn add(layout: &mut Layout<'_, '_>, external: Extern) {
    let id = ExternId(layout.externs.len() as u32);
    layout.extern_by_name.insert(external.name.clone(), id);
    layout.externs.push(external);
}

/// A configuration value before its place is known.
struct Value {
    name: Arc<str>,
    weak: bool,
    size: u32,
    align: u32,
    value: KconfigValue,
}

/// Lays the configuration values out: widest first, as libbpf does.
fn kconfig(
    layout: &mut Layout<'_, '_>,
    btf: &Btf,
    vars: &[SecVar],
    undefined: &hashbrown::HashMap<&str, &Symbol<'_>>,
) -> Result<(), Error> {
    let mut values = Vec::new();
    for var in vars {
        let Some(variable) = btf.get(var.ty) else {
            continue;
        };
        let Kind::Var { ty, .. } = variable.kind else {
            continue;
        };
        let place = Place::section(KCONFIG).symbol(variable.name.clone());
        let fail = || Error::new(place.clone(), Fault::KconfigType);
        values.push(Value {
            name: variable.name.clone(),
            weak: undefined.get(&*variable.name).is_some_and(|s| s.weak),
            size: btf.size_of(ty).filter(|&s| s > 0).ok_or_else(fail)?,
            align: btf.align_of(ty).filter(|&a| a > 0).ok_or_else(fail)?,
            value: kconfig_value(btf, ty).ok_or_else(fail)?,
        });
    }
    if values.is_empty() {
        return Ok(());
    }
    values.sort_by(|a, b| {
        b.align
            .cmp(&a.align)
            .then(b.size.cmp(&a.size))
            .then_with(|| a.name.cmp(&b.name))
    });
    let map = MapId(layout.maps.len() as u32);
    let mut end = 0u32;
    for value in values {
        let place = Place::section(KCONFIG).symbol(value.name.clone());
        let offset = end.checked_next_multiple_of(value.align);
        let (Some(offset), Some(after)) = (offset, offset.and_then(|o| o.checked_add(value.size)))
        else {
            return Err(Error::new(place, Fault::TooMany("bytes of configuration")));
        };
        if after > MAX_KCONFIG {
            return Err(Error::new(place, Fault::TooMany("bytes of configuration")));
        }
        end = after;
        let kind = ExternKind::Kconfig {
            map,
            offset,
            size: value.size,
            value: value.value,
        };
        add(
            layout,
            Extern {
                name: value.name,
                weak: value.weak,
                kind,
            },
        );
    }
    let name: Arc<str> = Arc::from(KCONFIG);
    let definition = data::definition(layout, KCONFIG, Segment::Rodata, end);
    layout.add_map(Map {
        name: name.clone(),
        section: name,
        definition,
        origin: Origin::Kconfig { size: end },
    });
    Ok(())
}

fn kconfig_value(btf: &Btf, ty: TypeId) -> Option<KconfigValue> {
    let (_, resolved) = btf.resolve(ty);
    match &resolved.kind {
        Kind::Int { size, encoding, .. } => match size {
            1 if encoding.bool => Some(KconfigValue::Bool),
            _ if encoding.bool => None,
            1 => Some(KconfigValue::Char),
            2 | 4 | 8 => Some(KconfigValue::Integer {
                signed: encoding.signed,
            }),
            _ => None,
        },
        Kind::Enum { size: 4, .. } if &*resolved.name == "libbpf_tristate" => {
            Some(KconfigValue::Tristate)
        }
        Kind::Array { element, len, .. } if *len > 0 => match kconfig_value(btf, *element) {
            Some(KconfigValue::Char) => Some(KconfigValue::Text),
            _ => None,
        },
        _ => None,
    }
}
