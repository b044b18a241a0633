//! Lowering of loads, stores and atomics: by the region that the proof names.

use panal_isa::{AtomicOp, Instruction, Operand, Reg, Size, Width};
use panal_verifier::Region;

use super::{
    LowerError,
    emit::{Emitter, FRAME},
    instruction::{address, number},
};
use crate::{
    ContextAccess,
    op::{Atomic, Code, Op, SCRATCH},
};

/// A load from `base + off`.
#[derive(Clone, Copy)]
struct Load {
    size: Size,
    signed: bool,
    dst: u8,
    base: u8,
    off: i32,
}

pub(super) const fn load_code(size: Size, signed: bool) -> Code {
    match (size, signed) {
        (Size::B, false) => Code::Ld8,
        (Size::H, false) => Code::Ld16,
        (Size::W, false) => Code::Ld32,
        (Size::DW, _) => Code::Ld64,
        (Size::B, true) => Code::LdS8,
        (Size::H, true) => Code::LdS16,
        (Size::W, true) => Code::LdS32,
    }
}

fn probe_code(size: Size, signed: bool) -> Code {
    match (size, signed) {
        (Size::B, false) => Code::Probe8,
        (Size::H, false) => Code::Probe16,
        (Size::W, false) => Code::Probe32,
        (Size::DW, _) => Code::Probe64,
        (Size::B, true) => Code::ProbeS8,
        (Size::H, true) => Code::ProbeS16,
        (Size::W, true) => Code::ProbeS32,
    }
}

pub(super) const fn frame_load_code(size: Size, signed: bool) -> Code {
    match (size, signed) {
        (Size::B, false) => Code::LdFrame8,
        (Size::H, false) => Code::LdFrame16,
        (Size::W, false) => Code::LdFrame32,
        (Size::DW, _) => Code::LdFrame64,
        (Size::B, true) => Code::LdFrameS8,
        (Size::H, true) => Code::LdFrameS16,
        (Size::W, true) => Code::LdFrameS32,
    }
}

pub(super) const fn store_code(size: Size, imm: bool, frame: bool) -> Code {
    match (size, imm, frame) {
        (Size::B, true, false) => Code::St8K,
        (Size::H, true, false) => Code::St16K,
        (Size::W, true, false) => Code::St32K,
        (Size::DW, true, false) => Code::St64K,
        (Size::B, false, false) => Code::St8X,
        (Size::H, false, false) => Code::St16X,
        (Size::W, false, false) => Code::St32X,
        (Size::DW, false, false) => Code::St64X,
        (Size::B, true, true) => Code::StFrame8K,
        (Size::H, true, true) => Code::StFrame16K,
        (Size::W, true, true) => Code::StFrame32K,
        (Size::DW, true, true) => Code::StFrame64K,
        (Size::B, false, true) => Code::StFrame8X,
        (Size::H, false, true) => Code::StFrame16X,
        (Size::W, false, true) => Code::StFrame32X,
        (Size::DW, false, true) => Code::StFrame64X,
    }
}

/// The low bits of this size.
fn mask(size: Size) -> u64 {
    u64::MAX >> (64 - 8 * size.bytes())
}

