//! Maps whose values name objects: programs, maps, devices and CPUs with programs, sockets. User
//! space writes descriptors, which the kernel resolves.

use panal_maps::{Object, ObjectArray, ObjectHash, RedirectArray, fits_template, syscall};
use panal_uapi::{AttachType, Errno, MapType, kernel::update};

use crate::{PanalKernel, helpers::tail_call, maps::Map, objects::Program};

/// A map of objects, and what is written into it.
pub(super) struct Entry<'a> {
    pub map: &'a Map,
    pub key: &'a [u8],
    pub value: &'a [u8],
    pub flags: u64,
}

/// `BPF_MAP_UPDATE_ELEM` for maps of every type; sizes and rights are checked already.
pub(super) fn update(kernel: &PanalKernel, entry: &Entry<'_>) -> Result<(), Errno> {
    match entry.map.map_type() {
        MapType::ProgArray => entry.set_program(kernel),
        MapType::ArrayOfMaps => {
            entry.check_slot(update::BPF_ANY)?;
            entry.set_map(kernel)
        }
        MapType::HashOfMaps => entry.set_map(kernel),
        MapType::Devmap | MapType::Cpumap => entry.set_target(kernel),
        MapType::DevmapHash => entry.set_device_by_hash(kernel),
        // What these hold, nobody has here.
        MapType::PerfEventArray | MapType::CgroupArray => {
            entry.check_slot(update::BPF_ANY)?;
            Err(Errno::EBADF)
        }
        MapType::Xskmap | MapType::ReuseportSockarray => {
            entry.check_slot(update::BPF_EXIST)?;
            entry.set_socket(kernel)
        }
        MapType::Sockmap | MapType::Sockhash => entry.set_socket(kernel),
        _ => entry.map.replacing(entry.key, || {
            syscall::update(&*entry.map.core, entry.key, entry.value, entry.flags)
        }),
    }
}

/// A descriptor that user space stores as a value.
fn descriptor(value: &[u8]) -> Result<i32, Errno> {
    value
        .try_into()
        .map(i32::from_ne_bytes)
        .map_err(|_| Errno::EINVAL)
}

impl Entry<'_> {
    /// Refuses flags above `most`, and indices that an array does not have.
    fn check_slot(&self, most: u64) -> Result<(), Errno> {
        if self.flags > most {
            return Err(Errno::EINVAL);
        }
        let index = self.key.try_into().map(u32::from_ne_bytes);
        match index {
            Ok(index) if index < self.map.core.base().def().max_entries => Ok(()),
            Ok(_) => Err(Errno::E2BIG),
            Err(_) => Err(Errno::EINVAL),
        }
    }

    fn set_program(&self, kernel: &PanalKernel) -> Result<(), Errno> {
        self.check_slot(update::BPF_ANY)?;
        let program = kernel.shared.fds.program(descriptor(self.value)?)?;
        if !self.map.takes(&program) {
            return Err(Errno::EINVAL);
        }
        let array = self.map.core.as_any().downcast_ref::<ObjectArray>();
        let array = array.ok_or(Errno::EINVAL)?;
        array.set(self.key, tail_call::entry(program), self.flags)
    }

    fn set_map(&self, kernel: &PanalKernel) -> Result<(), Errno> {
        let inner = kernel.shared.fds.map(descriptor(self.value)?)?;
        let template = self.map.inner_def.as_ref().ok_or(Errno::EINVAL)?;
        if !fits_template(template, inner.core.base().def()) {
            return Err(Errno::EINVAL);
        }
        let object = Object {
            id: inner.id,
            address: inner.handle,
            payload: inner,
        };
        let any = self.map.core.as_any();
        if let Some(array) = any.downcast_ref::<ObjectArray>() {
            array.set(self.key, object, self.flags)
        } else if let Some(hash) = any.downcast_ref::<ObjectHash>() {
            hash.set(self.key, object, self.flags)
        } else {
            Err(Errno::EINVAL)
        }
    }

    /// The program that runs where a packet is redirected to, whose descriptor may stand behind the
    /// target.
    fn program_there(
        &self,
        kernel: &PanalKernel,
    ) -> Result<Option<std::sync::Arc<Program>>, Errno> {
        let fd = match self.value.get(4..8).map(descriptor).transpose()? {
            Some(fd) if fd > 0 => fd,
            _ => return Ok(None),
        };
        let (wanted, missing) = match self.map.map_type() {
            MapType::Cpumap => (AttachType::XdpCpumap, Errno::EBADF),
            // Linux says EINVAL whatever was wrong with the program of a device.
            _ => (AttachType::XdpDevmap, Errno::EINVAL),
        };
        let program = kernel.shared.fds.program(fd).map_err(|_| missing)?;
        match program.attach_type == Some(wanted) {
            true => Ok(Some(program)),
            false => Err(Errno::EINVAL),
        }
    }

    /// The value as user space reads it back: the target, and the program's id.
    fn target(&self, program: Option<&Program>) -> Vec<u8> {
        let mut value = self.value.to_vec();
        if let Some(part) = value.get_mut(4..8) {
            part.copy_from_slice(&program.map_or(0, |program| program.id).to_ne_bytes());
        }
        value
    }

    /// An entry of a device or CPU map: where to, and a program to run there.
    fn set_target(&self, kernel: &PanalKernel) -> Result<(), Errno> {
        /// Most packets that wait for a CPU.
        const QUEUE_MOST: u32 = 16_384;
        self.check_slot(update::BPF_EXIST)?;
        let target = u32::from_ne_bytes(self.value[..4].try_into().map_err(|_| Errno::EINVAL)?);
        if self.map.map_type() == MapType::Cpumap && target > QUEUE_MOST {
            return Err(Errno::EOVERFLOW);
        }
        let targets = self.map.core.as_any().downcast_ref::<RedirectArray>();
        let targets = targets.ok_or(Errno::EINVAL)?;
        if target == 0 {
            // The entry goes, and what stands behind it is looked at by the map.
            return targets.set(self.key, self.value, None, self.flags);
        }
        let program = self.program_there(kernel)?;
        let value = self.target(program.as_deref());
        let program = program.map(|program| Object::new(program.id, program));
        targets.set(self.key, &value, program, self.flags)
    }

    fn set_device_by_hash(&self, kernel: &PanalKernel) -> Result<(), Errno> {
        if self.flags > update::BPF_EXIST || self.value[..4] == [0; 4] {
            return Err(Errno::EINVAL);
        }
        let program = self.program_there(kernel)?;
        let value = self.target(program.as_deref());
        // BPF_EXIST means nothing here.
        let flags = self.flags & update::BPF_NOEXIST;
        syscall::update(&*self.map.core, self.key, &value, flags)
    }

    /// No descriptor here is a socket: which error that is.
    fn set_socket(&self, kernel: &PanalKernel) -> Result<(), Errno> {
        let mut wide = [0; 8];
        let len = self.value.len().min(8);
        wide[..len].copy_from_slice(&self.value[..len]);
        let number = u64::from_ne_bytes(wide);
        // Four bytes are taken as they are by those maps alone that have no others.
        let narrow = matches!(
            self.map.map_type(),
            MapType::Xskmap | MapType::ReuseportSockarray
        ) && len == 4;
        match i32::try_from(number) {
            Err(_) if !narrow => Err(Errno::EINVAL),
            Ok(number) if kernel.shared.fds.get(number).is_ok() => Err(Errno::ENOTSOCK),
            _ => Err(Errno::EBADF),
        }
    }
}
