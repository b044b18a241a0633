//! Bytes to values and text to bytes.

mod text;

use panal_btf::{
    Btf, KindTag, TypeId,
    value::{DecodeError, Json, Literal, Value, encode_untyped},
};
use proptest::prelude::*;

const TYPES: &str = "\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] INT 'char' size=1 bits_offset=0 nr_bits=8 encoding=SIGNED
[3] INT '__u32' size=4 bits_offset=0 nr_bits=32 encoding=(none)
[4] INT '__u8' size=1 bits_offset=0 nr_bits=8 encoding=(none)
[5] INT 'bool' size=1 bits_offset=0 nr_bits=8 encoding=BOOL
[6] ARRAY '(anon)' type_id=2 index_type_id=3 nr_elems=8
[7] ARRAY '(anon)' type_id=4 index_type_id=3 nr_elems=4
[8] ENUM 'color' encoding=SIGNED size=4 vlen=2
	'RED' val=1
	'BLACK' val=-1
[9] PTR '(anon)' type_id=0
[10] STRUCT 'event' size=56 vlen=9
	'pid' type_id=3 bits_offset=0
	'ret' type_id=1 bits_offset=32
	'comm' type_id=6 bits_offset=64
	'addr' type_id=7 bits_offset=128
	'color' type_id=8 bits_offset=160
	'ok' type_id=5 bits_offset=192
	'(anon)' type_id=11 bits_offset=224
	'p' type_id=9 bits_offset=256
	'inner' type_id=12 bits_offset=320
[11] UNION '(anon)' size=4 vlen=2
	'whole' type_id=3 bits_offset=0
	'bytes' type_id=7 bits_offset=0
[12] STRUCT 'bits' size=8 vlen=3
	'a' type_id=3 bits_offset=0 bitfield_size=3
	'b' type_id=1 bits_offset=3 bitfield_size=7
	'c' type_id=8 bits_offset=30 bitfield_size=2
[13] STRUCT 'lpm_key' size=8 vlen=2
	'prefixlen' type_id=3 bits_offset=0
	'addr' type_id=7 bits_offset=32
[14] ARRAY '(anon)' type_id=3 index_type_id=3 nr_elems=0
[15] STRUCT 'flexible' size=4 vlen=2
	'n' type_id=3 bits_offset=0
	'rest' type_id=14 bits_offset=32
[16] ARRAY '(anon)' type_id=4 index_type_id=3 nr_elems=16
[17] ARRAY '(anon)' type_id=4 index_type_id=3 nr_elems=6
[18] FLOAT 'double' size=8
[19] INT 'unsigned __int128' size=16 bits_offset=0 nr_bits=128 encoding=(none)
[20] INT '__int128' size=16 bits_offset=0 nr_bits=128 encoding=SIGNED
[21] TYPEDEF '__be32' type_id=3
[22] ARRAY '(anon)' type_id=21 index_type_id=3 nr_elems=4
[23] STRUCT 'address' size=16 vlen=1
	'word' type_id=22 bits_offset=0
[24] CONST '(anon)' type_id=21
[25] STRUCT 'path' size=8 vlen=1
	'path' type_id=6 bits_offset=0
[26] STRUCT 'v4' size=4 vlen=1
	'v4' type_id=21 bits_offset=0
";

fn types() -> Btf {
    text::builder(TYPES).finish().unwrap()
}

fn event() -> Vec<u8> {
    let mut bytes = vec![0; 56];
    bytes[0..4].copy_from_slice(&7u32.to_le_bytes());
    bytes[4..8].copy_from_slice(&(-2i32).to_le_bytes());
    bytes[8..13].copy_from_slice(b"ca\"t\0");
    bytes[13] = b'x';
    bytes[16..20].copy_from_slice(&[10, 0, 0, 1]);
    bytes[20..24].copy_from_slice(&(-1i32).to_le_bytes());
    bytes[24] = 1;
    bytes[28..32].copy_from_slice(&[1, 2, 0, 0]);
    bytes[32..40].copy_from_slice(&0xffff_8880u64.to_le_bytes());
    // a = 5, b = -3, c = BLACK
    let bits = 5u64 | (0x7d << 3) | (3 << 30);
    bytes[40..48].copy_from_slice(&bits.to_le_bytes());
    bytes
}

