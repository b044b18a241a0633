//! Functions on dynptrs that are written out where they are called.

use panal_uapi::Errno;

use super::{
    emit::Emitter,
    inline::{on, with},
};
use crate::{
    dynptr::{DATA, END, OFFSET, PACKET, READ_ONLY, SIZE, SIZE_MASK},
    op::{Code, Op},
};

/// What a function of type `int` returns.
fn error(errno: Errno) -> u64 {
    u64::from(errno.as_return() as u32)
}

impl Emitter<'_> {
    /// `bpf_dynptr_from_skb(r1, r2, r3)` and its kind: `r1` is the context.
    pub fn dynptr_of_packet(&mut self, bounds: u32, marks: u32) {
        let bounds = bounds as i32;
        self.emit(with(Code::JNe64K, 2, 0).at(9));
        self.emit(on(Code::Ld64, 4, 1).at(bounds));
        self.emit(on(Code::Ld64, 5, 1).at(bounds + END));
        self.emit(on(Code::Sub64X, 5, 4));
        self.emit(with(Code::Or32K, 5, marks.into()));
        self.emit(with(Code::Add64K, 1, bounds as u64));
        self.emit(on(Code::St64X, 3, 1).at(DATA));
        self.emit(on(Code::St64X, 3, 5).at(SIZE));
        self.emit(with(Code::Mov64K, 0, 0));
        self.emit(Op::new(Code::Jump).at(3));
        self.emit(with(Code::St64K, 3, 0).at(DATA));
        self.emit(with(Code::St64K, 3, 0).at(SIZE));
        self.emit(with(Code::Mov64K, 0, error(Errno::EINVAL)));
    }

    /// `bpf_dynptr_slice(r1, r2, r3, r4)`: bytes from `r2` on, `r4` of them. What they are copied to
    /// where they do not lie in one piece, at `r3`, is never needed.
    pub fn dynptr_slice(&mut self, write: bool) {
        self.emit(on(Code::Ld64, 5, 1).at(DATA));
        self.emit(on(Code::Ld32, 0, 1).at(SIZE));
        self.emit(on(Code::Ld32, 1, 1).at(OFFSET));
        self.emit(on(Code::Mov32X, 2, 2));
        self.emit(on(Code::Mov32X, 4, 4));
        self.emit(on(Code::Add64X, 4, 2));
        self.emit(on(Code::Mov64X, 3, 0));
        self.emit(with(Code::And64K, 3, SIZE_MASK.into()));
        let one_more = i32::from(write);
        self.emit(on(Code::JGt64X, 4, 3).at(13 + one_more));
        self.emit(with(Code::JEq64K, 5, 0).at(12 + one_more));
        if write {
            self.emit(with(Code::JSet32K, 0, READ_ONLY.into()).at(12));
        }
        self.emit(on(Code::Add64X, 2, 1));
        self.emit(with(Code::JSet32K, 0, PACKET.into()).at(3));
        self.emit(on(Code::Mov64X, 0, 5));
        self.emit(on(Code::Add64X, 0, 2));
        self.emit(Op::new(Code::Jump).at(8));
        self.emit(on(Code::Add64X, 4, 1));
        self.emit(on(Code::Ld64, 0, 5));
        self.emit(on(Code::Ld64, 3, 5).at(END));
        self.emit(on(Code::Sub64X, 3, 0));
        self.emit(on(Code::JGt64X, 4, 3).at(2));
        self.emit(on(Code::Add64X, 0, 2));
        self.emit(Op::new(Code::Jump).at(1));
        self.emit(with(Code::Mov64K, 0, 0));
    }

    /// `bpf_dynptr_data(r1, r2, r3)`: bytes from `r2` on, `r3` of them, of memory that may be written.
    pub fn dynptr_data(&mut self) {
        self.emit(on(Code::Ld64, 5, 1).at(DATA));
        self.emit(on(Code::Ld32, 0, 1).at(SIZE));
        self.emit(on(Code::Ld32, 1, 1).at(OFFSET));
        self.emit(on(Code::Mov32X, 2, 2));
        self.emit(on(Code::Mov64X, 4, 0));
        self.emit(with(Code::And64K, 4, SIZE_MASK.into()));
        self.emit(on(Code::JGt64X, 3, 4).at(8));
        self.emit(on(Code::Add64X, 3, 2));
        self.emit(on(Code::JGt64X, 3, 4).at(6));
        self.emit(with(Code::JSet32K, 0, (READ_ONLY | PACKET).into()).at(5));
        self.emit(with(Code::JEq64K, 5, 0).at(4));
        self.emit(on(Code::Mov64X, 0, 5));
        self.emit(on(Code::Add64X, 0, 1));
        self.emit(on(Code::Add64X, 0, 2));
        self.emit(Op::new(Code::Jump).at(1));
        self.emit(with(Code::Mov64K, 0, 0));
    }

    /// `bpf_dynptr_size(r1)`
    pub fn dynptr_size(&mut self) {
        self.emit(on(Code::Ld64, 2, 1).at(DATA));
        self.emit(on(Code::Ld32, 0, 1).at(SIZE));
        self.emit(with(Code::And64K, 0, SIZE_MASK.into()));
        self.emit(with(Code::JNe64K, 2, 0).at(1));
        self.emit(with(Code::Mov64K, 0, Errno::EINVAL.as_return()));
    }

    /// `bpf_dynptr_clone(r1, r2)`
    pub fn dynptr_clone(&mut self) {
        self.emit(on(Code::Ld64, 3, 1).at(DATA));
        self.emit(on(Code::Ld64, 4, 1).at(SIZE));
        self.emit(with(Code::JEq64K, 3, 0).at(4));
        self.emit(on(Code::St64X, 2, 3).at(DATA));
        self.emit(on(Code::St64X, 2, 4).at(SIZE));
        self.emit(with(Code::Mov64K, 0, 0));
        self.emit(Op::new(Code::Jump).at(3));
        self.emit(with(Code::St64K, 2, 0).at(DATA));
        self.emit(with(Code::St64K, 2, 0).at(SIZE));
        self.emit(with(Code::Mov64K, 0, error(Errno::EINVAL)));
    }
}
