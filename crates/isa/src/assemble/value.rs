//! What stands on the right of `r1 =`.

use alloc::{borrow::ToOwned, format};

use super::{
    error::AssembleErrorKind,
    line::{Line, Pending},
    scan::Result,
};
use crate::{
    AluOp, AtomicOp, ByteOrder, Imm64, Instruction, Operand, PacketMode, Reg, Size, Width,
};

impl Line<'_, '_> {
    /// What follows `r1 =`.
    pub(super) fn right_side(&mut self, width: Width, dst: Reg) -> Result<Instruction> {
        let column = self.scan.column();
        let word = self.scan.peek_word();
        if word.is_empty() {
            return match self.scan.rest().as_bytes().first() {
                Some(b'*') => {
                    self.scan.eat("*");
                    self.load(width, dst)
                }
                Some(b'(') => self.sign_extension(width, dst),
                Some(b'-') => {
                    let start = self.scan.clone();
                    self.scan.eat("-");
                    if self.scan.peek_word().starts_with(['r', 'w']) {
                        self.same(width, dst)?;
                        return Ok(Instruction::Neg { width, dst });
                    }
                    self.scan = start;
                    self.constant(width, dst)
                }
                _ => self.scan.fail("a value"),
            };
        }
        if let Some((order, size)) = byte_order(word) {
            self.scan.word();
            self.wide_only(width, column)?;
            self.same(Width::W64, dst)?;
            return Ok(Instruction::Endian { order, size, dst });
        }
        match word {
            "addr_space_cast" => {
                self.scan.word();
                self.addr_space_cast(dst)
            }
            "map" | "btf_var" | "subprog" => {
                self.scan.word();
                let imm = self.pseudo(word)?;
                self.scan.eat_word("ll");
                Ok(Instruction::LoadImm64 { dst, imm })
            }
            "load_acquire" => {
                self.scan.word();
                self.scan.expect("(")?;
                let (size, base, offset) = self.memory()?;
                self.scan.expect(")")?;
                Ok(Instruction::Atomic {
                    op: AtomicOp::LoadAcquire,
                    size,
                    base,
                    offset,
                    src: dst,
                })
            }
            _ if word.starts_with("atomic") || word.contains("xchg") => {
                self.scan.word();
                self.fetching(word, dst, column)
            }
            _ if word.starts_with(['r', 'w']) => {
                let src = Operand::Reg(self.reg(width)?);
                Ok(Instruction::Alu {
                    width,
                    op: AluOp::Mov,
                    dst,
                    src,
                })
            }
            _ => self.constant(width, dst),
        }
    }

    /// The operand must be the destination itself.
    fn same(&mut self, width: Width, dst: Reg) -> Result<()> {
        let column = self.scan.column();
        if self.reg(width)? == dst {
            return Ok(());
        }
        Err(AssembleErrorKind::NotSameRegister.at(column))
    }

    fn wide_only(&mut self, width: Width, column: usize) -> Result<()> {
        if width == Width::W64 {
            return Ok(());
        }
        Err(AssembleErrorKind::NoSuchSize("w registers").at(column))
    }

    /// A number: 64 bits wide with `ll` behind or the kernel's `(18)` in front.
    fn constant(&mut self, width: Width, dst: Reg) -> Result<Instruction> {
        let start = self.scan.clone();
        let column = self.scan.column();
        let value = self.scan.number()?;
        let long = self.scan.eat_word("ll") || self.opcode == Some(crate::opcode::LD_IMM64);
        if !long {
            self.scan = start;
            let src = Operand::Imm(self.imm32(width)?);
            return Ok(Instruction::Alu {
                width,
                op: AluOp::Mov,
                dst,
                src,
            });
        }
        self.wide_only(width, column)?;
        let value = u64::try_from(value)
            .or_else(|_| i64::try_from(value).map(|v| v as u64))
            .map_err(|_| {
                let (min, max) = (i64::MIN, i64::MAX);
                AssembleErrorKind::OutOfRange {
                    value,
                    field: "64 bits",
                    min,
                    max,
                }
                .at(column)
            })?;
        Ok(Instruction::LoadImm64 {
            dst,
            imm: Imm64::Value(value),
        })
    }