#[test]
fn a_struct_is_read_by_its_members() {
    let btf = types();
    let id = btf.find("event", KindTag::Struct).unwrap();
    let value = btf.decode(id, &event()).unwrap();
    assert_eq!(
        value.to_string(),
        r#"{pid: 7, ret: -2, comm: "ca\"t", addr: [10, 0, 0, 1], color: BLACK, ok: true, whole: 513, bytes: [1, 2, 0, 0], p: 0xffff8880, inner: {a: 5, b: -3, c: BLACK}}"#
    );
    assert_eq!(
        Json(&value).to_string(),
        r#"{"pid":7,"ret":-2,"comm":"ca\"t","addr":[10,0,0,1],"color":"BLACK","ok":true,"whole":513,"bytes":[1,2,0,0],"p":"0xffff8880","inner":{"a":5,"b":-3,"c":"BLACK"}}"#
    );
    assert_eq!(value.member("ret").unwrap().as_number(), Some(-2));
    let short = btf.decode(id, &event()[..55]);
    assert_eq!(
        short,
        Err(DecodeError::Short {
            id,
            need: 56,
            have: 55
        })
    );
}

#[test]
fn what_was_read_can_be_written_as_text() {
    let btf = types();
    let id = btf.find("event", KindTag::Struct).unwrap();
    let mut bytes = event();
    // What follows the end of the text is not part of it.
    bytes[13] = 0;
    let text = btf.decode(id, &bytes).unwrap().to_string();
    assert_eq!(
        btf.encode(id, &Literal::parse(&text).unwrap()).unwrap(),
        bytes
    );
}

