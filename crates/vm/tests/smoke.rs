//! Programs built from instructions, run in a cage.
use panal_isa::*;
use panal_maps::Cage;
use panal_vm::*;

struct Nothing;
impl Linkage for Nothing {
    fn helper(&self, _: u32) -> Option<HelperFn> {
        None
    }
    fn kfunc(&self, _: u32) -> Option<KfuncLink> {
        None
    }
    fn map(&self, _: u32) -> Option<MapLink> {
        None
    }
    fn variable(&self, _: u32) -> Option<u64> {
        None
    }
    fn context_access(&self, _: u32, _: Size, _: bool) -> Option<ContextAccess> {
        None
    }
    fn socket_access(&self, _: u32, _: Size, _: bool) -> Option<ContextAccess> {
        None
    }
}

#[test]
fn sum_loop() {
    use Instruction::*;
    let k = |dst, op, imm| Alu {
        width: Width::W64,
        op,
        dst,
        src: Operand::Imm(imm),
    };
    let x = |dst, op, src| Alu {
        width: Width::W64,
        op,
        dst,
        src: Operand::Reg(src),
    };
    let code = Code::from_instructions([
        k(Reg::R0, AluOp::Mov, 0),
        k(Reg::R1, AluOp::Mov, 10_000_000),
        x(Reg::R0, AluOp::Add, Reg::R1),
        x(Reg::R2, AluOp::Mov, Reg::R0),
        k(Reg::R2, AluOp::And, 0xff),
        k(Reg::R1, AluOp::Sub, 1),
        Branch {
            width: Width::W64,
            cond: Condition::Ne,
            dst: Reg::R1,
            src: Operand::Imm(0),
            offset: -5,
        },
        Exit,
    ]);
    let exe = unsafe { Executable::from_unproven("sum", code.slots(), &Nothing) }.unwrap();
    let cage = Cage::largest().unwrap();
    let stack = cage.allocate(16 << 10, 16).unwrap();
    let mut run = unsafe {
        Run::new(
            cage.base(),
            cage.size(),
            stack.address(),
            stack.len() as u64,
        )
    };
    let t = std::time::Instant::now();
    assert_eq!(exe.run(&mut run, 0), Ok(10_000_000u64 * 10_000_001 / 2));
    println!("{} ns/op", t.elapsed().as_nanos() as f64 / 5e7);
    run.budget = 1000;
    assert!(matches!(exe.run(&mut run, 0), Err(Stop::Budget { .. })));
}
