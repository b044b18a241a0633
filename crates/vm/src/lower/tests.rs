//! What the lowering makes of the facts of a proof: context accesses, dead code, known branches,
//! array lookups.

extern crate std;

use alloc::vec::Vec;

use panal_isa::{Code, Size, assemble::assemble};
use panal_maps::{Block, Cage};
use panal_verifier::{Access, BranchFact, CallFact, Fact, Region};

use super::{LowerError, Source, lower};
use crate::{
    ContextAccess, Executable, IndexedValues, KeyByValue, Linkage, MapHelper, MapLink, Outcome,
    Run, Stop, op,
};

/// Helpers on maps that get a key's words, and its address.
const BY_VALUE: u32 = 2;
const BY_ADDRESS: u32 = 3;

/// A kernel whose context has fields at other places than the uapi's.
struct Kernel {
    values: u64,
}

/// The double of the word at the context's start; or keeps what is written there, plus one.
unsafe extern "C" fn computed(
    context: u64,
    value: u64,
    _: u64,
    _: u64,
    _: u64,
    _: *mut Run,
) -> u64 {
    let at = context as *mut u64;
    // SAFETY: the tests' context.
    unsafe {
        if value != 0 {
            at.write(value + 1);
        }
        at.read() * 2
    }
}

impl Linkage for Kernel {
    fn map(&self, index: u32) -> Option<MapLink> {
        (index == 0).then_some(MapLink {
            handles: None,
            inner: None,
            key: 8,
            plain: None,
            cpus: 0,
            handle: 77,
            values: self.values,
            indexed: Some(IndexedValues {
                first: self.values,
                stride: 16,
                count: 3,
                plane: 0,
            }),
        })
    }
    fn map_helper(&self, id: u32, _map: u32) -> Option<MapHelper> {
        let by_value = (id == BY_VALUE).then_some(KeyByValue {
            function: computed,
            size: 8,
            arguments: &[2],
        });
        [BY_VALUE, BY_ADDRESS].contains(&id).then_some(MapHelper {
            function: computed,
            data: 0,
            by_value,
        })
    }
    fn context_access(&self, offset: u32, _size: Size, _write: bool) -> Option<ContextAccess> {
        Some(match offset {
            0 => ContextAccess::Pointer { offset: 16 },
            4 => ContextAccess::Direct {
                offset: 24,
                size: Size::DW,
                shift: 0,
            },
            8 => ContextAccess::Direct {
                offset: 24,
                size: Size::W,
                shift: 8,
            },
            12 => ContextAccess::Computed(computed),
            16 => ContextAccess::Constant(0x1_2345_6789),
            20 => ContextAccess::Direct {
                offset: 28,
                size: Size::W,
                shift: 0,
            },
            _ => return None,
        })
    }
    fn socket_access(&self, _offset: u32, _size: Size, _write: bool) -> Option<ContextAccess> {
        Some(ContextAccess::Constant(9))
    }
}

struct Bench {
    cage: std::sync::Arc<Cage>,
    stack: Block,
    context: Block,
    values: Block,
}

impl Bench {
    fn new() -> Bench {
        let cage = Cage::new(1 << 24).unwrap();
        let bench = Bench {
            stack: cage.allocate(4096, 16).unwrap(),
            context: cage.allocate(64, 16).unwrap(),
            values: cage.allocate(48, 16).unwrap(),
            cage,
        };
        let words: [u64; 4] = [5, 0, 0x7777_8888_9999_aaaa, 0x1122_3344_5566_7788];
        for (i, word) in words.into_iter().enumerate() {
            // SAFETY: inside the context.
            unsafe { bench.context.pointer().cast::<u64>().add(i).write(word) };
        }
        bench
    }

    fn word(&self, index: usize) -> u64 {
        // SAFETY: inside the context.
        unsafe { self.context.pointer().cast::<u64>().add(index).read() }
    }

    fn lower(&self, text: &str, facts: &[(usize, Fact)]) -> Result<Executable, LowerError> {
        self.lower_with(text, facts, &[])
    }