    /// `(s8)r2`
    fn sign_extension(&mut self, width: Width, dst: Reg) -> Result<Instruction> {
        self.scan.expect("(")?;
        let column = self.scan.column();
        let (from, signed) = self.access_type()?;
        if !signed || (from == Size::W && width == Width::W32) {
            let kind =
                AssembleErrorKind::NoSuchSize("this type: moves extend s8, s16, and s32 to r");
            return Err(kind.at(column));
        }
        self.scan.expect(")")?;
        Ok(Instruction::MovSx {
            width,
            from,
            dst,
            src: self.reg(width)?,
        })
    }

    /// `(u32 *)(r2 + 4)` or `(u32 *)skb[4]`
    fn load(&mut self, width: Width, dst: Reg) -> Result<Instruction> {
        let column = self.scan.column();
        self.scan.expect("(")?;
        let (size, signed) = self.access_type()?;
        self.scan.expect("*")?;
        self.scan.expect(")")?;
        if self.scan.eat_word("skb") {
            let no = |what| Err(AssembleErrorKind::NoSuchSize(what).at(column));
            return match (dst, size, signed) {
                (_, Size::DW, _) => no("64 bits of a packet"),
                (_, _, true) => no("signed packet data"),
                (Reg::R0, ..) => self.packet(size),
                _ => {
                    Err(AssembleErrorKind::WrongWidth(format!("{dst}"), "r0".to_owned()).at(column))
                }
            };
        }
        if width == Width::W32 && (signed || size == Size::DW) {
            self.wide_only(width, column)?;
        }
        self.scan.expect("(")?;
        let (base, offset) = self.address()?;
        self.scan.expect(")")?;
        Ok(Instruction::Load {
            size,
            signed,
            dst,
            base,
            offset,
        })
    }

    fn packet(&mut self, size: Size) -> Result<Instruction> {
        self.scan.expect("[")?;
        let (mode, imm) = if self.scan.peek_word().starts_with('r') {
            let reg = self.reg(Width::W64)?;
            let imm = if self.scan.eat("+") {
                self.imm32(Width::W64)?
            } else {
                0
            };
            (PacketMode::Indirect(reg), imm)
        } else {
            (PacketMode::Absolute, self.imm32(Width::W64)?)
        };
        self.scan.expect("]")?;
        Ok(Instruction::PacketLoad { size, mode, imm })
    }

    fn addr_space_cast(&mut self, dst: Reg) -> Result<Instruction> {
        self.scan.expect("(")?;
        let src = self.reg(Width::W64)?;
        self.scan.expect(",")?;
        let to = self
            .scan
            .number_in("an address space", 0, i64::from(u16::MAX))? as u16;
        self.scan.expect(",")?;
        let from = self
            .scan
            .number_in("an address space", 0, i64::from(u16::MAX))? as u16;
        self.scan.expect(")")?;
        Ok(Instruction::AddrSpaceCast { dst, src, to, from })
    }

