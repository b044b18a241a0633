//! Real BTF: the kernel's and that of Debian's objects, when there are any.

use object::{Object as _, ObjectSection as _};
use panal_btf::{Access, AccessError, Btf, BtfExt, Kind, KindTag, TypeId};

/// The kernel's BTF, or why there is none.
fn vmlinux() -> Option<Vec<u8>> {
    match std::fs::read("/sys/kernel/btf/vmlinux") {
        Ok(bytes) => Some(bytes),
        Err(e) => {
            println!("skipped: /sys/kernel/btf/vmlinux: {e}");
            None
        }
    }
}

#[test]
fn vmlinux_comes_back_byte_for_byte() {
    let Some(bytes) = vmlinux() else { return };
    let btf = Btf::parse(&bytes).unwrap();
    assert!(btf.to_bytes().unwrap() == bytes);
}

#[test]
fn task_struct_is_found() {
    let Some(bytes) = vmlinux() else { return };
    let btf = Btf::parse(&bytes).unwrap();
    let task = btf.find("task_struct", KindTag::Struct).unwrap();
    let pid = btf.member(task, "pid").unwrap();
    assert_eq!(btf.size_of(pid.ty), Some(4));
    assert_eq!(btf.name(pid.ty), "pid_t");
    assert!(matches!(btf.resolve(pid.ty).1.kind, Kind::Int { .. }));
    assert_eq!(
        btf.member_by_path(task, "se.run_node.rb_left")
            .unwrap()
            .bit_offset
            % 64,
        0
    );
    assert_eq!(btf.size_of(TypeId::VOID), None);
}

#[test]
fn accesses_into_task_struct_are_those_of_linux() {
    let Some(bytes) = vmlinux() else { return };
    let btf = Btf::parse(&bytes).unwrap();
    let task = btf.find("task_struct", KindTag::Struct).unwrap();
    let at = |path| btf.member_by_path(task, path).unwrap().bit_offset / 8;
    assert!(matches!(
        btf.access(task, at("pid"), 4),
        Ok(Access::Scalar { .. })
    ));
    assert!(matches!(
        btf.access(task, at("pid"), 2),
        Ok(Access::Scalar { .. })
    ));
    let Ok(Access::Pointer(mm)) = btf.access(task, at("mm"), 8) else {
        panic!()
    };
    assert_eq!(
        (btf.name(mm.target), mm.member, mm.through_union),
        ("mm_struct", "mm", false)
    );
    assert_eq!(
        btf.access(task, at("mm") + 4, 4).unwrap_err().to_string(),
        format!(
            "cannot access ptr member mm with moff {0} in struct task_struct with off {1} size 4",
            at("mm"),
            at("mm") + 4
        )
    );
    let size = btf.size_of(task).unwrap();
    assert!(matches!(
        btf.access(task, size, 8),
        Err(AccessError::Beyond { .. })
    ));
    let Ok(Access::Pointer(next)) = btf.access(task, at("tasks"), 8) else {
        panic!()
    };
    assert_eq!((btf.name(next.within), next.member), ("list_head", "next"));
}

/// Files with BTF in them that this machine may have.
fn files() -> Vec<std::path::PathBuf> {
    let mut files = vec!["/sys/kernel/btf/vmlinux".into()];
    for dir in ["/usr/lib/x86_64-linux-gnu/bpf", "/usr/lib/bpf"] {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        files.extend(
            entries
                .map(|e| e.path())
                .filter(|p| p.extension() == Some("o".as_ref())),
        );
    }
    files.push(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/core_relo/local.o").into());
    files
}

/// The sections of a file: all of it if it is no ELF.
fn sections(file: &std::path::Path) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let bytes = std::fs::read(file).ok()?;
    let Ok(elf) = object::File::parse(&*bytes) else {
        return Some((bytes, None));
    };
    let section = |name| Some(elf.section_by_name(name)?.data().ok()?.to_vec());
    Some((section(".BTF")?, section(".BTF.ext")))
}

#[test]
fn types_are_those_that_bpftool_sees() {
    for file in files() {
        let Some((bytes, _)) = sections(&file) else {
            continue;
        };
        let dump = std::process::Command::new("bpftool")
            .args(["btf", "dump", "file"])
            .arg(&file)
            .output();
        let dump = match dump {
            Ok(dump) if dump.status.success() => String::from_utf8(dump.stdout).unwrap(),
            Ok(_) => return println!("skipped: bpftool cannot read {}", file.display()),
            Err(e) => return println!("skipped: bpftool: {e}"),
        };
        let btf = Btf::parse(&bytes).unwrap();
        let raw = (1..btf.len()).map(|id| btf.raw(TypeId(id as u32)).unwrap().to_string() + "\n");
        let raw: String = raw.collect();
        for (ours, theirs) in raw.lines().zip(dump.lines()) {
            assert_eq!(ours, theirs, "{}", file.display());
        }
        assert_eq!(raw.lines().count(), dump.lines().count());
    }
}

#[test]
fn records_of_objects_are_read() {
    let mut seen = 0;
    for file in files() {
        let Some((bytes, Some(ext))) = sections(&file) else {
            continue;
        };
        let btf = Btf::parse(&bytes).unwrap();
        let ext = BtfExt::parse(&ext, &btf).unwrap();
        assert!(!ext.functions.is_empty(), "{}", file.display());
        for line in ext.lines.iter().flat_map(|section| &section.records) {
            assert!(btf.string(line.file).unwrap().ends_with(['c', 'h']));
        }
        seen += 1;
    }
    assert!(seen > 0);
}
