//! Calls of helpers and kernel functions: `cases/calls-*.txt`, each with the verdict of Linux 6.18 and
//! its message. Where that kernel runs, it is asked again.
//!
//! A case begins with `== name`; then `type`, `attach` (of struct_ops: the member's number), `tied`
//! (`func`, `typedef` or `struct`, and the name of the kernel's type), `sleepable` and `map` lines (map
//! type, key size, value size, entries, flags), the verdict (`accept`, or `reject` and a part of the
//! message), and the program. Maps are `map[0]`, `map[1]`, ...

mod linux;

use std::sync::Arc;

use linux::Kind;
use panal_btf::{Btf, KindTag, TypeId};
use panal_isa::{Imm64, Slot, assemble};
use panal_uapi::{
    AttachType, MapType, ProgType, helpers,
    kernel::{MapFlags, ProgFlags},
    profile::Profile,
};
use panal_verifier::{MapDescription, Request, Tied, verify};

struct Case<'t> {
    name: &'t str,
    kind: Kind,
    /// The kernel's type that it is tied to.
    tied: Option<(KindTag, &'t str)>,
    maps: Vec<(MapType, [u32; 4])>,
    /// A part of the message; `None`: accepted.
    reject: Option<&'t str>,
    text: String,
}

fn parse(text: &str) -> Vec<Case<'_>> {
    let text = text.strip_prefix("== ").unwrap_or(text);
    text.split("\n== ").map(parse_case).collect()
}

fn parse_case(text: &str) -> Case<'_> {
    let mut lines = text.lines();
    let name = lines.next().unwrap_or("").trim();
    let kind = Kind {
        prog_type: ProgType::SchedCls,
        attach_type: None,
        flags: 0,
        btf_id: 0,
    };
    let mut case = Case {
        name,
        kind,
        tied: None,
        maps: Vec::new(),
        reject: None,
        text: String::new(),
    };
    for line in lines {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "type" => {
                case.kind.prog_type =
                    ProgType::from_name(rest).unwrap_or_else(|| panic!("{name}: {rest}"));
            }
            "attach" => {
                let number = rest.parse().ok().and_then(AttachType::from_number);
                case.kind.attach_type = number.or_else(|| AttachType::from_name(rest));
                assert!(case.kind.attach_type.is_some(), "{name}: {rest}");
            }
            "tied" => {
                let (kind, of) = rest.split_once(' ').expect("a kind and a name");
                let kind = match kind {
                    "func" => KindTag::Func,
                    "typedef" => KindTag::Typedef,
                    "struct" => KindTag::Struct,
                    other => panic!("{name}: {other}"),
                };
                case.tied = Some((kind, of));
            }
            "sleepable" => case.kind.flags |= ProgFlags::SLEEPABLE.bits(),
            "map" => {
                let mut words = rest.split(' ');
                let ty = words.next().and_then(MapType::from_name);
                let mut numbers = [0; 4];
                for (number, word) in numbers.iter_mut().zip(words) {
                    *number = word
                        .parse()
                        .unwrap_or_else(|e| panic!("{name}: {word}: {e}"));
                }
                case.maps
                    .push((ty.unwrap_or_else(|| panic!("{name}: {rest}")), numbers));
            }
            "accept" => case.reject = None,
            "reject" => case.reject = Some(rest),
            _ => {
                case.text.push_str(line);
                case.text.push('\n');
            }
        }
    }
    case
}

struct Names<'a> {
    btf: Option<&'a Btf>,
    fds: Option<&'a [i32]>,
}

impl assemble::Symbols for Names<'_> {
    fn map(&mut self, name: &str) -> Option<Imm64> {
        let index: usize = name.parse().ok()?;
        Some(match self.fds {
            Some(fds) => Imm64::MapFd(*fds.get(index)?),
            None => Imm64::MapIndex(index as u32),
        })
    }

    fn helper(&mut self, name: &str) -> Option<u32> {
        helpers::by_name(name).map(|helper| helper.id)
    }

    fn kfunc(&mut self, name: &str) -> Option<(i32, i16)> {
        let id = self.btf?.find(name, KindTag::Func)?;
        Some((id.0 as i32, 0))
    }
}

