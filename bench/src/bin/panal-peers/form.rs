//! A program as bare instructions, with its global data beside it.

use panal_isa::Slot;
use panal_kernel::PanalKernel;
use panal_loader::Open;
use panal_uapi::kernel::Kernel;

/// `lddw`: an immediate of 64 bits in two slots.
const LDDW: u8 = 0x18;
/// In its source register: the address of a map's value.
const PSEUDO_MAP_VALUE: u8 = 2;

/// A program that was linked but for the addresses of its data.
pub struct Form {
    code: Vec<Slot>,
    /// The name of its entry function is `entry`, the first slot.
    sections: Vec<Section>,
}

/// Global data.
struct Section {
    /// What stands for it in the instructions.
    number: i32,
    contents: Vec<u8>,
}

impl Form {
    /// Links an object.
    pub fn open(object: &[u8]) -> Result<Form, String> {
        let kernel = PanalKernel::new().map_err(|e| e.to_string())?;
        let open = Open::parse(object, "peer").map_err(|e| e.to_string())?;
        let prepared = open.prepare(&kernel).map_err(|e| e.to_string())?;
        let mut sections = Vec::new();
        for map in prepared.open().maps() {
            let fd = prepared.map(&map.name).map_err(|e| e.to_string())?;
            let contents = kernel.map_lookup(fd, &[0; 4], 0);
            sections.push(Section {
                number: fd.number(),
                contents: contents.map_err(|e| e.to_string())?.unwrap_or_default(),
            });
        }
        let plan = prepared.open().programs().first().ok_or("no program")?;
        let spec = prepared.spec(plan).map_err(|e| e.to_string())?;
        Ok(Form {
            code: spec.code,
            sections,
        })
    }

    /// All global data, one section after another, each at a multiple of 16.
    pub fn data(&self) -> Vec<u64> {
        let mut data = Vec::new();
        for section in &self.sections {
            for chunk in section.contents.chunks(8) {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                data.push(u64::from_ne_bytes(word));
            }
            data.resize(data.len().next_multiple_of(2), 0);
        }
        data
    }

    /// The instructions, with the data at this address.
    pub fn code_with_data_at(&self, base: u64) -> Vec<Slot> {
        let mut starts = Vec::new();
        let mut at = base;
        for section in &self.sections {
            starts.push((section.number, at));
            at += (section.contents.len() as u64).next_multiple_of(16);
        }
        let mut code = self.code.clone();
        for index in 0..code.len().saturating_sub(1) {
            let slot = code[index];
            if slot.opcode != LDDW || slot.src() != PSEUDO_MAP_VALUE {
                continue;
            }
            let start = starts.iter().find(|(number, _)| *number == slot.imm);
            let address = start.map_or(0, |(_, at)| *at) + code[index + 1].imm as u32 as u64;
            code[index].registers &= 0x0f;
            code[index].imm = address as u32 as i32;
            code[index + 1].imm = (address >> 32) as u32 as i32;
        }
        code
    }
}

/// Instructions as they stand in memory.
pub fn bytes(code: &[Slot]) -> Vec<u8> {
    code.iter().flat_map(|slot| slot.to_bytes()).collect()
}

/// The packet with its length before it, as the entry function takes it.
pub fn input(packet: &[u8]) -> Vec<u8> {
    let length = packet.len() as u64;
    [&length.to_ne_bytes()[..], packet].concat()
}
