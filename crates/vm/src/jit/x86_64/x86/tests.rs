//! Every encoding against a disassembler that is not ours.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter};

use super::*;

const ALL: [Gpr; 16] = [
    Gpr::Rax,
    Gpr::Rcx,
    Gpr::Rdx,
    Gpr::Rbx,
    Gpr::Rsp,
    Gpr::Rbp,
    Gpr::Rsi,
    Gpr::Rdi,
    Gpr::R8,
    Gpr::R9,
    Gpr::R10,
    Gpr::R11,
    Gpr::R12,
    Gpr::R13,
    Gpr::R14,
    Gpr::R15,
];

/// A register's name at a size in bytes.
fn name(gpr: Gpr, bytes: u8) -> String {
    const OLD: [&str; 8] = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"];
    let number = gpr as usize;
    match (OLD.get(number), bytes) {
        (Some(old), 8) => format!("r{old}"),
        (Some(old), 4) => format!("e{old}"),
        (Some(old), 2) => (*old).to_string(),
        (Some(old), _) if number < 4 => format!("{}l", &old[..1]),
        (Some(old), _) => format!("{old}l"),
        (None, 8) => format!("r{number}"),
        (None, 4) => format!("r{number}d"),
        (None, 2) => format!("r{number}w"),
        (None, _) => format!("r{number}b"),
    }
}

fn bytes_of(w: W) -> u8 {
    if w == W::Q { 8 } else { 4 }
}

fn at_width(gpr: Gpr, w: W) -> String {
    name(gpr, bytes_of(w))
}

/// A number as the disassembler is told to print it.
fn hex(value: i64) -> String {
    if value < 0 {
        format!("-0x{:x}", value.unsigned_abs())
    } else {
        format!("0x{value:x}")
    }
}

fn place(mem: Mem) -> String {
    let mut text = format!("[{}", name(mem.base, 8));
    if let Some(index) = mem.index {
        text += &format!("+{}", name(index, 8));
    }
    match mem.disp {
        0 => {}
        disp if disp < 0 => text += &hex(disp.into()),
        disp => text += &format!("+{}", hex(disp.into())),
    }
    text + "]"
}

/// Memory operand with its size.
fn sized(mem: Mem, bytes: u8) -> String {
    let size = match bytes {
        1 => "byte",
        2 => "word",
        4 => "dword",
        _ => "qword",
    };
    format!("{size} ptr {}", place(mem))
}

/// What the disassembler reads, one line an instruction; `(bad)` for what is none.
fn disassembled(code: &[u8]) -> Vec<String> {
    let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    let mut formatter = IntelFormatter::new();
    let options = formatter.options_mut();
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_uppercase_hex(false);
    options.set_small_hex_numbers_in_decimal(false);
    options.set_signed_immediate_operands(true);
    options.set_memory_size_options(iced_x86::MemorySizeOptions::Always);
    options.set_branch_leading_zeros(false);
    options.set_show_branch_size(false);
    let mut lines = Vec::new();
    while decoder.can_decode() {
        let instruction = decoder.decode();
        let mut line = String::new();
        formatter.format(&instruction, &mut line);
        lines.push(line);
    }
    lines
}

#[track_caller]
fn is(write: impl FnOnce(&mut Code), expected: &str) {
    let mut code = Code::default();
    write(&mut code);
    assert_eq!(disassembled(&code.bytes), [expected], "{:02x?}", code.bytes);
}

fn places() -> Vec<Mem> {
    let mut all = Vec::new();
    for base in ALL {
        for disp in [
            0,
            1,
            -1,
            127,
            -128,
            128,
            -129,
            0x7fff,
            -0x8000,
            i32::MAX,
            i32::MIN,
        ] {
            all.push(at(base, disp));
        }
        for index in ALL.into_iter().filter(|index| *index != Gpr::Rsp) {
            for disp in [0, 8, -300] {
                all.push(Mem {
                    base,
                    index: Some(index),
                    scale: 0,
                    disp,
                });
            }
        }
    }
    all
}

const WIDTHS: [W; 2] = [W::D, W::Q];
const ALUS: [(Alu, &str); 6] = [
    (Alu::Add, "add"),
    (Alu::Or, "or"),
    (Alu::And, "and"),
    (Alu::Sub, "sub"),
    (Alu::Xor, "xor"),
    (Alu::Cmp, "cmp"),
];
const SHIFTS: [(Shift, &str); 3] = [
    (Shift::Shl, "shl"),
    (Shift::Shr, "shr"),
    (Shift::Sar, "sar"),
];
const NUMBERS: [i32; 9] = [1, -1, 127, -128, 128, -129, 0x1234_5678, i32::MAX, i32::MIN];

