//! Objects compiled here and now, for every version of the instruction set and level of
//! optimisation: they open, and mean the same as the committed ones.
#![allow(missing_docs)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use panal_object::{Fault, Object, Origin};

fn sources() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/objects");
    let files = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let mut sources: Vec<_> = files
        .filter(|p| p.to_string_lossy().ends_with(".bpf.c"))
        .collect();
    sources.sort();
    sources
}

/// Compilers that are installed.
fn compilers() -> Vec<&'static str> {
    let there = |name: &&str| Command::new(name).arg("--version").output().is_ok();
    let found: Vec<_> = ["clang-22", "clang-19"].into_iter().filter(there).collect();
    if found.is_empty() {
        println!("skipped: neither clang-22 nor clang-19 is installed");
    }
    found
}

fn compile(compiler: &str, source: &Path, flags: &[&str]) -> Result<Vec<u8>, String> {
    let out = std::env::temp_dir().join(format!(
        "panal-object-{}-{:?}.o",
        std::process::id(),
        std::thread::current().id()
    ));
    let run = Command::new(compiler)
        .args(["-c", "-fdebug-compilation-dir=."])
        .args(flags)
        .arg(source.file_name().unwrap())
        .arg("-o")
        .arg(&out)
        .current_dir(source.parent().unwrap())
        .output()
        .unwrap();
    if !run.status.success() {
        return Err(String::from_utf8_lossy(&run.stderr).into_owned());
    }
    let bytes = fs::read(&out).unwrap();
    fs::remove_file(&out).unwrap();
    Ok(bytes)
}

/// What does not depend on how the code was optimised.
fn meaning(object: &Object) -> Vec<String> {
    let mut lines: Vec<String> = object
        .programs()
        .map(|(_, f)| format!("program {} {} {}", f.section, f.name, f.ty.is_some()))
        .collect();
    for map in object.maps() {
        let d = &map.definition;
        let contents = match &map.origin {
            Origin::Data(data) => format!("{:?}", data.variables.iter().map(|v| &v.name).max()),
            Origin::Defined(elements) => format!("{}", elements.len()),
            _ => String::new(),
        };
        lines.push(format!(
            "map {} {} {} {} {} {contents}",
            map.name, d.map_type, d.key_size, d.max_entries, d.flags
        ));
    }
    lines.extend(
        object
            .externs()
            .iter()
            .map(|e| format!("extern {} {}", e.name, e.weak)),
    );
    lines.sort();
    lines
}

/// Every version of the instruction set and every level, each at least once.
const VARIANTS: [(&str, &str); 5] = [
    ("-mcpu=v1", "-O2"),
    ("-mcpu=v2", "-O3"),
    ("-mcpu=v3", "-O1"),
    ("-mcpu=v4", "-O1"),
    ("-mcpu=v4", "-O3"),
];

#[test]
fn every_instruction_set_and_optimisation_means_the_same() {
    for compiler in compilers() {
        for source in sources() {
            let committed = fs::read(source.with_extension("o")).unwrap();
            let committed = meaning(&Object::parse(&committed).unwrap());
            for (cpu, level) in VARIANTS {
                let flags = ["-target", "bpfel", "-g", level, cpu];
                let what = format!("{} {compiler} {cpu} {level}", source.display());
                let bytes =
                    compile(compiler, &source, &flags).unwrap_or_else(|e| panic!("{what}: {e}"));
                let object = Object::parse(&bytes).unwrap_or_else(|e| panic!("{what}: {e}"));
                assert_eq!(meaning(&object), committed, "{what}");
            }
        }
    }
}

#[test]
fn committed_objects_are_what_the_sources_give() {
    if !compilers().contains(&"clang-22") {
        println!("skipped: clang-22 is not installed");
        return;
    }
    for source in sources() {
        let flags = ["-target", "bpfel", "-O2", "-g", "-mcpu=v3"];
        let bytes = compile("clang-22", &source, &flags).unwrap();
        let committed = fs::read(source.with_extension("o")).unwrap();
        assert!(
            bytes == committed,
            "{}: run tests/objects/build.sh",
            source.display()
        );
    }
}

#[test]
fn without_debug_information_only_legacy_maps_open() {
    for compiler in compilers() {
        for source in sources() {
            let Ok(bytes) = compile(compiler, &source, &["-target", "bpfel", "-O2"]) else {
                continue; // CO-RE builtins need -g.
            };
            let name = source.file_name().unwrap().to_string_lossy().into_owned();
            match Object::parse(&bytes) {
                Ok(object) => assert!(object.btf().is_none()),
                Err(error) => {
                    let expected = matches!(error.fault, Fault::NoBtf | Fault::Undefined(_));
                    assert!(expected, "{name}: {error}");
                    assert_ne!(name, "legacy_maps.bpf.c");
                }
            }
        }
    }
}

#[test]
fn objects_for_other_machines_are_refused_clearly() {
    let Some(compiler) = compilers().first().copied() else {
        return;
    };
    let source = sources()
        .into_iter()
        .find(|s| s.ends_with("programs.bpf.c"))
        .unwrap();
    let fault = |flags: &[&str]| {
        let bytes = compile(compiler, &source, flags).unwrap();
        Object::parse(&bytes).unwrap_err().fault
    };
    assert_eq!(fault(&["-target", "bpfeb", "-O2", "-g"]), Fault::BigEndian);
    assert_eq!(fault(&["-target", "bpfel", "-O2", "-flto"]), Fault::Bitcode);
    let empty = std::env::temp_dir().join(format!("panal-empty-{}.c", std::process::id()));
    fs::write(&empty, "int x;\n").unwrap();
    let native = compile(compiler, &empty, &[]).map(|b| Object::parse(&b).unwrap_err().fault);
    fs::remove_file(&empty).unwrap();
    if let Ok(fault) = native {
        assert!(matches!(fault, Fault::Machine(_)), "{fault:?}");
    }
}