impl Emitter<'_> {
    pub fn memory(&mut self, instruction: &Instruction) -> Result<(), LowerError> {
        match *instruction {
            Instruction::Load {
                size,
                signed,
                dst,
                base,
                offset,
            } => {
                if let Some((access, delta)) = self.translated(size, offset, false) {
                    let load = Load {
                        size,
                        signed,
                        dst: number(dst),
                        base: number(base),
                        off: delta,
                    };
                    self.translated_load(access, load);
                    return Ok(());
                }
                let off = i32::from(offset);
                let code = match self.region() {
                    Some(Region::Btf) => probe_code(size, signed),
                    _ if self.in_frame(base, offset, size) => frame_load_code(size, signed),
                    _ => load_code(size, signed),
                };
                let (base, off) = self.arena_base(number(base), off, size, false)?;
                self.emit(Op {
                    dst: number(dst),
                    src: base,
                    off,
                    ..Op::new(code)
                });
            }
            Instruction::Store {
                size,
                base,
                offset,
                src,
            } => {
                if let Some((access, delta)) = self.translated(size, offset, true) {
                    return self.translated_store(access, size, number(base), delta, src);
                }
                let frame = self.in_frame(base, offset, size);
                let (base, off) = self.arena_base(number(base), i32::from(offset), size, true)?;
                self.store(size, base, off, src, frame);
            }
            Instruction::Atomic {
                op,
                size,
                base,
                offset,
                src,
            } => {
                let write = op != AtomicOp::LoadAcquire;
                let (base, off) = self.arena_base(number(base), i32::from(offset), size, write)?;
                self.atomic(op, size, base, off, number(src))?;
            }
            _ => return Err(self.unresolved("no memory access")),
        }
        Ok(())
    }

    fn region(&self) -> Option<Region> {
        self.fact().access.map(|access| access.region)
    }

    /// Whether an access is to this function's own frame, in range.
    fn in_frame(&self, base: Reg, offset: i16, size: Size) -> bool {
        self.is_in_own_frame(base.number(), offset.into(), size.bytes() as i32)
    }

    /// The same, of bytes.
    #[inline]
    pub fn is_in_own_frame(&self, base: u8, offset: i32, bytes: i32) -> bool {
        is_in_frame(self.frame, base, offset, bytes)
    }

    /// An arena pointer becomes an address in the cage first.
    fn arena_base(
        &mut self,
        base: u8,
        off: i32,
        size: Size,
        write: bool,
    ) -> Result<(u8, i32), LowerError> {
        if self.region() != Some(Region::Arena) {
            return Ok((base, off));
        }
        let arena = self.linkage.arena().ok_or(self.missing("an arena"))?;
        self.emit(Op {
            dst: SCRATCH,
            imm: arena.arena,
            ..Op::new(Code::Mov64K)
        });
        self.emit(Op {
            dst: SCRATCH,
            src: base,
            off,
            imm: address((arena.place)(size, write)),
            ..Op::new(Code::ArenaPlace)
        });
        Ok((SCRATCH, 0))
    }

    /// How an access to a context or socket is done, and what the base register is off by: the
    /// kernel's offsets count from the structure's start.
    fn translated(&self, size: Size, offset: i16, write: bool) -> Option<(ContextAccess, i32)> {
        let access = self.fact().access?;
        let at = access.offset?;
        let uapi = u32::try_from(at).ok()?;
        let how = match access.region {
            Region::Context => self.linkage.context_access(uapi, size, write)?,
            Region::Socket => self.linkage.socket_access(uapi, size, write)?,
            _ => return None,
        };
        Some((how, i32::from(offset).wrapping_sub(at)))
    }

    fn translated_load(&mut self, how: ContextAccess, load: Load) {
        let Load {
            size,
            signed,
            dst,
            base,
            off,
        } = load;
        match how {
            ContextAccess::Direct {
                offset,
                size: kernel,
                shift,
            } => {
                let off = off.wrapping_add(offset as i32);
                if shift == 0 && kernel == size {
                    let code = load_code(size, signed);
                    return self.emit(Op {
                        dst,
                        src: base,
                        off,
                        ..Op::new(code)
                    });
                }
                self.emit(Op {
                    dst,
                    src: base,
                    off,
                    ..Op::new(load_code(kernel, false))
                });
                if shift != 0 {
                    let imm = u64::from(shift & 63);
                    self.emit(Op {
                        dst,
                        imm,
                        ..Op::new(Code::Rsh64K)
                    });
                }
                self.cut(size, signed, dst);
            }
            ContextAccess::Pointer { offset } => {
                let off = off.wrapping_add(offset as i32);
                self.emit(Op {
                    dst,
                    src: base,
                    off,
                    ..Op::new(Code::Ld64)
                });
            }
            ContextAccess::Computed(function) => {
                let imm = address(function);
                self.emit(Op {
                    dst,
                    src: base,
                    off,
                    imm,
                    ..Op::new(Code::Computed)
                });
                self.cut(size, signed, dst);
            }
            ContextAccess::Constant(value) => {
                self.emit(Op {
                    dst,
                    imm: value,
                    ..Op::new(Code::Mov64K)
                });
                self.cut(size, signed, dst);
            }
        }
    }

    /// Cuts a register to an access's size.
    fn cut(&mut self, size: Size, signed: bool, dst: u8) {
        if size == Size::DW {
            return;
        }
        if signed {
            self.sign_extend(Width::W64, size, dst, dst);
        } else {
            self.emit(Op {
                dst,
                imm: mask(size),
                ..Op::new(Code::And64K)
            });
        }
    }

    fn translated_store(
        &mut self,
        how: ContextAccess,
        size: Size,
        base: u8,
        off: i32,
        src: Operand,
    ) -> Result<(), LowerError> {
        match how {
            ContextAccess::Direct {
                offset,
                size: kernel,
                ..
            } => {
                let off = off.wrapping_add(offset as i32);
                if kernel == size {
                    self.store(size, base, off, src, false);
                } else {
                    self.widened(size, src);
                    let code = store_code(kernel, false, false);
                    self.emit(Op {
                        dst: base,
                        src: SCRATCH,
                        off,
                        ..Op::new(code)
                    });
                }
            }
            ContextAccess::Pointer { .. } => {
                return Err(self.unresolved("a pointer of the context is written"));
            }
            ContextAccess::Computed(function) => {
                self.widened(size, src);
                let imm = address(function);
                self.emit(Op {
                    dst: base,
                    src: SCRATCH,
                    off,
                    imm,
                    ..Op::new(Code::ComputedStore)
                });
            }
            ContextAccess::Constant(_) => {}
        }
        Ok(())
    }

    /// The value to be stored, zero-extended, in the scratch register.
    fn widened(&mut self, size: Size, src: Operand) {
        match src {
            Operand::Imm(imm) => {
                let imm = i64::from(imm) as u64 & mask(size);
                self.emit(Op {
                    dst: SCRATCH,
                    imm,
                    ..Op::new(Code::Mov64K)
                });
            }
            Operand::Reg(src) => {
                self.emit(Op {
                    dst: SCRATCH,
                    src: number(src),
                    ..Op::new(Code::Mov64X)
                });
                self.cut(size, false, SCRATCH);
            }
        }
    }

    fn store(&mut self, size: Size, base: u8, off: i32, src: Operand, frame: bool) {
        self.emit(match src {
            Operand::Imm(imm) => Op {
                dst: base,
                off,
                imm: i64::from(imm) as u64,
                ..Op::new(store_code(size, true, frame))
            },
            Operand::Reg(src) => Op {
                dst: base,
                src: number(src),
                off,
                ..Op::new(store_code(size, false, frame))
            },
        });
    }

    fn atomic(
        &mut self,
        op: AtomicOp,
        size: Size,
        base: u8,
        off: i32,
        src: u8,
    ) -> Result<(), LowerError> {
        let pick = |fetch, with, without| if fetch { with } else { without };
        let which = match op {
            AtomicOp::LoadAcquire => {
                let code = match size {
                    Size::B => Code::LdAcq8,
                    Size::H => Code::LdAcq16,
                    Size::W => Code::LdAcq32,
                    Size::DW => Code::LdAcq64,
                };
                self.emit(Op {
                    dst: src,
                    src: base,
                    off,
                    ..Op::new(code)
                });
                return Ok(());
            }
            AtomicOp::StoreRelease => {
                let code = match size {
                    Size::B => Code::StRel8,
                    Size::H => Code::StRel16,
                    Size::W => Code::StRel32,
                    Size::DW => Code::StRel64,
                };
                self.emit(Op {
                    dst: base,
                    src,
                    off,
                    ..Op::new(code)
                });
                return Ok(());
            }
            AtomicOp::Add { fetch } => pick(fetch, Atomic::FetchAdd, Atomic::Add),
            AtomicOp::Or { fetch } => pick(fetch, Atomic::FetchOr, Atomic::Or),
            AtomicOp::And { fetch } => pick(fetch, Atomic::FetchAnd, Atomic::And),
            AtomicOp::Xor { fetch } => pick(fetch, Atomic::FetchXor, Atomic::Xor),
            AtomicOp::Xchg => Atomic::Xchg,
            AtomicOp::CmpXchg => Atomic::CmpXchg,
        };
        let code = match size {
            Size::W => Code::Atomic32,
            Size::DW => Code::Atomic64,
            Size::B | Size::H => {
                return Err(self.unresolved("an atomic operation on less than 4 bytes"));
            }
        };
        self.emit(Op {
            dst: base,
            src,
            off,
            imm: which as u64,
            ..Op::new(code)
        });
        Ok(())
    }
}

/// Whether bytes at an offset from a register lie in a frame of so many bytes.
#[inline(always)]
pub(super) fn is_in_frame(frame: i32, base: u8, offset: i32, bytes: i32) -> bool {
    (base == FRAME) & (offset >= -frame) & (offset + bytes <= 0)
}
