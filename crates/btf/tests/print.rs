//! C made of types, against a compiler.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use panal_btf::{Btf, Builder, Kind, TypeId};

/// Compiles C for BPF with clang-22; `None` with a word about it when there is no clang-22.
fn compile(name: &str, source: &str) -> Option<Result<PathBuf, String>> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (input, output) = (dir.join(format!("{name}.c")), dir.join(format!("{name}.o")));
    std::fs::write(&input, source).unwrap();
    let clang = Command::new("clang-22")
        .args([
            "-target",
            "bpf",
            "-g",
            "-O2",
            "-Wall",
            "-Werror",
            "-Wno-unused",
            "-c",
        ])
        .arg(&input)
        .arg("-o")
        .arg(&output)
        .output();
    match clang {
        Ok(done) if done.status.success() => Some(Ok(output)),
        Ok(done) => Some(Err(String::from_utf8_lossy(&done.stderr)
            .chars()
            .take(4000)
            .collect())),
        Err(e) => {
            println!("skipped: clang-22: {e}");
            None
        }
    }
}

/// Assertions that named structs and unions have their sizes and members their offsets.
fn assertions(btf: &Btf) -> (String, usize) {
    let (mut text, mut count) = (String::new(), 0);
    for (id, ty) in btf.iter() {
        let word = match ty.kind {
            Kind::Struct { .. } => "struct",
            Kind::Union { .. } => "union",
            _ => continue,
        };
        let same_name = |(_, t): &(TypeId, &panal_btf::Type)| {
            use Kind::*;
            matches!(
                t.kind,
                Struct { .. } | Union { .. } | Enum { .. } | Fwd { .. }
            )
        };
        if ty.name.is_empty() || btf.named(&ty.name).filter(same_name).count() != 1 {
            continue;
        }
        let name = &ty.name;
        writeln!(
            text,
            "_Static_assert(sizeof({word} {name}) == {}, \"{name}\");",
            btf.size_of(id).unwrap()
        )
        .unwrap();
        count += 1;
        for member in ty.kind.members().unwrap() {
            if !member.name.is_empty() && member.bits == 0 {
                writeln!(
                    text,
                    "_Static_assert(__builtin_offsetof({word} {name}, {0}) == {1}, \"{name}.{0}\");",
                    member.name,
                    member.bit_offset / 8
                )
                .unwrap();
                count += 1;
            }
        }
    }
    (text, count)
}

#[test]
fn vmlinux_compiles_to_the_same_layout() {
    let Ok(bytes) = std::fs::read("/sys/kernel/btf/vmlinux") else {
        println!("skipped: no /sys/kernel/btf/vmlinux");
        return;
    };
    let btf = Btf::parse(&bytes).unwrap();
    let mut source = btf.to_c().unwrap();
    let (asserted, count) = assertions(&btf);
    source.push_str(&asserted);
    if let Some(result) = compile("vmlinux", &source) {
        result.unwrap();
        assert!(count > 1000, "only {count} assertions");
    }
}

#[test]
fn declarations_read_as_c() {
    let mut b = Builder::new();
    let int = b.signed("int", 4);
    let constant = b.add("", Kind::Const(int));
    let pointer = b.ptr(constant);
    let array = b.add(
        "",
        Kind::Array {
            element: pointer,
            index: int,
            len: 4,
        },
    );
    let to_array = b.ptr(array);
    let task = b.structure("task", 8, &[("next", TypeId(7), 0)]);
    let to_task = b.ptr(task);
    let proto = b.func("f", pointer, &[("task", to_task), ("", int)]);
    let Kind::Func { proto, .. } = b.get_mut(proto).unwrap().kind else {
        panic!()
    };
    let callback = b.ptr(proto);
    let pointer_itself_const = b.add("", Kind::Const(to_task));
    let unnamed = b.structure("", 4, &[("x", int, 0)]);
    let btf = b.finish().unwrap();
    for (id, declared) in [
        (int, "int v"),
        (pointer, "const int *v"),
        (array, "const int *v[4]"),
        (to_array, "const int *(*v)[4]"),
        (to_task, "struct task *v"),
        (callback, "const int *(*v)(struct task *task, int)"),
        (pointer_itself_const, "struct task *const v"),
        (unnamed, "struct {...} v"),
    ] {
        assert_eq!(btf.declare(id, "v"), declared);
    }
}
