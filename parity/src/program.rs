//! A generated program as a tree: so that it can be shrunk by leaving parts out, and still flatten
//! to code whose jumps fit.

use std::fmt::Write;

use panal_isa::{
    AluOp, CallTarget, Code, Condition, Imm64, Instruction, Operand, Reg, Size, Width,
};
use panal_uapi::ProgType;

/// A condition with its operands.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// Operand width.
    pub width: Width,
    /// What is compared.
    pub cond: Condition,
    /// Left side.
    pub dst: Reg,
    /// Right side.
    pub src: Operand,
}

/// A part of a program. Maps and functions are given by index.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // each says what its fields are
pub enum Item {
    /// A plain instruction: no jump, no call of a subprogram.
    Op(Instruction),
    /// `dst = map[index] ll`
    Map { dst: Reg, map: usize },
    /// `dst = address of the first value of map[index] + offset`
    MapValue { dst: Reg, map: usize, offset: u32 },
    /// Runs one of two branches.
    If {
        test: Test,
        then: Vec<Item>,
        otherwise: Vec<Item>,
    },
    /// Runs the body `times` times, counting in a register.
    Loop {
        counter: Reg,
        times: i32,
        body: Vec<Item>,
    },
    /// Leaves the function when the test holds.
    Leave(Test),
    /// Repeats the body until a counter says so, or until the kernel's patience ends.
    MayLoop {
        counter: Reg,
        times: i32,
        body: Vec<Item>,
    },
    /// Repeats the body for the numbers of an iterator, which lives that far below the frame pointer.
    Iterate {
        slot: i16,
        times: i32,
        body: Vec<Item>,
    },
    /// Calls a subprogram.
    Call(usize),
    /// `dst = address of a subprogram`, to be called back.
    Function { dst: Reg, function: usize },
    /// Several parts that make sense only together.
    Group(Vec<Item>),
    /// Several parts of which none may be missing: what runs would depend on more than the input.
    Whole(Vec<Item>),
}

/// A map that a program may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapShape {
    /// What it is.
    pub map_type: panal_uapi::MapType,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Capacity.
    pub max_entries: u32,
}

/// Kernel functions, by the index that stands for them in a program without a kernel.
pub const KFUNCS: &[&str] = &[
    "bpf_iter_num_new",
    "bpf_iter_num_next",
    "bpf_iter_num_destroy",
];

/// What a function is to whom calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The program itself.
    Main,
    /// Verified where it is called.
    Static,
    /// Verified on its own, for all arguments.
    Global,
    /// Called back by a helper: returns 0 to go on, 1 to stop.
    Callback,
}

/// A whole program; function 0 is the main one.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its type.
    pub prog_type: ProgType,
    /// The bodies of its functions.
    pub functions: Vec<Vec<Item>>,
    /// What each of them is.
    pub roles: Vec<Role>,
    /// A map of one value, whose last eight bytes keep the result where a return value would be too
    /// narrow for it.
    pub keep: Option<usize>,
    /// Whether it has no wild parts, which a careful programmer would not write.
    pub careful: bool,
}

/// Bytes below the frame pointer that every function zeroes at its start.
pub const SCRATCH: i16 = 64;
/// Where the result stands in a value that keeps it.
pub const KEPT: u32 = 56;
/// Where a function collects what it returns.
pub const RESULT: i16 = -8;

struct Flat {
    code: Vec<Instruction>,
    /// Instructions that are to jump to the end of the function.
    leaves: Vec<usize>,
    /// Instructions that call or take the address: (instruction, function).
    calls: Vec<(usize, usize)>,
    slots: usize,
    starts: Vec<usize>,
}

/// Code, and where each function begins.
#[derive(Clone, Debug)]
pub struct Flattened {
    /// Map references and kernel functions are indexes; slot offsets are final.
    pub code: Code,
    /// The first slot of each function.
    pub starts: Vec<usize>,
}

impl Program {
    /// Code with map references as indexes: slot offsets are final.
    pub fn flatten(&self) -> Option<Code> {
        self.flattened().map(|flattened| flattened.code)
    }

    /// Code with the places of its functions.
    pub fn flattened(&self) -> Option<Flattened> {
        let mut flat = Flat {
            code: Vec::new(),
            leaves: Vec::new(),
            calls: Vec::new(),
            slots: 0,
            starts: Vec::new(),
        };
        for (index, body) in self.functions.iter().enumerate() {
            flat.starts.push(flat.slots);
            let role = self.roles.get(index).copied()?;
            flat.prologue(role == Role::Main);
            flat.items(body)?;
            flat.epilogue(role, self.keep)?;
        }
        let mut slot_of = Vec::with_capacity(flat.code.len());
        let mut slot = 0;
        for instruction in &flat.code {
            slot_of.push(slot);
            slot += instruction.slots();
        }
        for (at, function) in flat.calls {
            let start = *flat.starts.get(function)?;
            let offset = start as i64 - (slot_of[at] as i64 + 1);
            let offset = i32::try_from(offset).ok()?;
            flat.code[at] = match flat.code[at] {
                Instruction::LoadImm64 { dst, .. } => Instruction::LoadImm64 {
                    dst,
                    imm: Imm64::Func(offset),
                },
                _ => Instruction::Call(CallTarget::Local(offset)),
            };
        }
        Some(Flattened {
            code: Code::from_instructions(flat.code),
            starts: flat.starts,
        })
    }

