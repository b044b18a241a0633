//! What instructions mean: the typed form that every later stage works on.

/// A register that a program may name: `r0` to `r10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reg(u8);

impl Reg {
    /// Return value of calls and programs.
    pub const R0: Reg = Reg(0);
    /// First argument; the context at entry.
    pub const R1: Reg = Reg(1);
    /// Second argument.
    pub const R2: Reg = Reg(2);
    /// Third argument.
    pub const R3: Reg = Reg(3);
    /// Fourth argument.
    pub const R4: Reg = Reg(4);
    /// Fifth argument.
    pub const R5: Reg = Reg(5);
    /// First callee-saved register.
    pub const R6: Reg = Reg(6);
    /// Callee-saved.
    pub const R7: Reg = Reg(7);
    /// Callee-saved.
    pub const R8: Reg = Reg(8);
    /// Last callee-saved register.
    pub const R9: Reg = Reg(9);
    /// Frame pointer, read only.
    pub const R10: Reg = Reg(10);
    /// How many registers there are.
    pub const COUNT: usize = 11;

    /// The register of this number, if there is one.
    #[inline]
    pub const fn new(number: u8) -> Option<Reg> {
        if number <= 10 {
            Some(Reg(number))
        } else {
            None
        }
    }

    /// 0 to 10.
    #[inline]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// 0 to 10, to index a register file.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Operand width of arithmetic and conditional jumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// 32 bits: the upper half of the destination becomes zero.
    W32,
    /// 64 bits.
    W64,
}

/// Size of a memory access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Size {
    /// One byte.
    B,
    /// Two bytes.
    H,
    /// Four bytes.
    W,
    /// Eight bytes.
    DW,
}

impl Size {
    /// Every size, smallest first.
    pub const ALL: [Size; 4] = [Size::B, Size::H, Size::W, Size::DW];

    /// 1, 2, 4 or 8.
    #[inline]
    pub const fn bytes(self) -> u32 {
        match self {
            Size::B => 1,
            Size::H => 2,
            Size::W => 4,
            Size::DW => 8,
        }
    }
}

/// The second operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// A register.
    Reg(Reg),
    /// An immediate, sign-extended to 64 bits where the operation is that wide.
    Imm(i32),
}

/// Arithmetic that combines destination and source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AluOp {
    /// Addition.
    Add,
    /// Subtraction.
    Sub,
    /// Multiplication.
    Mul,
    /// Unsigned division; by zero gives 0.
    Div,
    /// Signed division; by zero gives 0, MIN / -1 gives MIN.
    SDiv,
    /// Unsigned remainder; by zero leaves the destination.
    Mod,
    /// Signed remainder; by zero leaves the destination, MIN % -1 gives 0.
    SMod,
    /// Bitwise or.
    Or,
    /// Bitwise and.
    And,
    /// Bitwise exclusive or.
    Xor,
    /// Shift left; the amount is masked to the width.
    Lsh,
    /// Logical shift right; the amount is masked to the width.
    Rsh,
    /// Arithmetic shift right; the amount is masked to the width.
    Arsh,
    /// Copy.
    Mov,
}

impl AluOp {
    /// Every operation.
    pub const ALL: [AluOp; 14] = [
        AluOp::Add,
        AluOp::Sub,
        AluOp::Mul,
        AluOp::Div,
        AluOp::SDiv,
        AluOp::Mod,
        AluOp::SMod,
        AluOp::Or,
        AluOp::And,
        AluOp::Xor,
        AluOp::Lsh,
        AluOp::Rsh,
        AluOp::Arsh,
        AluOp::Mov,
    ];
}

/// What an endianness instruction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// Host to little endian: truncates on a little-endian host.
    Little,
    /// Host to big endian: swaps and truncates on a little-endian host.
    Big,
    /// Unconditional swap (`bswap`, version 4).
    Swap,
}

/// Condition of a jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `&`: any common bit set.
    Set,
    /// Unsigned `>`
    Gt,
    /// Unsigned `>=`
    Ge,
    /// Unsigned `<`
    Lt,
    /// Unsigned `<=`
    Le,
    /// Signed `>`
    SGt,
    /// Signed `>=`
    SGe,
    /// Signed `<`
    SLt,
    /// Signed `<=`
    SLe,
}

impl Condition {
    /// Every condition.
    pub const ALL: [Condition; 11] = [
        Condition::Eq,
        Condition::Ne,
        Condition::Set,
        Condition::Gt,
        Condition::Ge,
        Condition::Lt,
        Condition::Le,
        Condition::SGt,
        Condition::SGe,
        Condition::SLt,
        Condition::SLe,
    ];
}

/// Atomic operation on memory; `W` or `DW` except where said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AtomicOp {
    /// `lock *p += src`; with fetch the old value goes to `src`.
    Add {
        /// Whether the old value is returned in `src`.
        fetch: bool,
    },
    /// `lock *p |= src`
    Or {
        /// Whether the old value is returned in `src`.
        fetch: bool,
    },
    /// `lock *p &= src`
    And {
        /// Whether the old value is returned in `src`.
        fetch: bool,
    },
    /// `lock *p ^= src`
    Xor {
        /// Whether the old value is returned in `src`.
        fetch: bool,
    },
    /// Exchange with `src`.
    Xchg,
    /// Compare with `r0`, store `src` if equal; the old value goes to `r0`.
    CmpXchg,
    /// Load with acquire ordering into the *destination* register, any size. `base` is the source.
    LoadAcquire,
    /// Store `src` with release ordering, any size.
    StoreRelease,
}

