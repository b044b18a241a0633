//! Variables of `.struct_ops`: structures of functions in the kernel's own layout, member by member.

use panal_btf::{Btf, Kind, KindTag, Member, TypeId, essential_name};
use panal_object::{FunctionId, MapId, Origin, StructOps};
use panal_uapi::{
    AttachType, Errno,
    kernel::{AttachTarget, Failure, Fd, Kernel, LoadTarget, MapFlags, MapSpec, update},
};

use crate::{
    Error, Loaded, LoadedMap, MapPlan, Open, Place, ProgramPlan, attach::unattached, error::Doing,
};

/// The map is attached by a link.
const BPF_F_LINK: MapFlags = MapFlags::from_bits_retain(1 << 13);

/// Bytes of a pointer to a function, in objects and in kernels.
const POINTER: usize = 8;

/// A variable as the kernel wants it.
#[derive(Clone, Debug)]
pub(crate) struct Fitted {
    /// The interface in the kernel's types: `tcp_congestion_ops`.
    interface: TypeId,
    /// The map's value around it: `bpf_struct_ops_tcp_congestion_ops`.
    value_type: TypeId,
    /// First value; pointers to functions are zero.
    value: Vec<u8>,
    callbacks: Vec<Callback>,
}

/// A program in its member.
#[derive(Clone, Copy, Debug)]
struct Callback {
    program: FunctionId,
    /// Index of the kernel's member.
    member: u32,
    /// Bytes into the map's value.
    offset: usize,
}

/// The struct_ops variables of an object.
fn variables(open: &Open) -> impl Iterator<Item = (&MapPlan, &StructOps)> {
    open.maps
        .iter()
        .filter_map(|plan| match &open.object.map(plan.id).origin {
            Origin::StructOps(ops) => Some((plan, ops)),
            _ => None,
        })
}

fn names(ops: &StructOps, program: FunctionId) -> bool {
    ops.programs.iter().any(|(_, named)| *named == program)
}

/// Whether only variables that are not created (`SEC("?.struct_ops")`) name the program.
pub(crate) fn is_dormant(open: &Open, program: FunctionId) -> bool {
    let mut naming = variables(open)
        .filter(|(_, ops)| names(ops, program))
        .peekable();
    naming.peek().is_some() && naming.all(|(plan, _)| !plan.create)
}

/// What a program is tied to: the interface, and the number of its member in the place of the
/// attach type.
pub(crate) fn tie(
    open: &Open,
    plan: &ProgramPlan,
    kernel: &dyn Kernel,
    types: &Btf,
) -> Result<(LoadTarget, AttachType), Error> {
    let mut found: Option<(TypeId, u32)> = None;
    for (map, ops) in variables(open).filter(|(_, ops)| names(ops, plan.id)) {
        let fitted = fit(open, map, ops, kernel, types)?;
        for callback in fitted.callbacks.iter().filter(|c| c.program == plan.id) {
            let here = (fitted.interface, callback.member);
            if found.is_some_and(|there| there != here) {
                let fault = format!("program {} has two places in interfaces", plan.name);
                return Err(fault_in(map, fault));
            }
            found = Some(here);
        }
    }
    let Some((interface, member)) = found else {
        let needs = Place::Other("a variable in .struct_ops with a pointer to it");
        return Err(unattached(plan, needs));
    };
    let member = AttachType::from_number(member).ok_or_else(|| Error::Unsupported {
        program: plan.name.clone(),
        what: format!("being the function of member {member} of a structure"),
    })?;
    Ok((LoadTarget::KernelBtf(interface), member))
}

/// Creates the map of a variable; nothing is registered yet.
pub(crate) fn create(
    open: &Open,
    plan: &MapPlan,
    ops: &StructOps,
    kernel: &dyn Kernel,
    types: &Btf,
    btf: Option<&Fd>,
) -> Result<Fd, Error> {
    let fitted = fit(open, plan, ops, kernel, types)?;
    let mut flags = plan.flags;
    flags.set(BPF_F_LINK, ops.link);
    let spec = MapSpec {
        name: open.object.map(plan.id).kernel_name(&open.name),
        map_type: plan.map_type,
        key_size: plan.key_size,
        value_size: fitted.value.len() as u32,
        max_entries: plan.max_entries,
        flags,
        extra: 0,
        numa_node: 0,
        inner: None,
        // Linux wants the descriptor of a BTF, and no types of it.
        btf: btf.map(|btf| (btf.clone(), TypeId::VOID, TypeId::VOID)),
        vmlinux_value_type: Some(fitted.value_type),
    };
    kernel
        .map_create(&spec)
        .doing(|| format!("creating map {} for struct_ops", plan.name))
}