    fn lower_with(
        &self,
        text: &str,
        facts: &[(usize, Fact)],
        calls: &[(u32, CallFact)],
    ) -> Result<Executable, LowerError> {
        let slots = assemble(text, &mut ()).unwrap().slots;
        let code = Code::decode(&slots).unwrap();
        // As the verifier has it, no path reaches the second slot of a wide immediate.
        let fact = |instruction: &Option<_>| Fact {
            dead: instruction.is_none(),
            ..Fact::default()
        };
        let mut all: Vec<Fact> = code.by_slot().iter().map(fact).collect();
        for (slot, fact) in facts {
            all[*slot] = *fact;
        }
        let source = Source {
            name: "test",
            slots: &slots,
            instructions: code.by_slot(),
            facts: &all,
            calls,
            functions: [(0, 512)].into_iter().collect(),
            exception: None,
            proven: false,
            longest_run: None,
        };
        lower(
            &source,
            &Kernel {
                values: self.values.address(),
            },
        )
    }

    fn run(&self, text: &str, facts: &[(usize, Fact)]) -> Outcome {
        self.run_with(text, facts, &[])
    }

    fn run_with(&self, text: &str, facts: &[(usize, Fact)], calls: &[(u32, CallFact)]) -> Outcome {
        let executable = self.lower_with(text, facts, calls).unwrap();
        // SAFETY: cage and stack live as long as `self`.
        let mut run = unsafe {
            Run::new(
                self.cage.base(),
                self.cage.size(),
                self.stack.address(),
                4096,
            )
        };
        executable.run(&mut run, self.context.address())
    }
}

fn context(offset: i32) -> Fact {
    let access = Some(Access {
        region: Region::Context,
        offset: Some(offset),
    });
    Fact {
        access,
        ..Fact::default()
    }
}

#[test]
fn loads_from_the_context_are_translated() {
    let bench = Bench::new();
    for (instruction, offset, expected) in [
        // A pointer keeps all its bits although the uapi's field has four bytes.
        ("r0 = *(u32 *)(r1 + 0)", 0, 0x7777_8888_9999_aaaa),
        ("r0 = *(u32 *)(r1 + 4)", 4, 0x5566_7788),
        ("r0 = *(s32 *)(r1 + 4)", 4, 0x5566_7788),
        ("r0 = *(u64 *)(r1 + 4)", 4, 0x1122_3344_5566_7788),
        ("r0 = *(u8 *)(r1 + 4)", 4, 0x88),
        ("r0 = *(s8 *)(r1 + 4)", 4, 0xffff_ffff_ffff_ff88),
        ("r0 = *(u16 *)(r1 + 8)", 8, 0x6677),
        ("r0 = *(u32 *)(r1 + 8)", 8, 0x55_6677),
        ("r0 = *(u32 *)(r1 + 16)", 16, 0x2345_6789),
        ("r0 = *(u64 *)(r1 + 16)", 16, 0x1_2345_6789),
        // Not translated: the uapi's layout is the kernel's.
        ("r0 = *(u32 *)(r1 + 24)", 24, 0x5566_7788),
    ] {
        let outcome = bench.run(
            &std::format!("{instruction}\nexit"),
            &[(0, context(offset))],
        );
        assert_eq!(outcome, Ok(expected), "{instruction}");
    }
    // The base may be moved: the field counts from the structure's start.
    let outcome = bench.run("r1 += 3\nr0 = *(u32 *)(r1 + 1)\nexit", &[(1, context(4))]);
    assert_eq!(outcome, Ok(0x5566_7788));
    // The computed field is asked for with the structure's address, and clobbers nothing else.
    let text = "r2 = 3\nr1 += 8\nr3 = *(u32 *)(r1 + 4)\nr0 = r3\nr0 += r2\nexit";
    assert_eq!(bench.run(text, &[(2, context(12))]), Ok(13));
}

