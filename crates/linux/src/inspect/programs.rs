//! What Linux tells of a program.

use std::{collections::HashMap, sync::Arc};

use panal_btf::{Btf, TypeId};
use panal_uapi::{
    attr::{FuncInfoBytes, LineInfoBytes, ProgInfoBytes},
    inspect::{Inspect, JitedFunction, ObjectKind, OpenFlags, ProgCode, ProgInfo},
    kernel::{Failure, Fd, FuncInfo, LineInfo, ProgFlags},
};

use crate::LinuxKernel;

use super::{FdInfo, info_into, kallsyms::Symbols, text};

/// Bytes of `struct bpf_func_info` and `struct bpf_line_info`.
const FUNC_INFO: u32 = 8;
const LINE_INFO: u32 = 16;

/// Most of anything that is asked for: no program comes near.
const MOST: u32 = 1 << 26;

/// Asks with these buffers.
///
/// # Safety
/// Every address in `ask` points to memory of the size that stands beside it.
unsafe fn raw(prog: &Fd, ask: &ProgInfoBytes) -> Result<ProgInfoBytes, Failure> {
    let mut bytes = ask.to_bytes();
    // SAFETY: the caller's promise.
    unsafe { info_into(prog, &mut bytes) }?;
    Ok(ProgInfoBytes::from_bytes(&bytes).unwrap_or_default())
}

pub fn info(prog: &Fd) -> Result<ProgInfo, Failure> {
    // SAFETY: no addresses.
    let sizes = unsafe { raw(prog, &ProgInfoBytes::default()) }?;
    let mut map_ids = vec![0u32; sizes.nr_map_ids.min(MOST) as usize];
    let ask = ProgInfoBytes {
        nr_map_ids: map_ids.len() as u32,
        map_ids: address(&mut map_ids),
        ..ProgInfoBytes::default()
    };
    // SAFETY: `map_ids` has the length that is told.
    let raw = unsafe { raw(prog, &ask) }?;
    map_ids.truncate(raw.nr_map_ids as usize);
    Ok(ProgInfo {
        id: raw.id,
        prog_type: raw.prog_type,
        name: text(&raw.name),
        tag: raw.tag,
        jited_len: raw.jited_prog_len,
        xlated_len: raw.xlated_prog_len,
        load_time: raw.load_time,
        created_by_uid: raw.created_by_uid,
        map_ids,
        ifindex: raw.ifindex,
        gpl_compatible: raw.gpl_compatible & 1 != 0,
        btf_id: raw.btf_id,
        run_time_ns: raw.run_time_ns,
        run_cnt: raw.run_cnt,
        recursion_misses: raw.recursion_misses,
        verified_insns: raw.verified_insns,
        attach_btf_obj_id: raw.attach_btf_obj_id,
        attach_btf_id: TypeId(raw.attach_btf_id),
        memlock: FdInfo::of(prog).number("memlock").unwrap_or(0),
        attach_type: None,
        flags: ProgFlags::empty(),
    })
}

fn address<T>(buffer: &mut [T]) -> u64 {
    match buffer.is_empty() {
        true => 0,
        false => buffer.as_mut_ptr() as u64,
    }
}

