//! Checks over types that refer to each other, once all are decoded.

use alloc::{vec, vec::Vec};

use crate::{
    error::TypeFault,
    table::Btf,
    types::{Kind, KindTag, Member, SecVar, Type, TypeId},
};

/// How deep types may lie within types, so that what follows them by recursion has an end. What
/// Linux takes hangs on the order of the types, too: [`Btf::check_nesting`].
pub const MAX_DEPTH: usize = 512;

type Fault = (TypeId, TypeFault);

/// Checks the types from `first` on; returns their alignments in bytes, 0 for those without a size.
pub(crate) fn check(btf: &Btf, first: TypeId) -> Result<Vec<u8>, Fault> {
    let skip = (first.0 - btf.first_own()) as usize;
    for (id, ty) in btf.iter_own().skip(skip) {
        check_references(btf, ty).map_err(|fault| (id, fault))?;
    }
    Walk::new(btf, first, pointer_edge).run()?;
    let sizes = Walk::new(btf, first, value_edge).run()?;
    for (id, ty) in btf.iter_own().skip(skip) {
        check_layout(btf, &sizes, ty).map_err(|fault| (id, fault))?;
    }
    Ok(sizes.aligns)
}

/// Every reference is to a type that exists and may stand there.
fn check_references(btf: &Btf, ty: &Type) -> Result<(), TypeFault> {
    let get = |id: TypeId| btf.get(id).ok_or(TypeFault::NoSuchType(id));
    let nameless = || match ty.name.is_empty() {
        true => Ok(()),
        false => Err(TypeFault::Named(ty.kind.tag())),
    };
    let named = || match ty.name.is_empty() {
        false => Ok(()),
        true => Err(TypeFault::NoName(ty.kind.tag())),
    };
    match &ty.kind {
        Kind::Void | Kind::Int { .. } | Kind::Enum { .. } | Kind::Float { .. } => {}
        Kind::Fwd { .. } => named()?,
        Kind::Ptr(to) | Kind::Volatile(to) | Kind::Const(to) | Kind::Restrict(to) => {
            nameless()?;
            data(get(*to)?, *to, "the type it refers to")?;
        }
        Kind::Typedef(to) | Kind::TypeTag { ty: to, .. } => {
            named()?;
            data(get(*to)?, *to, "the type it refers to")?;
        }
        Kind::Array { element, index, .. } => {
            nameless()?;
            sized(get(*element)?, *element, "the element type")?;
            sized(get(*index)?, *index, "the index type")?;
        }
        Kind::Struct { members, .. } | Kind::Union { members, .. } => {
            for member in members {
                sized(get(member.ty)?, member.ty, "a member's type")?;
            }
        }
        Kind::Func { proto, .. } => {
            named()?;
            match get(*proto)?.kind.tag() {
                KindTag::FuncProto => {}
                kind => {
                    return Err(TypeFault::WrongKind {
                        role: "the prototype",
                        id: *proto,
                        kind,
                    });
                }
            }
        }
        Kind::FuncProto { ret, params } => {
            nameless()?;
            data(get(*ret)?, *ret, "the return type")?;
            for (i, param) in params.iter().enumerate() {
                data(get(param.ty)?, param.ty, "a parameter's type")?;
                if param.ty == TypeId::VOID && i + 1 != params.len() {
                    return Err(TypeFault::Variadic(i as u32));
                }
            }
        }
        Kind::Var { ty: of, .. } => {
            named()?;
            data(get(*of)?, *of, "the variable's type")?;
        }
        Kind::DataSec { vars, .. } => {
            named()?;
            for var in vars {
                let kind = get(var.ty)?.kind.tag();
                if !matches!(kind, KindTag::Var | KindTag::Func) {
                    return Err(TypeFault::WrongKind {
                        role: "a variable",
                        id: var.ty,
                        kind,
                    });
                }
            }
        }
        Kind::DeclTag {
            ty: to, component, ..
        } => {
            named()?;
            check_decl_tag(btf, get(*to)?, *to, *component)?;
        }
    }
    Ok(())
}