    /// The atomics that give a value, by either dialect's name.
    fn fetching(&mut self, name: &str, dst: Reg, column: usize) -> Result<Instruction> {
        let by_name = match name {
            "xchg_64" => Some((AtomicOp::Xchg, Size::DW)),
            "xchg32_32" => Some((AtomicOp::Xchg, Size::W)),
            "cmpxchg_64" => Some((AtomicOp::CmpXchg, Size::DW)),
            "cmpxchg32_32" => Some((AtomicOp::CmpXchg, Size::W)),
            _ => None,
        };
        let kernel = name
            .strip_prefix("atomic64_")
            .or_else(|| name.strip_prefix("atomic_"));
        let op = match (by_name, kernel) {
            (Some((op, _)), _) => op,
            (_, Some("xchg")) => AtomicOp::Xchg,
            (_, Some("cmpxchg")) => AtomicOp::CmpXchg,
            (_, Some("fetch_add")) => AtomicOp::Add { fetch: true },
            (_, Some("fetch_or")) => AtomicOp::Or { fetch: true },
            (_, Some("fetch_and")) => AtomicOp::And { fetch: true },
            (_, Some("fetch_xor")) => AtomicOp::Xor { fetch: true },
            _ => {
                let found = format!("`{name}`");
                return Err(AssembleErrorKind::Expected {
                    expected: "a value",
                    found,
                }
                .at(column));
            }
        };
        self.scan.expect("(")?;
        let (size, base, offset) = match by_name {
            Some((_, size)) => {
                let (base, offset) = self.address()?;
                (size, base, offset)
            }
            None => self.memory()?,
        };
        self.atomic_size(column, size)?;
        self.scan.expect(",")?;
        let mut src = self.value(size)?;
        if op == AtomicOp::CmpXchg {
            if src != Reg::R0 || dst != Reg::R0 {
                return Err(AssembleErrorKind::NotSameRegister.at(column));
            }
            self.scan.expect(",")?;
            src = self.value(size)?;
        } else if src != dst {
            return Err(AssembleErrorKind::NotSameRegister.at(column));
        }
        self.scan.expect(")")?;
        Ok(Instruction::Atomic {
            op,
            size,
            base,
            offset,
            src,
        })
    }

    /// What stands in brackets after `map`, `btf_var` or `subprog`.
    fn pseudo(&mut self, kind: &str) -> Result<Imm64> {
        self.scan.expect("[")?;
        let column = self.scan.column();
        let Some(inside) = self.scan.until(']') else {
            return self.scan.fail("`]`");
        };
        let wrong = |expected| {
            let found = format!("`{inside}`");
            AssembleErrorKind::Expected { expected, found }.at(column)
        };
        match kind {
            "map" => {
                let map = self.map(inside, column)?;
                self.map_value(map)
            }
            "btf_var" => {
                let (id, object) = inside.split_once('@').unwrap_or((inside, "0"));
                match (id.parse(), object.parse()) {
                    (Ok(id), Ok(object)) => Ok(Imm64::BtfVar { id, object }),
                    _ => Err(wrong("a BTF id, or id@descriptor")),
                }
            }
            _ if inside.starts_with(['+', '-']) => inside
                .parse()
                .map(Imm64::Func)
                .map_err(|_| wrong("a number of slots or a label")),
            _ => {
                self.pending = Some(Pending {
                    label: inside,
                    column,
                });
                Ok(Imm64::Func(0))
            }
        }
    }

    fn map(&mut self, inside: &str, column: usize) -> Result<Imm64> {
        let known = match inside.split_once(':') {
            Some(("fd", number)) => number.trim().parse().ok().map(Imm64::MapFd),
            Some(("idx", number)) => number.trim().parse().ok().map(Imm64::MapIndex),
            _ => self.symbols.map(inside),
        };
        known.ok_or_else(|| AssembleErrorKind::UnknownMap(inside.to_owned()).at(column))
    }

    /// `[0]+8` after a map: the address of its value.
    fn map_value(&mut self, map: Imm64) -> Result<Imm64> {
        if !self.scan.eat("[0]") {
            return Ok(map);
        }
        let offset = match self.scan.eat("+") {
            true => self
                .scan
                .number_in("an offset of 32 bits", 0, i64::from(u32::MAX))?
                as u32,
            false => 0,
        };
        Ok(match map {
            Imm64::MapFd(fd) => Imm64::MapValue { fd, offset },
            Imm64::MapIndex(index) => Imm64::MapIndexValue { index, offset },
            other => other,
        })
    }
}

/// `be16`, `le32`, `bswap64`, …
fn byte_order(word: &str) -> Option<(ByteOrder, Size)> {
    let digits = word.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let order = match word.strip_suffix(digits)? {
        "be" => ByteOrder::Big,
        "le" => ByteOrder::Little,
        "bswap" => ByteOrder::Swap,
        _ => return None,
    };
    let size = match digits {
        "16" => Size::H,
        "32" => Size::W,
        "64" => Size::DW,
        _ => return None,
    };
    Some((order, size))
}