pub fn code(kernel: &LinuxKernel, prog: &Fd) -> Result<ProgCode, Failure> {
    // SAFETY: no addresses.
    let sizes = unsafe { raw(prog, &ProgInfoBytes::default()) }?;
    let len = |n: u32| n.min(MOST) as usize;
    let mut xlated = vec![0u8; len(sizes.xlated_prog_len)];
    let mut jited = vec![0u8; len(sizes.jited_prog_len)];
    let mut ksyms = vec![0u64; len(sizes.nr_jited_ksyms)];
    let mut lens = vec![0u32; len(sizes.nr_jited_func_lens)];
    let mut funcs = vec![0u8; len(sizes.nr_func_info) * FUNC_INFO as usize];
    let mut lines = vec![0u8; len(sizes.nr_line_info) * LINE_INFO as usize];
    let mut jited_lines = vec![0u64; len(sizes.nr_jited_line_info)];
    let ask = ProgInfoBytes {
        xlated_prog_len: xlated.len() as u32,
        xlated_prog_insns: address(&mut xlated),
        jited_prog_len: jited.len() as u32,
        jited_prog_insns: address(&mut jited),
        nr_jited_ksyms: ksyms.len() as u32,
        jited_ksyms: address(&mut ksyms),
        nr_jited_func_lens: lens.len() as u32,
        jited_func_lens: address(&mut lens),
        nr_func_info: sizes.nr_func_info.min(MOST),
        func_info_rec_size: FUNC_INFO,
        func_info: address(&mut funcs),
        nr_line_info: sizes.nr_line_info.min(MOST),
        line_info_rec_size: LINE_INFO,
        line_info: address(&mut lines),
        nr_jited_line_info: jited_lines.len() as u32,
        jited_line_info_rec_size: 8,
        jited_line_info: address(&mut jited_lines),
        ..ProgInfoBytes::default()
    };
    // SAFETY: every buffer has the length, in bytes or records, that stands beside it.
    let raw = unsafe { raw(prog, &ask) }?;
    // The kernel zeroes the addresses of what it does not show.
    xlated.truncate(if raw.xlated_prog_insns == 0 {
        0
    } else {
        raw.xlated_prog_len as usize
    });
    jited.truncate(if raw.jited_prog_insns == 0 {
        0
    } else {
        raw.jited_prog_len as usize
    });
    let functions = lens.iter().enumerate().map(|(index, len)| JitedFunction {
        address: ksyms.get(index).copied().unwrap_or(0),
        len: *len,
    });
    let funcs = funcs.chunks_exact(FUNC_INFO as usize).map(|bytes| {
        let raw = FuncInfoBytes::from_bytes(bytes).unwrap_or_default();
        FuncInfo {
            slot: raw.insn_off,
            ty: TypeId(raw.type_id),
        }
    });
    let lines = line_infos(kernel, raw.btf_id, &lines);
    Ok(ProgCode {
        calls: calls(&xlated, &ksyms),
        jited_functions: functions.collect(),
        funcs: funcs.collect(),
        lines,
        jited_lines,
        xlated,
        jited,
    })
}

/// Lines with the texts of the program's own BTF; none when it cannot be opened.
fn line_infos(kernel: &LinuxKernel, btf_id: u32, records: &[u8]) -> Vec<LineInfo> {
    let btf = || {
        let fd = kernel
            .open_id(ObjectKind::Btf, btf_id, OpenFlags::empty())
            .ok()??;
        Btf::parse(&kernel.btf_bytes(&fd).ok()?).ok()
    };
    if records.is_empty() {
        return Vec::new();
    }
    let Some(btf) = btf() else {
        return Vec::new();
    };
    let mut known: HashMap<u32, Arc<str>> = HashMap::new();
    let mut text = |offset: u32| {
        let read = || btf.string(offset).unwrap_or_default().into();
        known.entry(offset).or_insert_with(read).clone()
    };
    let raw = records.chunks_exact(LINE_INFO as usize);
    raw.filter_map(LineInfoBytes::from_bytes)
        .map(|raw| LineInfo {
            slot: raw.insn_off,
            file: text(raw.file_name_off),
            text: text(raw.line_off),
            line: raw.line_col >> 10,
            column: raw.line_col & 0x3ff,
        })
        .collect()
}

/// `BPF_JMP | BPF_CALL`
const CALL: u8 = 0x85;

/// The source register of a call of one of the program's own functions.
const PSEUDO_CALL: u8 = 1;

/// Linux writes the address of a helper or kernel function into the call, less that of
/// `__bpf_call_base`; into calls of the program's own functions, which one it is.
fn calls(xlated: &[u8], own: &[u64]) -> Vec<(u32, String)> {
    let call = |slot: &[u8]| slot[0] == CALL;
    if !xlated.chunks_exact(8).any(call) {
        return Vec::new();
    }
    let symbols = Symbols::read();
    let Some(base) = symbols.address("__bpf_call_base") else {
        return Vec::new();
    };
    let address = |slot: &[u8]| {
        let imm = i32::from_ne_bytes(slot[4..8].try_into().ok()?);
        match slot[1] >> 4 {
            PSEUDO_CALL => own.get(usize::try_from(imm).ok()?).copied(),
            _ => Some(base.wrapping_add_signed(imm.into())),
        }
    };
    xlated
        .chunks_exact(8)
        .enumerate()
        .filter(|(_, slot)| call(slot))
        .filter_map(|(index, slot)| {
            let name = symbols.at(address(slot)?)?;
            Some((index as u32, name.to_owned()))
        })
        .collect()
}