/// A type that a value or a pointer can have: no function, variable, section or tag of one.
fn data(ty: &Type, id: TypeId, role: &'static str) -> Result<(), TypeFault> {
    match ty.kind.tag() {
        kind @ (KindTag::Func | KindTag::Var | KindTag::DataSec | KindTag::DeclTag) => {
            Err(TypeFault::WrongKind { role, id, kind })
        }
        _ => Ok(()),
    }
}

/// A type that has a size, as far as its kind says.
fn sized(ty: &Type, id: TypeId, role: &'static str) -> Result<(), TypeFault> {
    data(ty, id, role)?;
    match ty.kind.tag() {
        kind @ (KindTag::Void | KindTag::Fwd | KindTag::FuncProto) => {
            Err(TypeFault::WrongKind { role, id, kind })
        }
        _ => Ok(()),
    }
}

fn check_decl_tag(btf: &Btf, to: &Type, id: TypeId, component: i32) -> Result<(), TypeFault> {
    let components = match &to.kind {
        Kind::Struct { members, .. } | Kind::Union { members, .. } => members.len(),
        Kind::Func { proto, .. } => match btf.kind(*proto) {
            Kind::FuncProto { params, .. } => params.len(),
            _ => 0,
        },
        Kind::Var { .. } | Kind::Typedef(_) => 0,
        kind => {
            return Err(TypeFault::WrongKind {
                role: "what it tags",
                id,
                kind: kind.tag(),
            });
        }
    };
    match usize::try_from(component) {
        Err(_) if component == -1 => Ok(()),
        Ok(component) if component < components => Ok(()),
        _ => Err(TypeFault::Component { component }),
    }
}

/// The type that edge `n` of a type leads to.
type Edge = fn(&Btf, &Kind, u32) -> Option<TypeId>;

/// Edges to what a type holds by value or only decorates.
fn value_edge(_: &Btf, kind: &Kind, n: u32) -> Option<TypeId> {
    match kind {
        Kind::Struct { members, .. } | Kind::Union { members, .. } => {
            members.get(n as usize).map(|member| member.ty)
        }
        Kind::Array { element, index, .. } => [*element, *index].get(n as usize).copied(),
        Kind::Var { ty, .. } if n == 0 => Some(*ty),
        _ if n == 0 => kind.modified(),
        _ => None,
    }
}

/// Edges from pointers and modifiers to pointers and modifiers: `T *` where `T` is a typedef of
/// that very pointer has no end either.
fn pointer_edge(btf: &Btf, kind: &Kind, n: u32) -> Option<TypeId> {
    let to = match kind {
        _ if n != 0 => return None,
        Kind::Ptr(to) => *to,
        kind => kind.modified()?,
    };
    let kind = btf.kind(to);
    (kind.modified().is_some() || matches!(kind, Kind::Ptr(_))).then_some(to)
}

/// Follows edges depth first: finds types within themselves and types nested too deeply, and
/// computes sizes on the way.
struct Walk<'a> {
    btf: &'a Btf,
    edge: Edge,
    first: u32,
    /// 0: not seen; 1: on the path; `2 + d`: done, `d` levels below it.
    state: Vec<u16>,
    sizes: Vec<u32>,
    aligns: Vec<u8>,
    path: Vec<Step>,
}

struct Step {
    index: u32,
    /// The next edge to follow.
    edge: u32,
    depth: u16,
}

impl<'a> Walk<'a> {
    fn new(btf: &'a Btf, first: TypeId, edge: Edge) -> Self {
        let count = btf.len() - first.0 as usize;
        Walk {
            btf,
            edge,
            first: first.0,
            state: vec![0; count],
            sizes: vec![0; count],
            aligns: vec![0; count],
            path: Vec::with_capacity(32),
        }
    }

    fn run(mut self) -> Result<Sizes, Fault> {
        for index in 0..self.state.len() as u32 {
            if self.state[index as usize] == 0 {
                self.enter(index);
                while !self.path.is_empty() {
                    self.step()?;
                }
            }
        }
        Ok(Sizes {
            first: self.first,
            own: self.sizes,
            aligns: self.aligns,
        })
    }

