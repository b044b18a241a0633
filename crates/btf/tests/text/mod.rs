//! Reads types from the text of a raw dump.

use panal_btf::{
    Builder, Encoding, EnumValue, Kind, Linkage, Member, Param, SecVar, Type, TypeId, VarLinkage,
};

/// The types of all lines that look like a raw dump; others are passed over.
pub fn builder(text: &str) -> Builder {
    let mut builder = Builder::new();
    let mut last = None;
    for line in text.lines() {
        if let Some(part) = line.strip_prefix('\t') {
            let ty: &mut Type = builder
                .get_mut(last.expect("a type before its parts"))
                .unwrap();
            add_part(&mut ty.kind, part);
        } else if line.starts_with('[') {
            let (head, rest) = line.split_once(" '").unwrap();
            let (name, fields) = rest.rsplit_once('\'').unwrap();
            let kind = kind(head.split(' ').nth(1).unwrap(), fields);
            last = Some(builder.add(name.trim_matches('\'').replace("(anon)", "").as_str(), kind));
        }
    }
    builder
}

/// The value of `key=`.
fn field<'a>(fields: &'a str, key: &str) -> &'a str {
    let words = fields.split([' ', ',']);
    words
        .filter_map(|word| word.split_once('='))
        .find(|(k, _)| *k == key)
        .unwrap()
        .1
}

fn number<T: std::str::FromStr>(fields: &str, key: &str) -> T {
    field(fields, key).parse().ok().unwrap()
}

fn kind(kind: &str, fields: &str) -> Kind {
    let ty = |key| TypeId(number(fields, key));
    let size = || number(fields, "size");
    match kind {
        "INT" => {
            let encoding = field(fields, "encoding");
            let encoding = Encoding {
                signed: encoding == "SIGNED",
                char: encoding == "CHAR",
                bool: encoding == "BOOL",
            };
            let (bits, offset) = (number(fields, "nr_bits"), number(fields, "bits_offset"));
            Kind::Int {
                size: size(),
                bits,
                offset,
                encoding,
            }
        }
        "PTR" => Kind::Ptr(ty("type_id")),
        "TYPEDEF" => Kind::Typedef(ty("type_id")),
        "VOLATILE" => Kind::Volatile(ty("type_id")),
        "CONST" => Kind::Const(ty("type_id")),
        "RESTRICT" => Kind::Restrict(ty("type_id")),
        "TYPE_TAG" => Kind::TypeTag {
            ty: ty("type_id"),
            attribute: false,
        },
        "DECL_TAG" => Kind::DeclTag {
            ty: ty("type_id"),
            component: number(fields, "component_idx"),
            attribute: false,
        },
        "ARRAY" => Kind::Array {
            element: ty("type_id"),
            index: ty("index_type_id"),
            len: number(fields, "nr_elems"),
        },
        "STRUCT" => Kind::Struct {
            size: size(),
            members: [].into(),
        },
        "UNION" => Kind::Union {
            size: size(),
            members: [].into(),
        },
        "ENUM" | "ENUM64" => Kind::Enum {
            size: size(),
            signed: field(fields, "encoding") == "SIGNED",
            wide: kind == "ENUM64",
            values: [].into(),
        },
        "FWD" => Kind::Fwd {
            union: field(fields, "fwd_kind") == "union",
        },
        "FLOAT" => Kind::Float { size: size() },
        "FUNC" => Kind::Func {
            proto: ty("type_id"),
            linkage: match field(fields, "linkage") {
                "static" => Linkage::Static,
                "global" => Linkage::Global,
                _ => Linkage::Extern,
            },
        },
        "VAR" => Kind::Var {
            ty: ty("type_id"),
            linkage: match field(fields, "linkage") {
                "static" => VarLinkage::Static,
                "global" => VarLinkage::Global,
                _ => VarLinkage::Extern,
            },
        },
        "FUNC_PROTO" => Kind::FuncProto {
            ret: ty("ret_type_id"),
            params: [].into(),
        },
        "DATASEC" => Kind::DataSec {
            size: size(),
            vars: [].into(),
        },
        _ => panic!("unknown kind {kind}"),
    }
}

fn push<T: Clone>(to: &mut Box<[T]>, item: T) {
    *to = to.iter().cloned().chain([item]).collect();
}

fn add_part(kind: &mut Kind, part: &str) {
    let (name, fields) = match part.strip_prefix('\'') {
        Some(named) => named.split_once('\'').unwrap(),
        None => ("", part),
    };
    let name: std::sync::Arc<str> = name.replace("(anon)", "").into();
    let ty = || TypeId(number(fields, "type_id"));
    match kind {
        Kind::Struct { members, .. } | Kind::Union { members, .. } => {
            let bits = if fields.contains("bitfield_size") {
                number(fields, "bitfield_size")
            } else {
                0
            };
            push(
                members,
                Member {
                    name,
                    ty: ty(),
                    bit_offset: number(fields, "bits_offset"),
                    bits,
                },
            );
        }
        Kind::Enum { values, .. } => {
            let value = field(fields, "val").trim_end_matches(['U', 'L']);
            let value = value
                .parse()
                .unwrap_or_else(|_| value.parse::<u64>().unwrap() as i64);
            push(values, EnumValue { name, value });
        }
        Kind::FuncProto { params, .. } => push(params, Param { name, ty: ty() }),
        Kind::DataSec { vars, .. } => push(
            vars,
            SecVar {
                ty: ty(),
                offset: number(fields, "offset"),
                size: number(fields, "size"),
            },
        ),
        _ => panic!("a part of a type that has none"),
    }
}
