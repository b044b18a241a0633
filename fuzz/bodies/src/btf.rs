//! BTF: hostile bytes are refused or become types that every question can be asked of.

use panal_btf::{
    Btf, BtfExt, Builder, Kind, TypeId,
    core_relo::Relocator,
    value::{Json, Literal, encode_untyped},
};
use panal_isa::Slot;

/// More types than this are not asked about: the mutations of one input should stay quick.
const MAX_TYPES: u32 = 256;

/// Bytes as a `.BTF` section, and as a literal where they are UTF-8.
pub fn btf(data: &[u8]) {
    if let Ok(text) = core::str::from_utf8(data)
        && let Ok(literal) = Literal::parse(text)
    {
        let _ = encode_untyped(16, &literal);
    }
    let Ok(btf) = Btf::parse(data) else { return };
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