#[test]
fn stores_to_the_context_are_translated() {
    let bench = Bench::new();
    let store = |instruction: &str, offset| {
        let text = std::format!("r2 = -1\n{instruction}\nr0 = 0\nexit");
        assert_eq!(
            bench.run(&text, &[(1, context(offset))]),
            Ok(0),
            "{instruction}"
        );
    };
    store("*(u32 *)(r1 + 20) = w2", 20);
    assert_eq!(bench.word(3), 0xffff_ffff_5566_7788);
    // A wider field of the kernel is filled with zeros.
    store("*(u32 *)(r1 + 4) = w2", 4);
    assert_eq!(bench.word(3), 0xffff_ffff);
    store("*(u16 *)(r1 + 4) = -2", 4);
    assert_eq!(bench.word(3), 0xfffe);
    store("*(u32 *)(r1 + 12) = 41", 12);
    assert_eq!(bench.word(0), 42);
    store("*(u32 *)(r1 + 16) = w2", 16);
    assert_eq!(
        bench.word(2),
        0x7777_8888_9999_aaaa,
        "a constant field is not stored"
    );
    let error = bench
        .lower("*(u64 *)(r1 + 0) = r1\nexit", &[(0, context(0))])
        .unwrap_err();
    assert!(
        matches!(error, LowerError::Unresolved { slot: 0, .. }),
        "{error}"
    );
}

#[test]
fn foreign_objects_read_as_zero_where_nothing_is() {
    let bench = Bench::new();
    let fact = Fact {
        access: Some(Access {
            region: Region::Btf,
            offset: None,
        }),
        ..Fact::default()
    };
    let text = "r1 = 0x123456789000 ll\nr0 = *(u64 *)(r1 + 8)\nr0 += 1\nexit";
    assert_eq!(bench.run(text, &[(2, fact)]), Ok(1));
    assert!(matches!(
        bench.run(text, &[]),
        Err(Stop::Fault { slot: 2, .. })
    ));
    assert_eq!(
        bench.run("r0 = *(u64 *)(r1 + 0)\nexit", &[(0, fact)]),
        Ok(5)
    );
}

#[test]
fn dead_code_goes_and_cannot_be_reached() {
    let bench = Bench::new();
    let dead = Fact {
        dead: true,
        ..Fact::default()
    };
    let text = "r0 = 1\ngoto +1\nr0 = 2\nexit";
    assert_eq!(bench.run(text, &[(2, dead)]), Ok(1));
    assert_eq!(bench.lower(text, &[(2, dead)]).unwrap().len(), 4);
    // Should a fact be wrong, the run stops.
    assert!(matches!(
        bench.run("r0 = 1\nr0 = 2\nexit", &[(1, dead)]),
        Err(Stop::Unreachable { .. })
    ));
    assert!(matches!(
        bench.run("goto +0\nr0 = 2\nexit", &[(1, dead)]),
        Err(Stop::Unreachable { .. })
    ));
}

#[test]
fn known_branches_are_not_taken_again() {
    let bench = Bench::new();
    let branch = |branch| Fact {
        branch,
        ..Fact::default()
    };
    let text = "r0 = 1\nif r0 == 1 goto +1\nr0 = 2\nexit";
    assert_eq!(bench.run(text, &[(1, branch(BranchFact::Always))]), Ok(1));
    assert_eq!(bench.run(text, &[(1, branch(BranchFact::Never))]), Ok(2));
    assert_eq!(bench.run(text, &[(1, branch(BranchFact::Both))]), Ok(1));
}

#[test]
fn lookups_in_a_known_array_need_no_helper() {
    let bench = Bench::new();
    let call = |map| CallFact {
        map,
        ..CallFact::default()
    };
    for (index, expected) in [(0u64, 0), (2, 32), (3, u64::MAX), (0xffff_ffff, u64::MAX)] {
        let text = std::format!(
            "*(u32 *)(r10 - 4) = {}\nr2 = r10\nr2 += -4\nr1 = map[idx:0] ll\ncall 1\nexit",
            index as u32 as i32
        );
        let outcome = bench.run_with(&text, &[], &[(5, call(Some(0)))]);
        let wanted = if expected == u64::MAX {
            0
        } else {
            bench.values.address() + expected
        };
        assert_eq!(outcome, Ok(wanted), "{index}");
    }
    let error = bench.lower_with("call 1\nexit", &[], &[(0, call(None))]);
    let error = error.unwrap_err();
    assert_eq!(error, LowerError::Helper { slot: 0, id: 1 });
    let wild = "r2 = 0\ncall 1\nexit";
    assert!(matches!(
        bench.run_with(wild, &[], &[(1, call(Some(0)))]),
        Err(Stop::Fault { slot: 1, .. })
    ));
}