#[test]
fn numbers_in_network_order_are_read_as_such() {
    let value = types().decode(TypeId(24), &[0, 0, 1, 2]).unwrap();
    assert_eq!(value, Value::Unsigned(258));
    let words = types().decode(
        TypeId(23),
        &[0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    );
    assert_eq!(words.unwrap().to_string(), "{word: [1, 256, 0, 0]}");
    let member = types().decode(TypeId(26), &[0, 0, 1, 2]).unwrap();
    assert_eq!(member.to_string(), "{v4: 258}");
}

#[test]
fn the_rest_fills_a_flexible_array() {
    let btf = types();
    let id = btf.find("flexible", KindTag::Struct).unwrap();
    let value = btf
        .decode(id, &[2, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 9])
        .unwrap();
    assert_eq!(value.to_string(), "{n: 2, rest: [1, 5]}");
}

#[test]
fn literals_become_bytes_or_say_why_not() {
    let btf = types();
    for (id, text, expected) in [
        (1, "-2", Ok("feffffff")),
        (1, "0xffffffff", Ok("ffffffff")),
        (
            1,
            "0x1ffffffff",
            Err("value: 8589934591 does not fit a signed integer of 32 bits"),
        ),
        (
            3,
            "-1",
            Err("value: -1 does not fit an unsigned integer of 32 bits"),
        ),
        (3, "10.0.0.1", Ok("0a000001")),
        (3, "ten", Err("value: a number expected")),
        (5, "true", Ok("01")),
        (6, "\"abc\"", Ok("6162630000000000")),
        (
            6,
            "\"too long a text\"",
            Err("value: 15 bytes of text for 8"),
        ),
        (7, "[1, 2]", Ok("01020000")),
        (7, "[1, 2, 3, 4, 5]", Err("value: 5 elements for 4")),
        (
            7,
            "[1, 256]",
            Err("value[1]: 256 does not fit an unsigned integer of 8 bits"),
        ),
        (7, "192.168.0.1", Ok("c0a80001")),
        (8, "BLACK", Ok("ffffffff")),
        (8, "GREEN", Err("value: no enumerator `GREEN`")),
        (12, "{b: -1, a: 2}", Ok("fa03000000000000")),
        (
            12,
            "{a: 8}",
            Err("value.a: 8 does not fit an unsigned integer of 3 bits"),
        ),
        (12, "{d: 8}", Err("value: no member `d`")),
        (13, "10.1.0.0/16", Ok("100000000a010000")),
        (
            13,
            "10.1.0.0/33",
            Err("value: members expected, as {name: 1}"),
        ),
        (
            13,
            "{prefixlen = 16, .addr = [10, 1]}",
            Ok("100000000a010000"),
        ),
        (13, "[16, [10, 1]]", Ok("100000000a010000")),
        (16, "\"fe80::1\"", Ok("fe800000000000000000000000000001")),
        (25, "/tmp", Ok("2f746d7000000000")),
        (25, "\"/a b\"", Ok("2f61206200000000")),
        (24, "1", Ok("00000001")),
        (24, "10.0.0.1", Ok("0a000001")),
        (23, "[[1, 2]]", Ok("0000000100000002")),
        (23, "192.0.2.1", Ok("00000000000000000000ffffc0000201")),
        (17, "\"02:00:5e:10:00:ff\"", Ok("02005e1000ff")),
        (18, "1.5", Ok("000000000000f83f")),
        (
            19,
            "-1",
            Err("value: -1 does not fit an unsigned integer of 128 bits"),
        ),
        (20, "-1", Ok("ffffffffffffffffffffffffffffffff")),
        (9, "0xffff888000000000", Ok("000000008088ffff")),
    ] {
        let literal = Literal::parse(text).unwrap();
        let done = btf.encode(TypeId(id), &literal);
        let done = done.map(|b| b.iter().map(|b| format!("{b:02x}")).collect::<String>());
        match (done, expected) {
            (Ok(done), Ok(expected)) => assert!(done.starts_with(expected), "{text}: {done}"),
            (Err(e), Err(expected)) => assert_eq!(e.to_string(), expected, "{text}"),
            (done, _) => panic!("{text}: {done:?}"),
        }
    }
}

#[test]
fn text_that_is_no_value_is_located() {
    for (text, said) in [
        ("", "at character 1: a value expected"),
        ("[1, 2", "at character 6: `,` or `]` expected"),
        (
            "{a 1}",
            "at character 4: `:` expected after a member's name",
        ),
        ("1 2", "at character 3: something follows the value"),
        ("\"abc", "at character 1: no closing quote"),
    ] {
        assert_eq!(
            Literal::parse(text).unwrap_err().to_string(),
            said,
            "{text}"
        );
    }
    let deep = "[".repeat(1000);
    assert!(Literal::parse(&deep).unwrap_err().fault.contains("deep"));
    let (key, rest) = Literal::parse_prefix("[1, 2]:{a: 1}").unwrap();
    assert_eq!(
        (key, rest),
        (
            Literal::List(vec![Literal::Number(1), Literal::Number(2)]),
            ":{a: 1}"
        )
    );
}

#[test]
fn sizes_serve_where_types_are_not_known() {
    let encode = |size, text| encode_untyped(size, &Literal::parse(text).unwrap());
    assert_eq!(encode(4, "1"), Ok(vec![1, 0, 0, 0]));
    assert_eq!(encode(4, "-1"), Ok(vec![255; 4]));
    assert_eq!(encode(4, "1.2.3.4"), Ok(vec![1, 2, 3, 4]));
    assert_eq!(encode(8, "1.2.3.4/24"), Ok(vec![24, 0, 0, 0, 1, 2, 3, 4]));
    assert_eq!(encode(3, "[1, 2]"), Ok(vec![1, 2, 0]));
    assert!(encode(1, "256").is_err());
    assert!(encode(2, "{a: 1}").is_err());
}

proptest! {
    #[test]
    fn bitfields_keep_to_their_bits(a in 0u32..8, b in -64i32..64, fill: u64) {
        let btf = types();
        let id = btf.find("bits", KindTag::Struct).unwrap();
        let text = format!("{{a: {a}, b: {b}}}");
        let bytes = btf.encode(id, &Literal::parse(&text).unwrap()).unwrap();
        let expected = u64::from(a) | u64::from(b as u32 & 0x7f) << 3;
        prop_assert_eq!(u64::from_le_bytes(bytes.try_into().unwrap()), expected);
        // Whatever stands beside them is not read.
        let noisy = (fill & !0x3ff) | expected;
        let value = btf.decode(id, &noisy.to_le_bytes()).unwrap();
        prop_assert_eq!(value.member("a"), Some(&Value::Unsigned(a.into())));
        prop_assert_eq!(value.member("b"), Some(&Value::Signed(b.into())));
    }
}
