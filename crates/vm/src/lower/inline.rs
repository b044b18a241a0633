//! Functions of the kernel that are written out where they are called: operations in their place.

use alloc::vec::Vec;

use panal_isa::Size;
use panal_uapi::{Errno, profile::BPF_MAX_LOOPS};

use super::{
    emit::{Adapter, Emitter},
    memory::{load_code, store_code},
};
use crate::{
    Executable, HelperFn, IndexedValues, Inline, InnerArray, RunWord,
    op::{Code, Op, Tag},
};

/// A loop over numbers on the stack: the number in front of the next one, then the end.
const END: i32 = 4;
/// Where an adapter keeps the index that its callback is shown, from its frame's end.
const KEY: i32 = -8;

pub(super) fn on(code: Code, dst: u8, src: u8) -> Op {
    Op {
        dst,
        src,
        ..Op::new(code)
    }
}

pub(super) fn with(code: Code, dst: u8, imm: u64) -> Op {
    Op {
        dst,
        imm,
        ..Op::new(code)
    }
}

pub(super) fn of_run(dst: u8, word: RunWord) -> Op {
    with(Code::OfRun, dst, word as u64)
}

/// Where the pieces of a value lie that are copied at once, and how large they are.
fn pieces(size: u32) -> Vec<(i32, Size)> {
    let mut pieces = Vec::new();
    let mut at = 0;
    for piece in [Size::DW, Size::W, Size::H, Size::B] {
        while at + piece.bytes() <= size {
            pieces.push((at as i32, piece));
            at += piece.bytes();
        }
    }
    pieces
}

impl Op {
    pub(super) fn at(self, off: i32) -> Op {
        Op { off, ..self }
    }
}