impl Loaded<'_> {
    /// The variables of `.struct_ops` that were created and have a program that was loaded.
    pub fn struct_ops(&self) -> impl Iterator<Item = &LoadedMap> {
        self.maps().iter().filter(|map| {
            let loaded = |id| self.programs().iter().any(|p| p.plan.id == id);
            match &self.object().map(map.plan.id).origin {
                Origin::StructOps(ops) => ops.programs.iter().any(|(_, id)| loaded(*id)),
                _ => false,
            }
        })
    }

    /// Registers a variable of `.struct_ops`: the kernel calls its programs from now on, until the
    /// descriptor is dropped. Members whose programs are not loaded stay empty.
    ///
    /// # Errors
    /// The map is no such variable, or the kernel refuses: a function that it needs is missing, the
    /// name is taken.
    pub fn register(&self, map: &LoadedMap) -> Result<Fd, Error> {
        let (name, kernel) = (&map.plan.name, self.kernel());
        let fitted = self.fitted(map.plan.id).ok_or_else(|| Error::Map {
            map: name.clone(),
            fault: "it is no struct_ops variable".to_owned(),
        })?;
        let mut value = fitted.value.clone();
        for callback in &fitted.callbacks {
            let mut programs = self.programs().iter();
            if let Some(program) = programs.find(|p| p.plan.id == callback.program) {
                // In eight bytes: `fit` has checked that they are inside.
                let number = i64::from(program.fd.number()).to_ne_bytes();
                value[callback.offset..callback.offset + POINTER].copy_from_slice(&number);
            }
        }
        let doing = || format!("registering {name} for struct_ops");
        kernel
            .map_update(&map.fd, &0u32.to_ne_bytes(), &value, update::BPF_ANY)
            .map_err(explained)
            .doing(doing)?;
        kernel
            .attach(&map.fd, &AttachTarget::StructOps)
            .map_err(explained)
            .doing(doing)
    }
}

/// What an interface means by its refusal.
fn explained(mut failure: Failure) -> Failure {
    let why = match failure.errno {
        Errno::EEXIST => "another is registered under the same name",
        Errno::EINVAL => {
            "the interface refuses the values, or needs a function that is not there or whose \
             program was not chosen"
        }
        _ => return failure,
    };
    failure.detail = format!("{}: {why}", failure.detail);
    failure
}

/// The variable's map and programs in the kernel's terms.
pub(crate) fn fit_all(
    open: &Open,
    kernel: &dyn Kernel,
    types: &Btf,
) -> Result<Vec<(MapId, Fitted)>, Error> {
    variables(open)
        .filter(|(plan, _)| plan.create)
        .map(|(plan, ops)| Ok((plan.id, fit(open, plan, ops, kernel, types)?)))
        .collect()
}

/// Whether the object has variables that are created.
pub(crate) fn has_any(open: &Open) -> bool {
    variables(open).any(|(plan, _)| plan.create)
}

fn fault_in(plan: &MapPlan, fault: String) -> Error {
    Error::Map {
        map: plan.name.clone(),
        fault,
    }
}

