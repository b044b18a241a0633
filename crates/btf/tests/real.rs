//! Real BTF: the kernel's and that of Debian's objects, when there are any.

use panal_btf::{Access, AccessError, Btf, Kind, KindTag, TypeId};

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