#[test]
fn registers_with_registers() {
    for w in WIDTHS {
        for a in ALL {
            for b in ALL {
                let (x, y) = (at_width(a, w), at_width(b, w));
                is(|c| c.mov(w, a, b), &format!("mov {x},{y}"));
                is(|c| c.imul(w, a, b), &format!("imul {x},{y}"));
                is(|c| c.test(w, a, b), &format!("test {x},{y}"));
                for (alu, text) in ALUS {
                    is(|c| c.alu(w, alu, a, b), &format!("{text} {x},{y}"));
                }
                is(|c| c.rorx(w, a, b, 7), &format!("rorx {x},{y},0x7"));
                let low = at_width(Gpr::R9, w);
                is(|c| c.mulx(w, a, Gpr::R9, b), &format!("mulx {x},{low},{y}"));
                for (cc, text) in [(Cc::E, "e"), (Cc::Ne, "ne"), (Cc::B, "b"), (Cc::G, "g")] {
                    is(|c| c.cmov(w, cc, a, b), &format!("cmov{text} {x},{y}"));
                }
                // The disassembler names one register where both are the same.
                let both = if a == b {
                    x.clone()
                } else {
                    format!("{x},{y}")
                };
                for n in NUMBERS {
                    is(
                        |c| c.imul_imm(w, a, b, n),
                        &format!("imul {both},{}", hex(n.into())),
                    );
                }
                for (bits, text) in [(8, "movsx"), (16, "movsx"), (32, "movsxd")] {
                    if w == W::D && bits == 32 {
                        continue;
                    }
                    let from = name(b, bits / 8);
                    is(|c| c.movsx(w, bits, a, b), &format!("{text} {x},{from}"));
                }
                for (shift, text) in SHIFTS {
                    let count = at_width(Gpr::R9, w);
                    is(
                        |c| c.shift_x(w, shift, a, b, Gpr::R9),
                        &format!("{text}x {x},{y},{count}"),
                    );
                    let z = at_width(b, w);
                    is(
                        |c| c.shift_x(w, shift, a, Gpr::Rdx, b),
                        &format!("{text}x {x},{},{z}", at_width(Gpr::Rdx, w)),
                    );
                }
            }
        }
    }
    for a in ALL {
        for b in ALL {
            is(
                |c| c.movzx(8, a, b),
                &format!("movzx {},{}", name(a, 4), name(b, 1)),
            );
            is(
                |c| c.movzx(16, a, b),
                &format!("movzx {},{}", name(a, 4), name(b, 2)),
            );
        }
    }
}

#[test]
fn registers_with_numbers() {
    for a in ALL {
        for w in WIDTHS {
            let x = at_width(a, w);
            for n in NUMBERS {
                let number = hex(n.into());
                is(|c| c.test_imm(w, a, n), &format!("test {x},{number}"));
                for (alu, text) in ALUS {
                    is(|c| c.alu_imm(w, alu, a, n), &format!("{text} {x},{number}"));
                }
            }
            is(|c| c.adc_imm(w, a, 0), &format!("adc {x},0x0"));
            is(|c| c.sbb_imm(w, a, -1), &format!("sbb {x},-0x1"));
            is(|c| c.neg(w, a), &format!("neg {x}"));
            is(|c| c.div(w, a), &format!("div {x}"));
            is(|c| c.idiv(w, a), &format!("idiv {x}"));
            is(|c| c.bswap(w, a), &format!("bswap {x}"));
            for (shift, text) in SHIFTS {
                for n in [1, 2, 31] {
                    is(
                        |c| c.shift_imm(w, shift, a, n),
                        &format!("{text} {x},{}", hex(n.into())),
                    );
                }
                is(|c| c.shift_cl(w, shift, a), &format!("{text} {x},cl"));
            }
            is(|c| c.rol(w, a, 13), &format!("rol {x},0xd"));
        }
        is(|c| c.mov_zero(a), &format!("mov {},0x0", name(a, 4)));
        is(|c| c.set(Cc::Ne, a), &format!("setne {}", name(a, 1)));
        is(|c| c.swap16(a), &format!("rol {},0x8", name(a, 2)));
        let (x, d) = (name(a, 8), name(a, 4));
        is(|c| c.mov_imm(a, 0), &format!("xor {d},{d}"));
        is(|c| c.mov_imm(a, 5), &format!("mov {d},0x5"));
        is(|c| c.mov_imm(a, u64::MAX), &format!("mov {x},-0x1"));
        is(
            |c| c.mov_imm(a, 0x1234_5678_9abc_def0),
            &format!("mov {x},0x123456789abcdef0"),
        );
        is(|c| c.push(a), &format!("push {x}"));
        is(|c| c.pop(a), &format!("pop {x}"));
        is(|c| c.call(a), &format!("call {x}"));
        is(|c| c.jmp_reg(a), &format!("jmp {x}"));
    }
    is(|c| c.ret(), "ret");
    is(|c| c.sign_to_rdx(W::D), "cdq");
    is(|c| c.sign_to_rdx(W::Q), "cqo");
}

