//! Random types: writing and parsing are inverse, and damage is never more than an error.

use panal_btf::{
    Btf, Builder, Encoding, EnumValue, Kind, Linkage, Member, Param, SecVar, TypeId, VarLinkage,
};
use proptest::prelude::*;

/// A name of few letters, so that names repeat; sometimes none.
fn name(optional: bool) -> impl Strategy<Value = String> {
    if optional { "[ab_]{0,3}" } else { "[ab_]{1,3}" }
}

/// Kinds whose references go to any of `count` types.
fn kind(count: u32) -> impl Strategy<Value = (String, Kind)> {
    let id = move || (0..count).prop_map(TypeId);
    let member = move || {
        (name(true), id(), 0u32..256, 0u8..9).prop_map(|(name, ty, bit_offset, bits)| Member {
            name: name.as_str().into(),
            ty,
            bit_offset: if bits == 0 {
                bit_offset / 8 * 8
            } else {
                bit_offset
            },
            bits,
        })
    };
    let members = move || prop::collection::vec(member(), 0..4).prop_map(Into::into);
    let value = (name(false), any::<i64>()).prop_map(|(name, value)| EnumValue {
        name: name.as_str().into(),
        value,
    });
    let named = |kind: BoxedStrategy<Kind>| (name(false), kind);
    let unnamed = |kind: BoxedStrategy<Kind>| (Just(String::new()), kind);
    prop_oneof![
        3 => named((0u32..4, any::<bool>()).prop_map(|(log, signed)| Kind::Int {
            size: 1 << log,
            bits: 8 << log,
            offset: 0,
            encoding: Encoding { signed, ..Encoding::default() },
        }).boxed()),
        3 => unnamed(id().prop_map(Kind::Ptr).boxed()),
        1 => unnamed(id().prop_map(Kind::Const).boxed()),
        1 => unnamed(id().prop_map(Kind::Volatile).boxed()),
        1 => named(id().prop_map(Kind::Typedef).boxed()),
        1 => named(id().prop_map(|ty| Kind::TypeTag { ty, attribute: false }).boxed()),
        2 => unnamed((id(), id(), 0u32..9).prop_map(|(element, index, len)| {
            Kind::Array { element, index, len }
        }).boxed()),
        3 => (name(true), members().prop_map(|members| Kind::Struct { size: 64, members }).boxed()),
        2 => (name(true), members().prop_map(|members| Kind::Union { size: 64, members }).boxed()),
        1 => (name(true), (any::<bool>(), prop::collection::vec(value, 0..4)).prop_map(
            |(signed, values)| Kind::Enum { size: 8, signed, wide: true, values: values.into() }
        ).boxed()),
        1 => named(any::<bool>().prop_map(|union| Kind::Fwd { union }).boxed()),
        1 => unnamed((id(), prop::collection::vec((name(false), id()), 0..3)).prop_map(
            |(ret, params)| Kind::FuncProto {
                ret,
                params: params.iter().map(|(name, ty)| Param { name: name.as_str().into(), ty: *ty }).collect(),
            }
        ).boxed()),
        1 => named(id().prop_map(|proto| Kind::Func { proto, linkage: Linkage::Global }).boxed()),
        1 => named(id().prop_map(|ty| Kind::Var { ty, linkage: VarLinkage::Static }).boxed()),
        1 => named(id().prop_map(|ty| Kind::DataSec {
            size: 0,
            vars: [SecVar { ty, offset: 0, size: 4 }].into(),
        }).boxed()),
        1 => named(id().prop_map(|ty| Kind::DeclTag { ty, component: -1, attribute: false }).boxed()),
    ]
}

/// A BTF: of the random types those that it takes, one after the other.
fn btf() -> impl Strategy<Value = Btf> {
    prop::collection::vec(kind(24), 1..24).prop_map(|kinds| {
        let mut builder = Builder::new();
        for (name, kind) in kinds {
            let mut longer = builder.clone();
            longer.add(&name, kind);
            if longer.finish().is_ok() {
                builder = longer;
            }
        }
        builder.finish().unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn writing_and_parsing_are_inverse(btf in btf()) {
        let bytes = btf.to_bytes().unwrap();
        let again = Btf::parse(&bytes).unwrap();
        prop_assert!(again.iter().eq(btf.iter()));
        prop_assert_eq!(again.to_bytes().unwrap(), bytes);
    }

    #[test]
    fn a_split_btf_continues_its_base(btf in btf(), name in "[a-z]{4}") {
        let (base, count) = (std::sync::Arc::new(btf), 3);
        let mut builder = Builder::split(base.clone());
        for _ in 0..count {
            builder.structure(&name, 0, &[]);
        }
        let split = builder.finish().unwrap();
        prop_assert_eq!(split.len(), base.len() + count);
        prop_assert_eq!(split.named(&name).count(), count);
        let again = Btf::parse_split(&split.to_bytes().unwrap(), base.clone()).unwrap();
        prop_assert!(again.iter().eq(split.iter()));
        prop_assert!(again.iter().take(base.len()).eq(base.iter()));
    }

    #[test]
    fn flipped_bits_are_an_error_or_other_types(btf in btf(), flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..4)) {
        let mut bytes = btf.to_bytes().unwrap();
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        if let Ok(btf) = Btf::parse(&bytes) {
            let again = Btf::parse(&btf.to_bytes().unwrap()).unwrap();
            prop_assert!(again.iter().eq(btf.iter()));
            let _ = btf.to_c();
        }
    }

    #[test]
    fn every_prefix_is_an_error(btf in btf(), cut in any::<prop::sample::Index>()) {
        let bytes = btf.to_bytes().unwrap();
        prop_assert!(Btf::parse(&bytes[..cut.index(bytes.len())]).is_err());
    }
}