fn code(case: &Case<'_>, btf: Option<&Btf>, fds: Option<&[i32]>) -> Vec<Slot> {
    match assemble::assemble(&case.text, &mut Names { btf, fds }) {
        Ok(assembled) => assembled.slots,
        Err(e) => panic!("{}: {e}", case.name),
    }
}

/// The id of the type that the case is tied to; `None` where this kernel has none.
fn tied(case: &Case<'_>, btf: &Btf) -> Option<Option<TypeId>> {
    match case.tied {
        None => Some(None),
        Some((kind, name)) => btf.find(name, kind).map(Some),
    }
}

fn ours(case: &Case<'_>, tied: Option<TypeId>, profile: &Profile) -> Option<String> {
    let slots = code(case, Some(&profile.btf), None);
    let describe =
        |(index, (map_type, [key, value, entries, flags])): (usize, &(MapType, [u32; 4]))| {
            MapDescription {
                name: "m".into(),
                map_type: *map_type,
                key_size: *key,
                value_size: *value,
                max_entries: *entries,
                flags: MapFlags::from_bits_retain(*flags),
                extra: 0,
                types: None,
                inner: None,
                frozen: None,
                id: index as u32 + 1,
            }
        };
    let maps: Vec<MapDescription> = case.maps.iter().enumerate().map(describe).collect();
    let outcome = verify(&Request {
        name: case.name,
        code: &slots,
        prog_type: case.kind.prog_type,
        attach_type: case.kind.attach_type,
        tied: tied.map(Tied::Kernel),
        gpl: true,
        flags: ProgFlags::from_bits_retain(case.kind.flags),
        maps: &maps,
        types: None,
        profile,
        log_level: 0,
        clock: None,
    });
    outcome
        .result
        .err()
        .map(|rejection| rejection.linux_message)
}

fn theirs(case: &Case<'_>, tied: Option<TypeId>, btf: &Btf) -> Option<String> {
    let create = |(ty, [key, value, entries, flags]): &(MapType, [u32; 4])| {
        linux::create_map(*ty, *key, *value, *entries, *flags)
            .unwrap_or_else(|| panic!("{}: map {ty} is refused", case.name))
    };
    let fds: Vec<i32> = case.maps.iter().map(create).collect();
    let kind = Kind {
        btf_id: tied.map_or(0, |id| id.0),
        ..case.kind
    };
    let (errno, log) = linux::load(kind, &code(case, Some(btf), Some(&fds)));
    fds.into_iter().for_each(linux::close);
    (errno != 0).then_some(log)
}

#[test]
fn calls_are_judged_as_by_linux() {
    let Ok(bytes) = std::fs::read("/sys/kernel/btf/vmlinux") else {
        eprintln!("skipped: the cases name types of a kernel, and this one has no BTF");
        return;
    };
    let btf = Arc::new(Btf::parse(&bytes).expect("the kernel's own BTF"));
    let profile = Profile::new("linux-6.18", 6 << 16 | 18 << 8, Arc::clone(&btf));
    let linux = linux::available();
    if let Err(why) = &linux {
        eprintln!("skipped: Linux is not asked again: {why}");
    }
    let files = [
        include_str!("cases/calls-helpers.txt"),
        include_str!("cases/calls-kfuncs.txt"),
        include_str!("cases/hooks.txt"),
    ];
    let mut wrong = Vec::new();
    for case in files.into_iter().flat_map(parse) {
        let Some(tied) = tied(&case, &btf) else {
            eprintln!("skipped: {}: this kernel has no such type", case.name);
            continue;
        };
        let mut compare = |who: &str, got: Option<String>| {
            let same = match (&got, case.reject) {
                (None, None) => true,
                (Some(got), Some(part)) => got.contains(part),
                _ => false,
            };
            if !same {
                let got = got.map_or("accepted".into(), |log| {
                    log[log.len().saturating_sub(600)..].to_owned()
                });
                wrong.push(format!("{}: {who}: {got}", case.name));
            }
        };
        compare("Panal", ours(&case, tied, &profile));
        if linux.is_ok() {
            compare("Linux", theirs(&case, tied, &btf));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
