//! Every encoding against an assembler that is not ours.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use std::{
    io::Write,
    process::{Command, Stdio},
};

use super::*;

extern crate std;

/// What was encoded, and the assembler's text for it.
#[derive(Default)]
struct Pairs {
    code: Code,
    text: String,
}

impl Pairs {
    fn add(&mut self, text: &str, encode: impl FnOnce(&mut Code)) {
        encode(&mut self.code);
        self.text += text;
        self.text.push('\n');
    }

    fn check(&mut self, text: &str, encode: impl FnOnce(&mut Code) -> bool) {
        assert!(encode(&mut self.code), "{text}: no room");
        self.text += text;
        self.text.push('\n');
    }
}

/// The words of a text, by LLVM; `None` where it is not installed.
fn assembled(text: &str) -> Option<Vec<u32>> {
    let mut child = Command::new("llvm-mc-22")
        .args(["--triple=aarch64", "--assemble", "--show-encoding"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut input = child.stdin.take()?;
    let text = text.to_string();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().ok()?;
    writer.join().ok()?.ok()?;
    assert!(output.status.success(), "the assembler refuses the text");
    let listing = String::from_utf8(output.stdout).ok()?;
    let words = listing.lines().filter_map(|line| {
        let bytes = line.split_once("encoding: [")?.1.split_once(']')?.0;
        let byte = |b: &str| u8::from_str_radix(b.trim().trim_start_matches("0x"), 16);
        let bytes: Vec<u8> = bytes.split(',').map(byte).collect::<Result<_, _>>().ok()?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    });
    Some(words.collect())
}

fn compare(pairs: &Pairs) {
    let Some(expected) = assembled(&pairs.text) else {
        return std::eprintln!("skipped: no llvm-mc-22 to assemble for aarch64");
    };
    let ours: Vec<u32> = pairs
        .code
        .bytes
        .chunks_exact(4)
        .map(|b| u32::from_le_bytes(b.try_into().unwrap()))
        .collect();
    assert_eq!(ours.len(), pairs.text.lines().count());
    assert_eq!(ours.len(), expected.len(), "an encoding is not a number");
    for ((line, ours), theirs) in pairs.text.lines().zip(ours).zip(expected) {
        assert_eq!(ours, theirs, "{line}: {ours:08x}, LLVM has {theirs:08x}");
    }
}

/// A register's name, and the zero register's.
fn name(w: W, gpr: Gpr) -> String {
    let letter = if w == W::Q { 'x' } else { 'w' };
    match gpr.0 {
        31 => format!("{letter}zr"),
        n => format!("{letter}{n}"),
    }
}

/// Where 31 is the stack pointer.
fn or_sp(w: W, gpr: Gpr) -> String {
    match (gpr.0, w) {
        (31, W::Q) => "sp".to_string(),
        (31, W::D) => "wsp".to_string(),
        _ => name(w, gpr),
    }
}

/// Registers in combinations, each at each place.
fn triples() -> impl Iterator<Item = (Gpr, Gpr, Gpr)> {
    let gpr = |n: u32| Gpr((n % 31) as u8);
    (0..31).map(move |n| (gpr(n), gpr(n * 7 + 3), gpr(n * 11 + 5)))
}

const WIDTHS: [W; 2] = [W::D, W::Q];

#[test]
fn operations_of_registers() {
    let mut pairs = Pairs::default();
    for w in WIDTHS {
        for (d, n, m) in triples() {
            let [dn, nn, mn] = [d, n, m].map(|g| name(w, g));
            for (op, word) in [
                (Alu::And, "and"),
                (Alu::Add, "add"),
                (Alu::Or, "orr"),
                (Alu::Xor, "eor"),
                (Alu::Sub, "sub"),
                (Alu::Subs, "subs"),
                (Alu::Ands, "ands"),
                (Alu::Udiv, "udiv"),
                (Alu::Sdiv, "sdiv"),
                (Alu::Lsl, "lsl"),
                (Alu::Lsr, "lsr"),
                (Alu::Asr, "asr"),
                (Alu::Mul, "mul"),
            ] {
                pairs.add(&format!("{word} {dn}, {nn}, {mn}"), |c| {
                    c.alu(w, op, d, n, m);
                });
            }
            let count = (d.0 * 2 + 1) & (w.bits() as u8 - 1);
            pairs.add(&format!("add {dn}, {nn}, {mn}, lsl #{count}"), |c| {
                c.alu_shifted(w, Alu::Add, d, n, (m, count));
            });
            pairs.add(&format!("mov {dn}, {mn}"), |c| c.mov(w, d, m));
            pairs.add(&format!("neg {dn}, {mn}"), |c| c.neg(w, d, m));
            pairs.add(&format!("msub {dn}, {nn}, {mn}, {dn}"), |c| {
                c.msub(w, d, n, m, d);
            });
            pairs.add(&format!("cmp {nn}, {mn}"), |c| {
                c.alu(w, Alu::Subs, ZERO, n, m);
            });
            pairs.add(&format!("rev {dn}, {nn}"), |c| c.reverse(w, d, n));
            for bits in [8, 16] {
                let letter = if bits == 8 { 'b' } else { 'h' };
                let narrow = name(W::D, n);
                pairs.add(&format!("sxt{letter} {dn}, {narrow}"), |c| {
                    c.sign_extend(w, bits, d, n);
                });
                pairs.add(&format!("uxt{letter} {}, {narrow}", name(W::D, d)), |c| {
                    c.zero_extend(bits, d, n);
                });
            }
            for count in 0..w.bits() as u8 {
                let (shift, word) = [(Alu::Lsl, "lsl"), (Alu::Lsr, "lsr"), (Alu::Asr, "asr")]
                    [usize::from((d.0 + count) % 3)];
                pairs.add(&format!("{word} {dn}, {nn}, #{count}"), |c| {
                    c.shift_imm(w, shift, d, n, count);
                });
            }
        }
    }
    for (d, n, _) in triples() {
        let (dn, nn) = (name(W::D, d), name(W::D, n));
        pairs.add(&format!("rev16 {dn}, {nn}"), |c| c.reverse16(d, n));
        pairs.add(&format!("sxtw {}, {nn}", name(W::Q, d)), |c| {
            c.sign_extend(W::Q, 32, d, n);
        });
    }
    compare(&pairs);
}

/// Runs of ones, rotated, repeated: all 5,334 of them.
fn bitmasks() -> Vec<u64> {
    let mut all = Vec::new();
    for size in [2u32, 4, 8, 16, 32, 64] {
        for ones in 1..size {
            for rotate in 0..size {
                let run = (1u128 << ones) - 1;
                let run = (run << rotate | run >> (size - rotate)) as u64;
                let mask = u64::MAX >> (64 - size);
                let mut value = 0;
                for place in (0..64).step_by(size as usize) {
                    value |= (run & mask) << place;
                }
                all.push(value);
            }
        }
    }
    all
}

#[test]
fn operations_with_immediates() {
    let mut pairs = Pairs::default();
    for (at, imm) in bitmasks().into_iter().enumerate() {
        let (d, n, _) = triples().nth(at % 31).unwrap();
        let (op, word) = [
            (Alu::And, "and"),
            (Alu::Or, "orr"),
            (Alu::Xor, "eor"),
            (Alu::Ands, "ands"),
        ][at % 4];
        let (dn, nn) = (name(W::Q, d), name(W::Q, n));
        pairs.check(&format!("{word} {dn}, {nn}, #{imm:#x}"), |c| {
            c.alu_imm(W::Q, op, d, n, imm)
        });
        if imm >> 32 == imm & 0xffff_ffff {
            let (dn, nn) = (name(W::D, d), name(W::D, n));
            let imm = imm & 0xffff_ffff;
            pairs.check(&format!("{word} {dn}, {nn}, #{imm:#x}"), |c| {
                c.alu_imm(W::D, op, d, n, imm)
            });
        }
    }
    for w in WIDTHS {
        for (d, n, _) in triples() {
            for imm in [0, 1, 7, 4095, 4096, 8192, 0xfff000, u64::from(d.0) * 97] {
                for (op, word, flags) in [
                    (Alu::Add, "add", false),
                    (Alu::Sub, "sub", false),
                    (Alu::Subs, "subs", true),
                ] {
                    let (dn, nn) = (name(w, d), name(w, n));
                    pairs.check(&format!("{word} {dn}, {nn}, #{imm}"), |c| {
                        c.alu_imm(w, op, d, n, imm)
                    });
                    if imm != 0 && imm >> 24 == 0 && !flags {
                        let other = if op == Alu::Add { "sub" } else { "add" };
                        pairs.check(&format!("{other} {dn}, {nn}, #{imm}"), |c| {
                            c.alu_imm(w, op, d, n, imm.wrapping_neg())
                        });
                    }
                }
                let nn = name(w, n);
                pairs.check(&format!("cmp {nn}, #{imm}"), |c| {
                    c.alu_imm(w, Alu::Subs, ZERO, n, imm)
                });
                if imm != 0 {
                    pairs.check(&format!("cmn {nn}, #{imm}"), |c| {
                        c.alu_imm(w, Alu::Subs, ZERO, n, imm.wrapping_neg())
                    });
                }
            }
        }
    }
    pairs.check("sub sp, sp, #48", |c| c.alu_imm(W::Q, Alu::Sub, SP, SP, 48));
    pairs.check("add x9, sp, #0", |c| {
        c.alu_imm(W::Q, Alu::Add, Gpr(9), SP, 0)
    });
    compare(&pairs);
}

#[test]
fn immediates_without_room_are_left_to_others() {
    let mut code = Code::default();
    for imm in [0x1001, 0x1234567, 1 << 24, 1 << 63, 0x7fff_ffff] {
        assert!(!code.alu_imm(W::Q, Alu::Add, Gpr(0), Gpr(1), imm));
        assert!(!code.alu_imm(W::Q, Alu::Subs, ZERO, Gpr(1), imm));
    }
    for imm in [0, u64::MAX, 5, 0x1234_5678, 0xf0f0_f0f1] {
        assert!(!code.alu_imm(W::Q, Alu::And, Gpr(0), Gpr(1), imm));
    }
    assert!(!code.alu_imm(W::D, Alu::And, Gpr(0), Gpr(1), 0xffff_ffff));
    assert!(!code.alu_imm(W::Q, Alu::Udiv, Gpr(0), Gpr(1), 1));
    assert!(code.bytes.is_empty());
}

/// What a row of moves of halves leaves in the register.
fn moved(bytes: &[u8]) -> u64 {
    let mut value = 0u64;
    for word in bytes.chunks_exact(4) {
        let word = u32::from_le_bytes(word.try_into().unwrap());
        let (shift, half) = (16 * (word >> 21 & 3), u64::from(word >> 5 & 0xffff));
        let cut = if word >> 31 == 1 {
            u64::MAX
        } else {
            u64::from(u32::MAX)
        };
        value = match word & 0x7f80_0000 {
            0x1280_0000 => !(half << shift) & cut,
            0x5280_0000 => half << shift,
            0x7280_0000 => value & !(0xffff << shift) | half << shift,
            other => panic!("{other:08x} moves no half"),
        };
    }
    value
}

#[test]
fn immediates_in_registers() {
    let mut pairs = Pairs::default();
    for imm in bitmasks() {
        let (d, single) = (Gpr((imm % 31) as u8), |v: u64| {
            (0..4).filter(|i| v >> (16 * i) & 0xffff != 0).count() <= 1
        });
        let w = if imm <= u64::from(u32::MAX) {
            W::D
        } else {
            W::Q
        };
        if single(imm) || single(w.cut(!imm)) {
            let mut code = Code::default();
            code.mov_imm(d, imm);
            assert_eq!((code.bytes.len(), moved(&code.bytes)), (4, imm), "{imm:#x}");
            continue;
        }
        // A number of 32 bits may be no mask of 64.
        let dn = name(w, d);
        let zero = name(w, ZERO);
        if bitmask(w, imm).is_some() {
            pairs.add(&format!("orr {dn}, {zero}, #{imm:#x}"), |c| {
                c.mov_imm(d, imm);
            });
        }
    }
    compare(&pairs);
    for imm in [
        0,
        1,
        0xffff,
        0x1_0000,
        0x1234_5678,
        0xffff_1234,
        0xffff_ffff,
        0x1_0000_0001,
        0x1234_5678_9abc_def0,
        0xffff_ffff_ffff_1234,
        0xffff_1234_ffff_5678,
        u64::MAX,
        1 << 63,
        (-2i64) as u64,
        i64::MAX as u64,
    ] {
        let mut code = Code::default();
        code.mov_imm(Gpr(3), imm);
        let is_mask = code.bytes.len() == 4 && code.bytes[3] & 0x1f == 0x12 && {
            let word = u32::from_le_bytes(code.bytes[..4].try_into().unwrap());
            word & 0x7f80_0000 == 0x3200_0000
        };
        if !is_mask {
            assert_eq!(moved(&code.bytes), imm, "{imm:#x}");
        }
    }
}

#[test]
fn accesses() {
    let mut pairs = Pairs::default();
    let spare = Gpr(17);
    for (t, n, _) in triples().filter(|(t, n, _)| ![*t, *n].contains(&spare)) {
        for off in [0, 1, -1, 8, 255, -256, 16, 2040, 4088, 32760] {
            for (bytes, w, letter) in [(1, W::D, "b"), (2, W::D, "h"), (4, W::D, ""), (8, W::Q, "")]
            {
                let scaled =
                    off >= 0 && off % i32::from(bytes) == 0 && off / i32::from(bytes) < 4096;
                let near = (-256..256).contains(&off);
                if !scaled && !near {
                    continue;
                }
                let u = if scaled { "" } else { "u" };
                let (tn, nn) = (name(w, t), or_sp(W::Q, n));
                let form =
                    |load: &str| format!("{}{} {tn}, [{nn}, #{off}]", load.replace('_', u), letter);
                pairs.add(&form("ld_r"), |c| c.load(bytes, t, (n, off), spare));
                pairs.add(&form("st_r"), |c| c.store(bytes, t, (n, off), spare));
                if bytes < 8 {
                    let letter = ["b", "h", "w"][bytes.trailing_zeros() as usize];
                    let text = format!("ld{u}rs{letter} {}, [{nn}, #{off}]", name(W::Q, t));
                    pairs.add(&text, |c| c.load_signed(bytes, t, (n, off), spare));
                }
            }
        }
        for (bytes, w, letter) in [(1, W::D, "b"), (2, W::D, "h"), (4, W::D, ""), (8, W::Q, "")] {
            let (tn, nn) = (name(w, t), name(W::Q, n));
            pairs.text += "movz w17, #0x7fff\n";
            let far = (n, 0x7fff);
            let text = format!("ldr{letter} {tn}, [{nn}, x17]");
            pairs.add(&text, |c| c.load(bytes, t, far, spare));
            pairs.add(&format!("ldar{letter} {tn}, [{nn}]"), |c| {
                c.load_acquire(bytes, t, n);
            });
            pairs.add(&format!("stlr{letter} {tn}, [{nn}]"), |c| {
                c.store_release(bytes, t, n);
            });
        }
        for w in WIDTHS {
            let (tn, nn, sn) = (name(w, t), name(W::Q, n), name(W::D, spare));
            pairs.add(&format!("ldxr {tn}, [{nn}]"), |c| c.load_exclusive(w, t, n));
            pairs.add(&format!("stlxr {sn}, {tn}, [{nn}]"), |c| {
                c.store_exclusive(w, spare, t, n);
            });
        }
        let (tn, nn) = (name(W::Q, t), name(W::Q, n));
        pairs.add(&format!("stp {tn}, {nn}, [sp, #-16]!"), |c| c.push(t, n));
        pairs.add(&format!("ldp {tn}, {nn}, [sp], #16"), |c| c.pop(t, n));
    }
    pairs.add("dmb ish", Code::barrier);
    compare(&pairs);
}

#[test]
fn branches() {
    let mut pairs = Pairs::default();
    let conditions = [
        (Cc::Eq, "eq"),
        (Cc::Ne, "ne"),
        (Cc::Hs, "hs"),
        (Cc::Lo, "lo"),
        (Cc::Hi, "hi"),
        (Cc::Ls, "ls"),
        (Cc::Ge, "ge"),
        (Cc::Lt, "lt"),
        (Cc::Gt, "gt"),
        (Cc::Le, "le"),
    ];
    let to = |c: &mut Code, fixup: Fixup, by: i64| {
        let target = fixup.at as i64 + by;
        assert!(c.fix(fixup, target as usize));
    };
    // Far enough from the start that branches may lead back.
    for by in [0i64, 4, -4, 1000, -8000, 0xffffc, 0x7fffffc] {
        for (cc, word) in conditions {
            let near = by.abs() < NEAR;
            if near {
                pairs.add(&format!("b.{word} #{by}"), |c| {
                    let fixup = c.branch_if(If::Flags(cc), true);
                    to(c, fixup, by);
                });
            }
            // The opposite over the branch.
            let opposite = conditions[conditions.iter().position(|c| c.0 == cc).unwrap() ^ 1].1;
            pairs.text += &format!("b.{opposite} #8\n");
            pairs.add(&format!("b #{by}"), |c| {
                let fixup = c.branch_if(If::Flags(cc), false);
                to(c, fixup, by);
            });
        }
        for w in WIDTHS {
            for (t, n, _) in triples() {
                let (tn, nn) = (name(w, t), name(w, n));
                if by.abs() < NEAR {
                    pairs.add(&format!("cbz {tn}, #{by}"), |c| {
                        let fixup = c.branch_if(If::Zero(w, t), true);
                        to(c, fixup, by);
                    });
                }
                pairs.text += &format!("cbz {nn}, #8\n");
                pairs.add(&format!("b #{by}"), |c| {
                    let fixup = c.branch_if(If::NotZero(w, n), false);
                    to(c, fixup, by);
                });
            }
        }
        pairs.add(&format!("bl #{by}"), |c| {
            let fixup = c.branch_link();
            to(c, fixup, by);
        });
    }
    for (d, n, _) in triples() {
        let nn = name(W::Q, n);
        pairs.add(&format!("blr {nn}"), |c| c.call(n));
        pairs.add(&format!("br {nn}"), |c| c.jump_to(n));
        let pages = -(pairs.code.here() as i64 >> 12) * 4096;
        pairs.add(&format!("adrp {}, #{pages}", name(W::Q, d)), |c| {
            c.page_of(d, 0);
        });
    }
    pairs.add("ret", Code::ret);
    compare(&pairs);
}

#[test]
fn a_branch_too_far_is_told() {
    let mut code = Code::default();
    let near = code.branch_if(If::Flags(Cc::Eq), true);
    let far = code.branch();
    assert!(!code.fix(near, NEAR as usize));
    assert!(code.fix(near, NEAR as usize - 4));
    assert!(!code.fix(far, FAR as usize + 4));
    assert!(code.fix(far, FAR as usize));
}