/// What a 64-bit immediate load puts into its register (RFC 9669 section 5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Imm64 {
    /// A number.
    Value(u64),
    /// A map by file descriptor (`BPF_PSEUDO_MAP_FD`).
    MapFd(i32),
    /// The address `offset` bytes into the first value of a map (`BPF_PSEUDO_MAP_VALUE`).
    MapValue {
        /// Descriptor of the map.
        fd: i32,
        /// Bytes into the value.
        offset: u32,
    },
    /// A kernel variable by BTF id (`BPF_PSEUDO_BTF_ID`); `object` is 0 for vmlinux.
    BtfVar {
        /// BTF id of the variable.
        id: u32,
        /// Descriptor of the module's BTF, 0 for the kernel itself.
        object: i32,
    },
    /// The address of a subprogram, in slots from the load's own second slot (`BPF_PSEUDO_FUNC`).
    Func(i32),
    /// A map by index into the load's descriptor array (`BPF_PSEUDO_MAP_IDX`).
    MapIndex(u32),
    /// A map value by index into the load's descriptor array (`BPF_PSEUDO_MAP_IDX_VALUE`).
    MapIndexValue {
        /// Index into the descriptor array.
        index: u32,
        /// Bytes into the value.
        offset: u32,
    },
}

/// Whom a call calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallTarget {
    /// A helper by number.
    Helper(u32),
    /// A subprogram, relative to the next slot.
    Local(i32),
    /// A kernel function by BTF id; `object` indexes the load's BTF descriptor array, 0 is vmlinux.
    Kfunc {
        /// BTF id of the function.
        id: i32,
        /// Index into the descriptor array.
        object: i16,
    },
    /// The function whose number a register holds (`callx`); Linux refuses it.
    Reg(Reg),
}

/// Legacy packet access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PacketMode {
    /// At a fixed offset.
    Absolute,
    /// At a register plus a fixed offset.
    Indirect(Reg),
}

/// A decoded instruction. Jump offsets count slots from the following instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Instruction {
    /// `dst = dst op src`; for [`AluOp::Mov`], `dst = src`.
    Alu {
        /// Operand width.
        width: Width,
        /// Operation.
        op: AluOp,
        /// Destination.
        dst: Reg,
        /// Second operand.
        src: Operand,
    },
    /// `dst = -dst`
    Neg {
        /// Operand width.
        width: Width,
        /// Destination.
        dst: Reg,
    },
    /// `dst = (sN)src`: move with sign extension from 8, 16 or (64-bit only) 32 bits.
    MovSx {
        /// Width of the result.
        width: Width,
        /// How much of the source is taken: `B`, `H` or `W`.
        from: Size,
        /// Destination.
        dst: Reg,
        /// Source.
        src: Reg,
    },
    /// `dst = addr_space_cast(src, ...)`: `mov` with offset 1 (arena).
    AddrSpaceCast {
        /// Destination.
        dst: Reg,
        /// Source.
        src: Reg,
        /// Destination address space.
        to: u16,
        /// Source address space.
        from: u16,
    },
    /// Byte order conversion of the low 16, 32 or 64 bits.
    Endian {
        /// What is done.
        order: ByteOrder,
        /// `H`, `W` or `DW`.
        size: Size,
        /// Destination.
        dst: Reg,
    },
    /// `dst = imm ll`; fills two slots.
    LoadImm64 {
        /// Destination.
        dst: Reg,
        /// What is loaded.
        imm: Imm64,
    },
    /// `dst = *(size *)(base + offset)`
    Load {
        /// Size of the access.
        size: Size,
        /// Whether the value is sign-extended (`ldsx`; never for `DW`).
        signed: bool,
        /// Destination.
        dst: Reg,
        /// Address.
        base: Reg,
        /// Bytes added to the address.
        offset: i16,
    },
    /// `*(size *)(base + offset) = src`
    Store {
        /// Size of the access.
        size: Size,
        /// Address.
        base: Reg,
        /// Bytes added to the address.
        offset: i16,
        /// What is stored.
        src: Operand,
    },
    /// Atomic operation on `*(size *)(base + offset)`.
    Atomic {
        /// Operation.
        op: AtomicOp,
        /// Size of the access.
        size: Size,
        /// Address.
        base: Reg,
        /// Bytes added to the address.
        offset: i16,
        /// Operand; the destination for [`AtomicOp::LoadAcquire`].
        src: Reg,
    },
    /// `r0 = *(size *)skb[...]`, clobbers `r1` to `r5` (RFC 9669 section 5.5).
    PacketLoad {
        /// `B`, `H` or `W`.
        size: Size,
        /// Where.
        mode: PacketMode,
        /// Fixed offset.
        imm: i32,
    },
    /// `goto`; `gotol` when the offset stood in the immediate.
    Jump {
        /// Slots from the following instruction.
        offset: i32,
        /// Whether the 32-bit form is meant.
        long: bool,
    },
    /// `if dst cond src goto`
    Branch {
        /// Operand width.
        width: Width,
        /// Condition.
        cond: Condition,
        /// Left side.
        dst: Reg,
        /// Right side.
        src: Operand,
        /// Slots from the following instruction.
        offset: i16,
    },
    /// `may_goto`: leaves the loop when its budget is used up.
    MayGoto {
        /// Slots from the following instruction.
        offset: i16,
    },
    /// `call`
    Call(CallTarget),
    /// `exit`
    Exit,
}

impl Instruction {
    /// How many slots it fills: 1 or 2.
    #[inline]
    pub const fn slots(&self) -> usize {
        match self {
            Instruction::LoadImm64 { .. } => 2,
            _ => 1,
        }
    }
}