    fn enter(&mut self, index: u32) {
        self.state[index as usize] = 1;
        self.path.push(Step {
            index,
            edge: 0,
            depth: 0,
        });
    }

    fn step(&mut self) -> Result<(), Fault> {
        let last = self.path.len() - 1;
        let Step { index, edge, depth } = self.path[last];
        let id = TypeId(self.first + index);
        let kind = self.btf.kind(id);
        match (self.edge)(self.btf, kind, edge) {
            None => {
                let size = self.size(kind).map_err(|fault| (id, fault))?;
                self.sizes[index as usize] = size;
                self.aligns[index as usize] = self.align(kind);
                self.state[index as usize] = 2 + depth;
                self.path.pop();
                if let Some(parent) = self.path.last_mut() {
                    parent.depth = parent.depth.max(depth + 1);
                    if usize::from(parent.depth) > MAX_DEPTH {
                        return Err((TypeId(self.first + parent.index), TypeFault::TooDeep));
                    }
                }
            }
            Some(to) => {
                // Types of the base are done, and can refer to nothing here.
                let Some(own) = to.0.checked_sub(self.first) else {
                    self.path[last].edge += 1;
                    return Ok(());
                };
                match self.state[own as usize] {
                    0 if self.path.len() > MAX_DEPTH => return Err((id, TypeFault::TooDeep)),
                    0 => {
                        self.path[last].edge += 1;
                        self.enter(own);
                    }
                    1 => return Err((id, TypeFault::Cycle)),
                    done => {
                        let below = done - 2 + 1;
                        if usize::from(below) > MAX_DEPTH {
                            return Err((id, TypeFault::TooDeep));
                        }
                        let step = &mut self.path[last];
                        step.edge += 1;
                        step.depth = step.depth.max(below);
                    }
                }
            }
        }
        Ok(())
    }

    /// The size of a type whose edges are done.
    fn size(&self, kind: &Kind) -> Result<u32, TypeFault> {
        let of = |id: TypeId| match id.0.checked_sub(self.first) {
            Some(own) => self.sizes[own as usize],
            None => self.btf.size_of(id).unwrap_or(0),
        };
        Ok(match *kind {
            Kind::Int { size, .. }
            | Kind::Struct { size, .. }
            | Kind::Union { size, .. }
            | Kind::Enum { size, .. }
            | Kind::DataSec { size, .. }
            | Kind::Float { size } => size,
            Kind::Ptr(_) => 8,
            Kind::Array { element, len, .. } => {
                let element = of(element);
                element
                    .checked_mul(len)
                    .ok_or(TypeFault::ArraySize { len, element })?
            }
            Kind::Typedef(ty)
            | Kind::Volatile(ty)
            | Kind::Const(ty)
            | Kind::Restrict(ty)
            | Kind::TypeTag { ty, .. }
            | Kind::Var { ty, .. } => of(ty),
            Kind::Void
            | Kind::Fwd { .. }
            | Kind::Func { .. }
            | Kind::FuncProto { .. }
            | Kind::DeclTag { .. } => 0,
        })
    }

    /// The alignment of a type whose edges are done. A member that is not aligned makes a struct
    /// packed.
    fn align(&self, kind: &Kind) -> u8 {
        let of = |id: TypeId| match id.0.checked_sub(self.first) {
            Some(own) => self.aligns[own as usize],
            None => self.btf.align_of(id).unwrap_or(0) as u8,
        };
        match kind {
            Kind::Int { size, .. } | Kind::Enum { size, .. } => (*size).min(16) as u8,
            // A long double of 10 bytes is stored in 12 or 16 and aligned to 4 or 16.
            Kind::Float { size } => 1 << size.trailing_zeros().min(4),
            Kind::Ptr(_) => 8,
            Kind::Array { element: ty, .. } | Kind::Var { ty, .. } => of(*ty),
            Kind::Struct { size, members } | Kind::Union { size, members } => {
                // A bitfield does not cross a multiple of its type's size.
                let loose = |m: &Member| {
                    let unit = u32::from(of(m.ty)).max(1) * 8;
                    m.bit_offset % unit + u32::from(m.bits) > if m.bits == 0 { 0 } else { unit }
                };
                let natural = members.iter().map(|m| of(m.ty)).max().unwrap_or(1).max(1);
                let packed = members.iter().any(loose) || size % u32::from(natural) != 0;
                if packed { 1 } else { natural }
            }
            kind => kind.modified().map_or(0, of),
        }
    }
}

