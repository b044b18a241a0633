//! BTF: hostile bytes are refused or become types that every question can be asked of.

use panal_btf::{
    Btf, BtfExt, Builder, Encoding, EnumValue, Kind, Linkage, Member, Param, SecVar, TypeId,
    VarLinkage,
    core_relo::Relocator,
    value::{Json, Literal, encode_untyped},
};
use panal_isa::Slot;

/// More types than this are not asked about: the mutations of one input should stay quick.
const MAX_TYPES: u32 = 256;

/// Bytes as a `.BTF` section, as choices of types, and as a literal where they are UTF-8.
pub fn btf(data: &[u8]) {
    chosen(data);
    if let Ok(text) = core::str::from_utf8(data)
        && let Ok(literal) = Literal::parse(text)
    {
        let _ = encode_untyped(16, &literal);
    }
    if let Ok(btf) = Btf::parse(data) {
        explore(btf, data);
    }
}

/// Types chosen by bytes, of which those stay that go with the ones before.
fn chosen(data: &[u8]) {
    let mut builder = Builder::new();
    for choice in data.chunks_exact(6).take(24) {
        let mut longer = builder.clone();
        add(&mut longer, choice);
        if longer.finish().is_ok() {
            builder = longer;
        }
    }
    let btf = builder.finish().expect("every prefix was valid");
    explore(btf, data);
}

fn add(builder: &mut Builder, choice: &[u8]) {
    let [kind, a, b, c, d, e] = choice.try_into().unwrap_or_default();
    let count = builder.next().0;
    let id = |n: u8| TypeId(u32::from(n) % (count + 2));
    let name = ["", "a", "b", "a___x", "int"][usize::from(e) % 5];
    let member = |n: u8, at: u8| Member {
        name: ["", "x", "y", "a"][usize::from(e >> 3) % 4].into(),
        ty: id(n),
        bit_offset: u32::from(at) * if at & 1 == 0 { 8 } else { 1 },
        bits: if at & 3 == 1 { at >> 2 & 0xf } else { 0 },
    };
    let members = || [member(a, c), member(b, d)].into();
    let size = u32::from(d) * 4;
    builder.add(
        name,
        match kind % 17 {
            0 => Kind::Int {
                size: 1 << (a % 5),
                bits: b,
                offset: c % 8,
                encoding: Encoding {
                    signed: d & 1 != 0,
                    char: d & 7 == 2,
                    bool: d & 7 == 4,
                },
            },
            1 => Kind::Ptr(id(a)),
            2 => Kind::Array {
                element: id(a),
                index: id(b),
                len: u32::from(c) << (d % 25),
            },
            3 | 4 => Kind::Struct {
                size,
                members: members(),
            },
            5 => Kind::Union {
                size,
                members: members(),
            },
            6 => Kind::Enum {
                size: 1 << (a % 4),
                signed: b & 1 != 0,
                wide: b & 2 != 0,
                values: [EnumValue {
                    name: "A".into(),
                    value: (c as i8).into(),
                }]
                .into(),
            },
            7 => Kind::Fwd { union: a & 1 != 0 },
            8 => Kind::Typedef(id(a)),
            9 => Kind::Const(id(a)),
            10 => Kind::Volatile(id(a)),
            11 => Kind::TypeTag {
                ty: id(a),
                attribute: b & 1 != 0,
            },
            12 => Kind::FuncProto {
                ret: id(a),
                params: [b, c]
                    .map(|n| Param {
                        name: "p".into(),
                        ty: id(n),
                    })
                    .into(),
            },
            13 => Kind::Func {
                proto: id(a),
                linkage: Linkage::Global,
            },
            14 => Kind::Var {
                ty: id(a),
                linkage: VarLinkage::Static,
            },
            15 => Kind::DataSec {
                size,
                vars: [SecVar {
                    ty: id(a),
                    offset: b.into(),
                    size: c.into(),
                }]
                .into(),
            },
            _ => Kind::Float { size: 1 << (a % 5) },
        },
    );
}

