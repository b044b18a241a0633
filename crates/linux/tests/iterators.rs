//! Iterators: text about every object of a kind.
#![cfg(target_os = "linux")]

mod common;

use std::collections::BTreeMap;

use common::{alone, bpftool, linux, load};
use panal_linux::{Cgroup, LinuxKernel};
use panal_loader::{Loaded, Placement};
use panal_uapi::kernel::{IteratorOver, Kernel};

fn read(kernel: &LinuxKernel, loaded: &Loaded<'_>, over: IteratorOver) -> String {
    let placement = Placement {
        iterate: Some(over),
        ..Placement::default()
    };
    let link = loaded
        .attach_at(&loaded.programs()[0], &placement)
        .expect("attaches");
    let mut text = Vec::new();
    let mut sink = |bytes: &[u8]| text.extend_from_slice(bytes);
    kernel.iterate(&link, &mut sink).expect("readable");
    String::from_utf8(text).expect("UTF-8")
}

#[test]
fn the_elements_of_a_map() {
    let _alone = alone();
    let Some(kernel) = linux() else { return };
    let loaded = load(&kernel, "iterators.bpf.o", "elements").expect("loads");
    let map = &loaded.map("squares").expect("the map").fd;
    // More than one read(2) takes.
    let expected: BTreeMap<u32, u64> = (0..1000)
        .map(|n| (n, u64::from(n) * u64::from(n)))
        .collect();
    for (key, value) in &expected {
        kernel
            .map_update(map, &key.to_ne_bytes(), &value.to_ne_bytes(), 0)
            .expect("room");
    }
    let text = read(&kernel, &loaded, IteratorOver::Map(map.number()));
    let pairs: BTreeMap<u32, u64> = text
        .lines()
        .map(|line| {
            let (key, value) = line.split_once(' ').expect("two numbers");
            (key.parse().expect("key"), value.parse().expect("value"))
        })
        .collect();
    assert_eq!(pairs, expected);
    assert_eq!(text.lines().count(), expected.len(), "each once");
}

#[test]
fn the_threads_of_a_process() {
    let _alone = alone();
    let Some(kernel) = linux() else { return };
    let loaded = load(&kernel, "iterators.bpf.o", "tasks").expect("loads");
    let pid = std::process::id();
    let text = read(&kernel, &loaded, IteratorOver::Process(pid));
    let mut listed: Vec<String> = std::fs::read_dir("/proc/self/task")
        .expect("threads")
        .map(|e| format!("{pid} {}", e.expect("entry").file_name().to_string_lossy()))
        .collect();
    let mut told: Vec<String> = text.lines().map(str::to_owned).collect();
    listed.sort();
    told.sort();
    assert_eq!(told, listed);
}

#[test]
fn a_cgroup_and_those_below() {
    let _alone = alone();
    let Some(kernel) = linux() else { return };
    let cgroup = match Cgroup::new() {
        Ok(cgroup) => cgroup,
        Err(e) => return println!("skipped: {e}"),
    };
    let below = cgroup.path().join("below");
    std::fs::create_dir(&below).expect("a cgroup below");
    let loaded = load(&kernel, "iterators.bpf.o", "cgroups").expect("loads");
    let over = IteratorOver::Cgroup {
        path: cgroup.path().to_str().expect("UTF-8").to_owned(),
        order: 2,
    };
    let text = read(&kernel, &loaded, over);
    let inode = |path| {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(path).expect("there").ino()
    };
    let expected = format!("{}\n{}\n", cgroup.id(), inode(&below));
    std::fs::remove_dir(&below).expect("empty");
    assert_eq!(text, expected);
}

#[test]
fn all_maps_of_the_kernel() {
    let _alone = alone();
    let Some(kernel) = linux() else { return };
    let loaded = load(&kernel, "iterators.bpf.o", "maps").expect("loads");
    let id = kernel
        .map_info(&loaded.map("squares").expect("the map").fd)
        .expect("info")
        .id;
    let text = read(&kernel, &loaded, IteratorOver::Everything);
    assert!(
        text.lines().any(|line| line == id.to_string()),
        "{id} in {text}"
    );
    let Some(listed) = bpftool(&["map", "show", "id", &id.to_string()]) else {
        return println!("skipped: bpftool is not installed");
    };
    assert!(listed.contains("\"name\":\"squares\""), "{listed}");
}

#[test]
fn what_an_iterator_does_not_go_through_is_told() {
    let _alone = alone();
    let Some(kernel) = linux() else { return };
    let loaded = load(&kernel, "iterators.bpf.o", "elements").expect("loads");
    let error = loaded.attach(&loaded.programs()[0]).map(drop);
    let text = error.expect_err("no map is named").to_string();
    assert!(
        text.contains("EBADF") && text.ends_with("goes through a map: name it"),
        "{text}"
    );
}