/// Sizes of types in bytes by number; 0 for those that have none.
struct Sizes {
    first: u32,
    own: Vec<u32>,
    aligns: Vec<u8>,
}

impl Sizes {
    fn of(&self, btf: &Btf, id: TypeId) -> u32 {
        match id.0.checked_sub(self.first) {
            Some(own) => self.own.get(own as usize).copied().unwrap_or(0),
            None => btf.size_of(id).unwrap_or(0),
        }
    }
}

/// Sizes, widths and offsets fit each other.
fn check_layout(btf: &Btf, sizes: &Sizes, ty: &Type) -> Result<(), TypeFault> {
    let bad_size = |size| {
        Err(TypeFault::Size {
            kind: ty.kind.tag(),
            size,
        })
    };
    match ty.kind {
        Kind::Int {
            size, bits, offset, ..
        } => {
            if !matches!(size, 1 | 2 | 4 | 8 | 16) {
                return bad_size(size);
            }
            if u32::from(bits) + u32::from(offset) > size * 8 {
                return Err(TypeFault::IntBits { size, bits, offset });
            }
        }
        Kind::Enum { size, .. } if !matches!(size, 1 | 2 | 4 | 8) => return bad_size(size),
        Kind::Float { size } if !matches!(size, 2 | 4 | 8 | 12 | 16) => return bad_size(size),
        Kind::Struct { size, ref members } | Kind::Union { size, ref members } => {
            for (index, member) in members.iter().enumerate() {
                check_member(btf, sizes, size, index as u32, member)?;
            }
        }
        Kind::DataSec { size, ref vars } => check_section(size, vars)?,
        _ => {}
    }
    Ok(())
}

fn check_member(
    btf: &Btf,
    sizes: &Sizes,
    size: u32,
    index: u32,
    member: &Member,
) -> Result<(), TypeFault> {
    let Member {
        bit_offset,
        bits,
        ty,
        ..
    } = *member;
    let type_bits = u64::from(sizes.of(btf, ty)) * 8;
    let (_, resolved) = btf.resolve(ty);
    let integer = matches!(resolved.kind, Kind::Int { .. } | Kind::Enum { .. });
    let width = match resolved.kind {
        _ if bits != 0 && (!integer || u64::from(bits) > type_bits) => {
            return Err(TypeFault::Bitfield {
                member: index,
                bits,
            });
        }
        _ if bits != 0 => bits.into(),
        // A bitfield as compilers wrote it before `kind_flag`: an integer of few bits.
        Kind::Int { bits, offset, .. } => u64::from(bits) + u64::from(offset),
        _ if bit_offset % 8 != 0 => {
            return Err(TypeFault::MemberMisaligned {
                member: index,
                bit_offset,
            });
        }
        _ => type_bits,
    };
    if u64::from(bit_offset) + width > u64::from(size) * 8 {
        return Err(TypeFault::MemberOutside {
            member: index,
            bit_offset,
            size,
        });
    }
    Ok(())
}

/// Compilers leave the size of a section 0 for the loader to fill in: then there is no layout yet.
fn check_section(section: u32, vars: &[SecVar]) -> Result<(), TypeFault> {
    let mut end = 0;
    for (index, &SecVar { offset, size, .. }) in vars.iter().enumerate() {
        if section != 0 && u64::from(offset) < end {
            return Err(TypeFault::SectionLayout {
                index: index as u32,
                offset,
                size,
            });
        }
        end = u64::from(offset) + u64::from(size);
        if section != 0 && end > u64::from(section) {
            return Err(TypeFault::SectionLayout {
                index: index as u32,
                offset,
                size,
            });
        }
    }
    Ok(())
}