impl Emitter<'_> {
    /// Writes out what needs no call. `r1` to `r5` are given away by the call that it was.
    pub fn written_out(&mut self, inline: Inline) {
        match inline {
            Inline::OfRun(word) => self.emit(of_run(0, word)),
            Inline::Ticks => self.ticks(),
            Inline::Behind { pointer, at } => self.behind(pointer, at),
            Inline::Field { at } => self.field_or_call(at),
            Inline::PacketLen { bounds } => self.packet_len(bounds),
            Inline::Constant(imm) => self.emit(with(Code::Mov64K, 0, imm)),
            Inline::NumbersNew => self.numbers_new(),
            Inline::NumbersNext => self.numbers_next(),
            Inline::NumbersDestroy => self.numbers_end(),
            Inline::DynptrOfPacket { bounds, marks } => self.dynptr_of_packet(bounds, marks),
            Inline::DynptrSlice { write } => self.dynptr_slice(write),
            Inline::DynptrData => self.dynptr_data(),
            Inline::DynptrSize => self.dynptr_size(),
            Inline::DynptrClone => self.dynptr_clone(),
        }
    }

    /// `bpf_jiffies64()`: others count them meanwhile.
    fn ticks(&mut self) {
        self.emit(of_run(0, RunWord::Ticks));
        self.emit_tagged(Op {
            tag: Tag::Shared,
            ..on(Code::Ld64, 0, 0)
        });
    }

    /// A word behind a pointer of the context, if that leads anywhere.
    fn behind(&mut self, pointer: u32, at: u32) {
        self.emit(on(Code::Ld64, 0, 1).at(pointer as i32));
        self.emit(with(Code::JEq64K, 0, 0).at(1));
        self.emit(on(Code::Ld64, 0, 0).at(at as i32));
    }

    /// The context's field at this place, if it is not 0: the call follows, which is the next operation.
    pub fn field_or_call(&mut self, at: u32) {
        self.emit(on(Code::Ld32, 0, 1).at(at as i32));
        self.emit(with(Code::JNe64K, 0, 0).at(1));
    }

    /// `bpf_xdp_get_buff_len(r1)`: its end less its begin.
    fn packet_len(&mut self, bounds: u32) {
        self.emit(on(Code::Ld64, 0, 1).at(bounds as i32 + 8));
        self.emit(on(Code::Ld64, 1, 1).at(bounds as i32));
        self.emit(on(Code::Sub64X, 0, 1));
    }

    /// The numbers are over, or there are none.
    fn numbers_end(&mut self) {
        self.emit_on_stack(with(Code::St32K, 1, 0));
        self.emit_on_stack(with(Code::St32K, 1, 0).at(END));
    }

    /// `bpf_iter_num_new(r1, r2, r3)`
    fn numbers_new(&mut self) {
        let error = |errno: Errno| u64::from(errno.as_return() as u32);
        self.emit(on(Code::Sx32To64, 4, 2));
        self.emit(on(Code::Sx32To64, 5, 3));
        self.emit(on(Code::Sub64X, 5, 4));
        self.emit(with(Code::Mov64K, 0, error(Errno::EINVAL)));
        self.emit(with(Code::JSLt64K, 5, 0).at(8));
        self.emit(with(Code::Mov64K, 0, error(Errno::E2BIG)));
        self.emit(with(Code::JSGt64K, 5, BPF_MAX_LOOPS.into()).at(6));
        self.emit(with(Code::Mov64K, 0, 0));
        // An empty loop may begin at the least number of all: it has nothing before it.
        self.emit(with(Code::JEq64K, 5, 0).at(4));
        self.emit(with(Code::Add32K, 2, u32::MAX.into()));
        self.emit_on_stack(on(Code::St32X, 1, 2));
        self.emit_on_stack(on(Code::St32X, 1, 3).at(END));
        self.emit(Op::new(Code::Jump).at(2));
        self.numbers_end();
    }

    /// `bpf_iter_num_next(r1)`
    fn numbers_next(&mut self) {
        self.emit_on_stack(on(Code::Ld32, 2, 1));
        self.emit_on_stack(on(Code::Ld32, 3, 1).at(END));
        self.emit(with(Code::Add32K, 2, 1));
        self.emit(on(Code::JSGe32X, 2, 3).at(3));
        self.emit_on_stack(on(Code::St32X, 1, 2));
        self.emit(on(Code::Mov64X, 0, 1));
        self.emit(Op::new(Code::Jump).at(3));
        self.numbers_end();
        self.emit(with(Code::Mov64K, 0, 0));
    }

    pub(super) fn emit_on_stack(&mut self, op: Op) {
        self.emit_tagged(Op {
            tag: Tag::Stack,
            ..op
        });
    }

    /// `bpf_map_update_elem(r1, r2, r3, r4)` on an array whose values are so many bytes and nothing else.
    /// Any flag, and an index that there is not, are left to what is written behind: so many operations.
    pub fn element_update(&mut self, values: IndexedValues, size: u32, behind: i32) {
        let pieces = pieces(size);
        let own = if values.plane == 0 { 0 } else { 3 };
        let to_slow = 5 + own + 2 * pieces.len() as i32;
        self.emit(with(Code::JNe64K, 4, 0).at(to_slow + 2));
        self.emit(on(Code::Ld32, 5, 2));
        self.emit(with(Code::JGe32K, 5, values.count.into()).at(to_slow));
        self.emit(with(Code::Mul64K, 5, values.stride.into()));
        self.emit(with(Code::Mov64K, 0, values.first));
        self.emit(on(Code::Add64X, 0, 5));
        if values.plane != 0 {
            self.emit(of_run(5, RunWord::Cpu));
            self.emit(with(Code::Mul64K, 5, values.plane.into()));
            self.emit(on(Code::Add64X, 0, 5));
        }
        for (at, size) in pieces {
            self.emit(on(load_code(size, false), 5, 3).at(at));
            self.emit(on(store_code(size, false, false), 0, 5).at(at));
        }
        self.emit(with(Code::Mov64K, 0, 0));
        self.emit(Op::new(Code::Jump).at(behind));
    }

    /// `bpf_map_lookup_percpu_elem(r1, r2, r3)` on an array with values of so many CPUs.
    pub fn element_on(&mut self, values: IndexedValues, cpus: u32) {
        self.emit(on(Code::Ld32, 4, 2));
        self.emit(on(Code::Mov32X, 3, 3));
        self.emit(with(Code::Mov64K, 0, 0));
        self.emit(with(Code::JGe32K, 4, values.count.into()).at(6));
        self.emit(with(Code::JGe32K, 3, cpus.into()).at(5));
        self.emit(with(Code::Mul64K, 4, values.stride.into()));
        self.emit(with(Code::Mul64K, 3, values.plane.into()));
        self.emit(with(Code::Mov64K, 0, values.first));
        self.emit(on(Code::Add64X, 0, 4));
        self.emit(on(Code::Add64X, 0, 3));
    }

    /// The handle at the place in `r0`, if that is one.
    pub fn handle_at(&mut self) {
        self.emit(with(Code::JEq64K, 0, 0).at(1));
        self.emit(on(Code::Ld64, 0, 0));
    }

    /// `bpf_map_lookup_elem(r1, r2)` on an array whose handle is in `r1`.
    pub fn inner_array_lookup(&mut self, array: InnerArray) {
        self.emit(on(Code::Ld32, 3, 2));
        self.emit(on(Code::Ld32, 4, 1).at(array.count_at));
        self.emit(with(Code::Mov64K, 0, 0));
        self.emit(on(Code::JGe64X, 3, 4).at(3));
        self.emit(on(Code::Ld64, 0, 1).at(array.first_at));
        self.emit(with(Code::Mul64K, 3, array.stride.into()));
        self.emit(on(Code::Add64X, 0, 3));
    }

    /// `bpf_for_each_map_elem(r1, r2, r3, r4)` over an array, with a callback that is known:
    /// `bpf_loop`, whose rounds the code makes, with a function that hands the callback what it wants.
    /// False where it is something else.
    pub fn each_element(&mut self, map: u32, callback: u32, bpf_loop: HelperFn) -> bool {
        let Some(link) = self.linkage.map(map) else {
            return false;
        };
        let Some(values) = link.indexed.filter(|v| v.count <= BPF_MAX_LOOPS) else {
            return false;
        };
        let adapter = self.adapter(Adapter {
            slot: self.slot,
            callback,
            map: link.handle,
            values,
        });
        self.emit(with(Code::Mov64K, 1, values.count.into()));
        self.emit(with(Code::Mov64K, 2, Executable::function_value(adapter)));
        let here = self.here();
        self.loops.push((here, adapter));
        self.call_kernel(bpf_loop, 4, true);
        true
    }

    /// The function of a round: its index and the callback's context in `r1` and `r2`. The call, which
    /// stands last but one, is the caller's.
    pub(super) fn round(&mut self, map: u64, values: IndexedValues) {
        self.emit(on(Code::Mov64X, 4, 2));
        self.emit_on_stack(on(Code::St32X, 10, 1).at(KEY));
        self.emit(on(Code::Mov64X, 3, 1));
        self.emit(with(Code::Mul64K, 3, values.stride.into()));
        self.emit(with(Code::Mov64K, 2, values.first));
        self.emit(on(Code::Add64X, 3, 2));
        if values.plane != 0 {
            self.emit(of_run(2, RunWord::Cpu));
            self.emit(with(Code::Mul64K, 2, values.plane.into()));
            self.emit(on(Code::Add64X, 3, 2));
        }
        self.emit(on(Code::Mov64X, 2, 10));
        self.emit(with(Code::Add64K, 2, i64::from(KEY) as u64));
        self.emit(with(Code::Mov64K, 1, map));
    }
}
