//! Descriptors in instructions become indices of the program's maps.

use std::sync::Arc;

use panal_isa::Slot;
use panal_uapi::{Errno, kernel::Fd};

use crate::{fds::FdTable, maps::Map};

/// `BPF_LD | BPF_IMM | BPF_DW`
const LOAD_IMM64: u8 = 0x18;

const PSEUDO_MAP_FD: u8 = 1;
const PSEUDO_MAP_VALUE: u8 = 2;
const PSEUDO_MAP_IDX: u8 = 5;
const PSEUDO_MAP_IDX_VALUE: u8 = 6;

/// Most maps of a program (`MAX_USED_MAPS`).
const MAPS_MOST: usize = 64;

/// A program's code, and the maps that it names by index.
pub(super) struct Resolved {
    pub code: Vec<Slot>,
    pub maps: Vec<Arc<Map>>,
}

/// Why descriptors could not be resolved.
pub(super) struct Unresolved {
    /// The instruction that names the descriptor; `None` for maps that were only bound.
    pub slot: Option<usize>,
    pub errno: Errno,
    pub detail: String,
}

/// Resolves every map that `code` names, by descriptor or by index into `fd_array`; `bound` are
/// maps that belong to the program without being named.
pub(super) fn resolve(
    fds: &FdTable,
    code: &[Slot],
    fd_array: &[Fd],
    bound: &[Fd],
) -> Result<Resolved, Unresolved> {
    let mut resolved = Resolved {
        code: code.to_vec(),
        maps: Vec::new(),
    };
    let mut slot = 0;
    while let Some(instruction) = resolved.code.get_mut(slot) {
        if instruction.opcode != LOAD_IMM64 {
            slot += 1;
            continue;
        }
        let with_value = match instruction.src() {
            PSEUDO_MAP_FD | PSEUDO_MAP_IDX => false,
            PSEUDO_MAP_VALUE | PSEUDO_MAP_IDX_VALUE => true,
            _ => {
                slot += 2;
                continue;
            }
        };
        let by_index = matches!(instruction.src(), PSEUDO_MAP_IDX | PSEUDO_MAP_IDX_VALUE);
        let fd = if by_index {
            let fd = usize::try_from(instruction.imm)
                .ok()
                .and_then(|i| fd_array.get(i));
            fd.map(Fd::number).ok_or_else(|| Unresolved {
                slot: Some(slot),
                errno: Errno::EPROTO,
                detail: format!("fd_idx {} without fd_array entry", instruction.imm),
            })?
        } else {
            instruction.imm
        };
        let map = find(fds, fd, Some(slot))?;
        let index = place(&mut resolved.maps, map)?;
        let kind = if with_value {
            PSEUDO_MAP_IDX_VALUE
        } else {
            PSEUDO_MAP_IDX
        };
        instruction.registers = instruction.registers & 0x0f | kind << 4;
        instruction.imm = index as i32;
        slot += 2;
    }
    for fd in bound {
        let map = find(fds, fd.number(), None)?;
        place(&mut resolved.maps, map)?;
    }
    Ok(resolved)
}

fn find(fds: &FdTable, fd: i32, slot: Option<usize>) -> Result<Arc<Map>, Unresolved> {
    fds.map(fd).map_err(|errno| Unresolved {
        slot,
        // Where Linux looks, the standard streams are open, and no maps.
        errno: if (0..=2).contains(&fd) {
            Errno::EINVAL
        } else {
            errno
        },
        detail: format!("fd {fd} is not pointing to valid bpf_map"),
    })
}

fn place(maps: &mut Vec<Arc<Map>>, map: Arc<Map>) -> Result<usize, Unresolved> {
    if let Some(index) = maps.iter().position(|known| Arc::ptr_eq(known, &map)) {
        return Ok(index);
    }
    if maps.len() >= MAPS_MOST {
        return Err(Unresolved {
            slot: None,
            errno: Errno::E2BIG,
            detail: format!(
                "The total number of maps per program has reached the limit of {MAPS_MOST}"
            ),
        });
    }
    maps.push(map);
    Ok(maps.len() - 1)
}