    /// Whether a function that is called back has a loop that may not end: walking such loops,
    /// Linux 6.18's verifier follows a register into a frame that is not there, and the kernel
    /// kills the thread that asked.
    pub fn endangers_linux(&self) -> bool {
        fn has_loop(items: &[Item]) -> bool {
            items.iter().any(|item| match item {
                Item::MayLoop { .. } | Item::Iterate { .. } => true,
                Item::If {
                    then, otherwise, ..
                } => has_loop(then) || has_loop(otherwise),
                Item::Loop { body, .. } => has_loop(body),
                Item::Group(parts) | Item::Whole(parts) => has_loop(parts),
                _ => false,
            })
        }
        let mut functions = self.functions.iter().zip(&self.roles);
        functions.any(|(body, role)| *role == Role::Callback && has_loop(body))
    }

    /// Assembly text with one instruction a line.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Some(code) = self.flatten() {
            for (slot, instruction) in code.iter() {
                let _ = writeln!(text, "{slot:4}: {instruction}");
            }
        }
        text
    }

    /// How many parts it has, however nested.
    pub fn size(&self) -> usize {
        fn count(items: &[Item]) -> usize {
            items
                .iter()
                .map(|item| match item {
                    Item::If {
                        then, otherwise, ..
                    } => 1 + count(then) + count(otherwise),
                    Item::Loop { body, .. }
                    | Item::MayLoop { body, .. }
                    | Item::Iterate { body, .. } => 1 + count(body),
                    Item::Group(parts) | Item::Whole(parts) => 1 + count(parts),
                    _ => 1,
                })
                .sum()
        }
        self.functions.iter().map(|f| count(f)).sum()
    }
}

fn mov(dst: Reg, src: Operand) -> Instruction {
    Instruction::Alu {
        width: Width::W64,
        op: AluOp::Mov,
        dst,
        src,
    }
}

impl Flat {
    fn push(&mut self, instruction: Instruction) -> usize {
        self.slots += instruction.slots();
        self.code.push(instruction);
        self.code.len() - 1
    }

    fn prologue(&mut self, main: bool) {
        if main {
            self.push(mov(Reg::R6, Operand::Reg(Reg::R1)));
        }
        let mut offset = -8;
        while offset >= -SCRATCH {
            self.push(Instruction::Store {
                size: Size::DW,
                base: Reg::R10,
                offset,
                src: Operand::Imm(0),
            });
            offset -= 8;
        }
    }

    fn epilogue(&mut self, role: Role, keep: Option<usize>) -> Option<()> {
        for at in std::mem::take(&mut self.leaves) {
            self.land(at)?;
        }
        self.push(Instruction::Load {
            size: Size::DW,
            signed: false,
            dst: Reg::R0,
            base: Reg::R10,
            offset: RESULT,
        });
        if let (Role::Main, Some(map)) = (role, keep) {
            self.push(Instruction::LoadImm64 {
                dst: Reg::R1,
                imm: Imm64::MapIndexValue {
                    index: map as u32,
                    offset: KEPT,
                },
            });
            self.push(Instruction::Store {
                size: Size::DW,
                base: Reg::R1,
                offset: 0,
                src: Operand::Reg(Reg::R0),
            });
        }
        if role == Role::Callback || (role == Role::Main && keep.is_some()) {
            self.push(Instruction::Alu {
                width: Width::W64,
                op: AluOp::And,
                dst: Reg::R0,
                src: Operand::Imm(1),
            });
        }
        self.push(Instruction::Exit);
        Some(())
    }

    /// Makes the jump at `at` land here.
    fn land(&mut self, at: usize) -> Option<()> {
        let after: usize = self.code[at + 1..].iter().map(Instruction::slots).sum();
        let distance = i16::try_from(after).ok()?;
        match &mut self.code[at] {
            Instruction::Branch { offset, .. } => *offset = distance,
            Instruction::MayGoto { offset } => *offset = distance,
            Instruction::Jump { offset, .. } => *offset = i32::from(distance),
            _ => return None,
        }
        Some(())
    }