#[test]
fn memory() {
    for mem in places() {
        for a in [Gpr::Rax, Gpr::Rsp, Gpr::Rbp, Gpr::Rsi, Gpr::R9, Gpr::R13] {
            let d = name(a, 4);
            is(
                |c| c.load(1, a, mem),
                &format!("movzx {d},{}", sized(mem, 1)),
            );
            is(
                |c| c.load(2, a, mem),
                &format!("movzx {d},{}", sized(mem, 2)),
            );
            is(|c| c.load(4, a, mem), &format!("mov {d},{}", sized(mem, 4)));
            is(
                |c| c.load(8, a, mem),
                &format!("mov {},{}", name(a, 8), sized(mem, 8)),
            );
            let x = name(a, 8);
            is(
                |c| c.load_signed(1, a, mem),
                &format!("movsx {x},{}", sized(mem, 1)),
            );
            is(
                |c| c.load_signed(2, a, mem),
                &format!("movsx {x},{}", sized(mem, 2)),
            );
            is(
                |c| c.load_signed(4, a, mem),
                &format!("movsxd {x},{}", sized(mem, 4)),
            );
            for bytes in [1, 2, 4, 8] {
                is(
                    |c| c.store(bytes, mem, a),
                    &format!("mov {},{}", sized(mem, bytes), name(a, bytes)),
                );
            }
            for w in WIDTHS {
                let (x, m) = (at_width(a, w), sized(mem, bytes_of(w)));
                is(|c| c.lea(w, a, mem), &format!("lea {x},{}", place(mem)));
                is(|c| c.lock_xadd(w, mem, a), &format!("lock xadd {m},{x}"));
                is(|c| c.xchg_mem(w, mem, a), &format!("xchg {m},{x}"));
                is(
                    |c| c.lock_cmpxchg(w, mem, a),
                    &format!("lock cmpxchg {m},{x}"),
                );
                for (alu, text) in ALUS {
                    is(|c| c.alu_load(w, alu, a, mem), &format!("{text} {x},{m}"));
                    if alu != Alu::Cmp {
                        is(
                            |c| c.lock_alu(w, alu, mem, a),
                            &format!("lock {text} {m},{x}"),
                        );
                    }
                }
            }
        }
        for (bytes, n) in [
            (1, 7),
            (1, -7),
            (2, 0x1234),
            (2, -2),
            (4, i32::MIN),
            (8, -9),
            (8, i32::MAX),
        ] {
            is(
                |c| c.store_imm(bytes, mem, n),
                &format!("mov {},{}", sized(mem, bytes), hex(n.into())),
            );
        }
        for w in WIDTHS {
            for (alu, text) in ALUS {
                for n in [5, -300] {
                    let m = sized(mem, bytes_of(w));
                    is(
                        |c| c.alu_mem_imm(w, alu, mem, n),
                        &format!("{text} {m},{}", hex(n.into())),
                    );
                }
            }
        }
    }
}

#[test]
fn jumps_lead_where_they_were_fixed() {
    let conditions = [
        (Cc::B, "jb"),
        (Cc::Ae, "jae"),
        (Cc::E, "je"),
        (Cc::Ne, "jne"),
        (Cc::Be, "jbe"),
        (Cc::A, "ja"),
        (Cc::L, "jl"),
        (Cc::Ge, "jge"),
        (Cc::Le, "jle"),
        (Cc::G, "jg"),
    ];
    for short in [true, false] {
        for target in [0usize, 2, 60, 100] {
            let fixed = |write: &dyn Fn(&mut Code) -> Fixup| {
                let mut code = Code::default();
                let fixup = write(&mut code);
                assert!(code.fix(fixup, target));
                disassembled(&code.bytes)
            };
            for (cc, text) in conditions {
                assert_eq!(
                    fixed(&|c| c.jcc(cc, short)),
                    [format!("{text} {}", hex(target as i64))]
                );
            }
            assert_eq!(
                fixed(&|c| c.jmp(short)),
                [format!("jmp {}", hex(target as i64))]
            );
            assert_eq!(
                fixed(&|c| c.call_near()),
                [format!("call {}", hex(target as i64))]
            );
        }
    }
    // What is too far for a byte is refused, not cut.
    let mut code = Code::default();
    let fixup = code.jmp(true);
    assert!(!code.fix(fixup, 130) && code.fix(fixup, 129));
    for a in ALL {
        is(|c| c.lea_code(a, 64), &format!("lea {},[0x40]", name(a, 8)));
    }
}