fn explore(btf: Btf, data: &[u8]) {
    let bytes = btf.to_bytes().expect("what was parsed can be written");
    let again = Btf::parse(&bytes).expect("what was written can be parsed");
    assert_eq!(again.to_bytes().unwrap(), bytes);
    assert!(again.iter().eq(btf.iter()), "types change by a round trip");
    let _ = btf.check_loadable();
    ask(&btf, data);
    let last = TypeId(btf.len() as u32 - 1);
    let _ = btf.types_to_c(&[last]);
    if btf.len() < MAX_TYPES as usize {
        let _ = btf.to_c();
    }
    let mut builder = Builder::split(btf.into());
    builder.ptr(last);
    // A section, say, cannot be pointed to.
    let _ = builder.finish();
}

/// Every question about every type.
fn ask(btf: &Btf, data: &[u8]) {
    let tags = btf.decl_tags();
    for (id, ty) in btf.iter().take(MAX_TYPES as usize) {
        let _ = (
            btf.align_of(id),
            btf.is_packed(id),
            btf.prototype(id),
            tags.of(id).count(),
        );
        let _ = (
            btf.type_tags(id).count(),
            btf.raw(id).map(|raw| raw.to_string()),
        );
        let _ = btf.declare(id, "x");
        assert!(ty.name.is_empty() || btf.named(&ty.name).any(|(found, _)| found == id));
        if let Some(size) = btf.size_of(id) {
            for offset in [0, 1, 4, size / 2, size.saturating_sub(1), size] {
                for access in [1, 4, 8] {
                    let _ = btf.access(id, offset, access);
                }
                let _ = btf.holds_at(id, offset, TypeId(1));
            }
            decode(btf, id, size, data);
        }
        for member in ty.kind.members().unwrap_or(&[]).iter().take(16) {
            if !member.name.is_empty() {
                assert!(btf.member(id, &member.name).is_some());
            }
        }
    }
}

/// A value that is read is written again from its text, and read as the same.
fn decode(btf: &Btf, id: TypeId, size: u32, data: &[u8]) {
    let bytes: Vec<u8> = data
        .iter()
        .copied()
        .cycle()
        .take(size.min(4096) as usize)
        .collect();
    let Ok(value) = btf.decode(id, &bytes) else {
        return;
    };
    let _ = Json(&value).to_string();
    let scalar = matches!(btf.resolve(id).1.kind, Kind::Int { .. } | Kind::Enum { .. });
    if let (true, Ok(literal)) = (scalar, Literal::parse(&value.to_string()))
        && let Ok(bytes) = btf.encode(id, &literal)
    {
        // Enumerators may share a name, and integers have unused bits.
        let _ = btf
            .decode(id, &bytes)
            .expect("what was encoded is large enough");
    }
}

/// Two lengths of 32 bits, then a `.BTF` of the first, a `.BTF.ext` of the second, and the target's
/// `.BTF`.
pub fn core_relo(data: &[u8]) {
    let length = |at: usize| -> Option<usize> {
        let bytes = data.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    };
    let parts = || {
        let (local, rest) = data.get(8..)?.split_at_checked(length(0)?)?;
        let (ext, target) = rest.split_at_checked(length(4)?)?;
        let local = Btf::parse(local).ok()?;
        let ext = BtfExt::parse(ext, &local).ok()?;
        Some((local, ext, Btf::parse(target).ok()?))
    };
    let Some((local, ext, target)) = parts() else {
        return;
    };
    let mut relocator = Relocator::new(&local, &target);
    for relo in ext
        .relocations
        .iter()
        .flat_map(|section| &section.records)
        .take(512)
    {
        let _ = relocator.describe(relo);
        let Ok(resolution) = relocator.resolve(relo) else {
            continue;
        };
        for opcode in [0xb7, 0x61, 0x18, 0x95] {
            let imm = resolution.original as i32;
            let first = Slot {
                opcode,
                registers: 0,
                offset: imm as i16,
                imm,
            };
            let second = Slot {
                imm: (resolution.original >> 32) as i32,
                ..Slot::default()
            };
            let mut program = [first, if opcode == 0x18 { second } else { first }];
            let _ = resolution.patch(&mut program, 0);
        }
    }
}