    fn branch(&mut self, test: Test) -> usize {
        self.push(Instruction::Branch {
            width: test.width,
            cond: test.cond,
            dst: test.dst,
            src: test.src,
            offset: 0,
        })
    }

    fn items(&mut self, items: &[Item]) -> Option<()> {
        for item in items {
            self.item(item)?;
        }
        Some(())
    }

    fn item(&mut self, item: &Item) -> Option<()> {
        match item {
            Item::Op(instruction) => {
                self.push(*instruction);
            }
            Item::Map { dst, map } => {
                let imm = Imm64::MapIndex(*map as u32);
                self.push(Instruction::LoadImm64 { dst: *dst, imm });
            }
            Item::MapValue { dst, map, offset } => {
                let imm = Imm64::MapIndexValue {
                    index: *map as u32,
                    offset: *offset,
                };
                self.push(Instruction::LoadImm64 { dst: *dst, imm });
            }
            Item::If {
                test,
                then,
                otherwise,
            } => {
                let to_then = self.branch(*test);
                self.items(otherwise)?;
                // Both forms of a jump: which one, the test's own constant says.
                let long = matches!(test.src, Operand::Imm(imm) if imm & 3 == 2);
                let over = self.push(Instruction::Jump { offset: 0, long });
                self.land(to_then)?;
                self.items(then)?;
                self.land(over)?;
            }
            Item::Loop {
                counter,
                times,
                body,
            } => {
                self.push(mov(*counter, Operand::Imm(0)));
                let top = self.slots;
                self.items(body)?;
                self.again(*counter, Condition::Lt, *times, top)?;
            }
            Item::Leave(test) => {
                let at = self.branch(*test);
                self.leaves.push(at);
            }
            Item::MayLoop {
                counter,
                times,
                body,
            } => {
                self.push(mov(*counter, Operand::Imm(0)));
                let top = self.slots;
                let out = self.push(Instruction::MayGoto { offset: 0 });
                self.items(body)?;
                self.again(*counter, Condition::Ne, *times, top)?;
                self.land(out)?;
            }
            Item::Iterate { slot, times, body } => self.iterate(*slot, *times, body)?,
            Item::Function { dst, function } => {
                let imm = Imm64::Func(0);
                let at = self.push(Instruction::LoadImm64 { dst: *dst, imm });
                self.calls.push((at, *function));
            }
            Item::Call(function) => {
                let at = self.push(Instruction::Call(CallTarget::Local(0)));
                self.calls.push((at, *function));
            }
            Item::Group(parts) | Item::Whole(parts) => self.items(parts)?,
        }
        Some(())
    }

    /// The end of a loop's body: one round more has been, and back to `top` under the condition.
    fn again(&mut self, counter: Reg, cond: Condition, times: i32, top: usize) -> Option<()> {
        self.push(Instruction::Alu {
            width: Width::W64,
            op: AluOp::Add,
            dst: counter,
            src: Operand::Imm(1),
        });
        let back = top as i64 - (self.slots as i64 + 1);
        self.push(Instruction::Branch {
            width: Width::W64,
            cond,
            dst: counter,
            src: Operand::Imm(times),
            offset: i16::try_from(back).ok()?,
        });
        Some(())
    }

    /// `bpf_for`: an early end of the function ends the loop first.
    fn iterate(&mut self, slot: i16, times: i32, body: &[Item]) -> Option<()> {
        let call = |id| Instruction::Call(CallTarget::Kfunc { id, object: 0 });
        self.iterator(slot);
        self.push(mov(Reg::R2, Operand::Imm(0)));
        self.push(mov(Reg::R3, Operand::Imm(times)));
        self.push(call(0));
        let top = self.slots;
        self.iterator(slot);
        self.push(call(1));
        let end = self.branch(Test {
            width: Width::W64,
            cond: Condition::Eq,
            dst: Reg::R0,
            src: Operand::Imm(0),
        });
        self.push(Instruction::Load {
            size: Size::W,
            signed: true,
            dst: Reg::R0,
            base: Reg::R0,
            offset: 0,
        });
        let outer = std::mem::take(&mut self.leaves);
        self.items(body)?;
        let back = top as i64 - (self.slots as i64 + 1);
        self.push(Instruction::Jump {
            offset: i32::try_from(back).ok()?,
            long: i16::try_from(back).is_err(),
        });
        for at in std::mem::replace(&mut self.leaves, outer) {
            self.land(at)?;
        }
        self.land(end)?;
        self.iterator(slot);
        self.push(call(2));
        Some(())
    }

    fn iterator(&mut self, slot: i16) {
        self.push(mov(Reg::R1, Operand::Reg(Reg::R10)));
        self.push(Instruction::Alu {
            width: Width::W64,
            op: AluOp::Add,
            dst: Reg::R1,
            src: Operand::Imm(i32::from(slot)),
        });
    }
}