#[test]
fn maps_and_their_values_are_resolved() {
    let bench = Bench::new();
    assert_eq!(bench.run("r0 = map[idx:0] ll\nexit", &[]), Ok(77));
    let value = bench.run("r0 = map[idx:0][0]+20 ll\nexit", &[]);
    assert_eq!(value, Ok(bench.values.address() + 20));
    for (text, wanted) in [
        (
            "r0 = map[idx:1] ll\nexit",
            LowerError::Map { slot: 0, map: 1 },
        ),
        (
            "r0 = btf_var[3] ll\nexit",
            LowerError::Variable { slot: 0, id: 3 },
        ),
        ("call kfunc#9\nexit", LowerError::Kfunc { slot: 0, id: 9 }),
    ] {
        assert_eq!(bench.lower(text, &[]).unwrap_err(), wanted, "{text}");
    }
    for text in [
        "r0 = map[fd:3] ll\nexit",
        "callx r1\nexit",
        "r0 = *(u32 *)skb[0]\nexit",
        "call 12\nexit",
        "r1 = addr_space_cast(r1, 0, 1)\nexit",
    ] {
        let errors: Vec<LowerError> = bench.lower(text, &[]).err().into_iter().collect();
        assert!(
            matches!(
                errors[..],
                [LowerError::Unresolved { slot: 0, .. } | LowerError::Missing { slot: 0, .. }]
            ),
            "{text}: {errors:?}"
        );
    }
}

/// A key of eight bytes at -8, written by two bytes at -6 through a pointer and by four at -4, and a call.
fn call_with_key(bench: &Bench, helper: u32) -> Executable {
    let text = std::format!(
        "r7 = r10\nr7 += -16\n*(u64 *)(r10 - 8) = 0\n*(u16 *)(r7 + 10) = 5\n*(u32 *)(r10 - 4) = 6\n\
         r2 = r10\nr2 += -8\nr1 = 0\ncall {helper}\nexit"
    );
    let through_pointer = Fact {
        access: Some(Access {
            region: Region::Stack,
            offset: Some(-6),
        }),
        ..Fact::default()
    };
    let call = CallFact {
        map: Some(0),
        key_place: Some(-8),
        ..CallFact::default()
    };
    bench
        .lower_with(&text, &[(3, through_pointer)], &[(8, call)])
        .unwrap()
}

#[test]
fn keys_are_read_as_they_were_written_through_pointers() {
    let executable = call_with_key(&Bench::new(), BY_VALUE);
    let pieces: Vec<_> = executable.keys[0]
        .pieces_of(0)
        .map(|piece| (piece.at, piece.bytes))
        .collect();
    assert_eq!(pieces, [(0, 2), (2, 2), (4, 4)]);
}

#[test]
fn keys_that_are_read_by_their_address_are_joined_before() {
    use op::Code::*;
    let executable = call_with_key(&Bench::new(), BY_ADDRESS);
    let codes: Vec<_> = executable.ops.iter().map(|op| (op.code, op.off)).collect();
    let joined = [
        (LdFrame16, -8),
        (LdFrame16, -6),
        (Lsh64K, 0),
        (Or64X, 0),
        (StFrame32X, -8),
    ];
    assert!(codes.windows(5).any(|window| window == joined), "{codes:?}");
    let whole = codes.iter().filter(|(_, off)| *off == -4);
    assert_eq!(
        whole.count(),
        1,
        "four bytes that were written at once stay as they are"
    );
}