/// Lays a variable out as the kernel has its type.
fn fit(
    open: &Open,
    plan: &MapPlan,
    ops: &StructOps,
    kernel: &dyn Kernel,
    types: &Btf,
) -> Result<Fitted, Error> {
    let fail = |fault| fault_in(plan, fault);
    let own = open
        .object
        .btf()
        .ok_or_else(|| fail("the object has no types".to_owned()))?;
    let name = essential_name(own.name(ops.ty));
    let lacks = || Error::NoInterface {
        map: plan.name.clone(),
        interface: name.to_owned(),
        kernel: kernel.name(),
    };
    let interface = types.find(name, KindTag::Struct).ok_or_else(lacks)?;
    let value_type = types
        .find(&format!("bpf_struct_ops_{name}"), KindTag::Struct)
        .ok_or_else(lacks)?;
    let start = members(types, value_type)
        .iter()
        .find(|member| types.resolve(member.ty).0 == interface)
        .map(|member| member.bit_offset as usize / 8)
        .ok_or_else(lacks)?;
    let size = types.size_of(value_type).ok_or_else(lacks)?;
    let mut fitted = Fitted {
        interface,
        value_type,
        value: vec![0; size as usize],
        callbacks: Vec::new(),
    };
    let mut placed = 0;
    for member in members(own, ops.ty) {
        let within = member.bit_offset as usize / 8;
        let program = ops.programs.iter().find(|(at, _)| *at as usize == within);
        placed += usize::from(program.is_some());
        let of = Source {
            member,
            btf: own,
            bytes: bytes_of(own, member, ops),
            program: program.map(|(_, id)| *id),
        };
        let there = members(types, interface).iter().enumerate();
        let there = there.into_iter().find(|(_, m)| m.name == member.name);
        let fault = |what: String| fail(format!("member {name}.{}: {what}", member.name));
        match there {
            Some((index, there)) => fitted
                .place(&of, types, index as u32, there, start)
                .map_err(fault)?,
            // Kernels that do not know it would not look at it.
            None if of.is_empty() => {}
            None => return Err(fault(format!("{} does not have it", kernel.name()))),
        }
    }
    if placed != ops.programs.len() {
        let fault = format!("a program stands where {name} has no member of its own");
        return Err(fail(fault));
    }
    Ok(fitted)
}

/// A member of the object's structure.
struct Source<'a> {
    member: &'a Member,
    btf: &'a Btf,
    /// `None`: its size is not known, or it reaches outside.
    bytes: Option<&'a [u8]>,
    program: Option<FunctionId>,
}

impl Source<'_> {
    fn is_empty(&self) -> bool {
        let zero = |bytes: &[u8]| bytes.iter().all(|b| *b == 0);
        self.program.is_none() && self.bytes.is_some_and(zero)
    }
}

impl Fitted {
    /// Puts a member where the kernel has it; what does not fit, if it does not.
    fn place(
        &mut self,
        from: &Source<'_>,
        types: &Btf,
        index: u32,
        there: &Member,
        start: usize,
    ) -> Result<(), String> {
        if from.member.bits != 0 || there.bits != 0 {
            return match from.is_empty() {
                true => Ok(()),
                false => Err("bit fields cannot be set".to_owned()),
            };
        }
        let here = from.btf.resolve(from.member.ty).1.kind.tag();
        let (_, kernels) = types.resolve(there.ty);
        if here != kernels.kind.tag() {
            let (here, there) = (here, kernels.kind.tag());
            return Err(format!("{here:?} in the object, {there:?} in the kernel"));
        }
        let size = types.size_of(there.ty).map(|size| size as usize);
        let offset = start + there.bit_offset as usize / 8;
        let bytes = from.bytes.ok_or("it reaches outside of the variable")?;
        let Some(room) =
            size.and_then(|size| self.value.get_mut(offset..offset.checked_add(size)?))
        else {
            return Err("it reaches outside of the kernel's type".to_owned());
        };
        if let Kind::Ptr(to) = kernels.kind {
            let function = matches!(types.resolve(to).1.kind, Kind::FuncProto { .. });
            return match from.program {
                None if from.is_empty() => Ok(()),
                None => Err("a pointer that names no program".to_owned()),
                Some(_) if !function || room.len() != POINTER => {
                    Err("a program, where the kernel has no function".to_owned())
                }
                Some(program) => {
                    self.callbacks.push(Callback {
                        program,
                        member: index,
                        offset,
                    });
                    Ok(())
                }
            };
        }
        if room.len() != bytes.len() {
            let (here, there) = (bytes.len(), room.len());
            return Err(format!("{here} bytes in the object, {there} in the kernel"));
        }
        room.copy_from_slice(bytes);
        Ok(())
    }
}

fn members(btf: &Btf, ty: TypeId) -> &[Member] {
    btf.resolve(ty).1.kind.members().unwrap_or_default()
}

fn bytes_of<'a>(btf: &Btf, member: &Member, ops: &'a StructOps) -> Option<&'a [u8]> {
    let start = member.bit_offset as usize / 8;
    let end = start.checked_add(btf.size_of(member.ty)? as usize)?;
    ops.contents.get(start..end)
}
