//! The house of DESIGN: imports go only down, and `unsafe` lives where it may.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Storeys from the ground up: a crate may import only from storeys below its own.
const STOREYS: &[&[&str]] = &[
    &["panal-isa"],
    &["panal-btf"],
    &["panal-object"],
    &["panal-uapi"],
    &["panal-verifier"],
    &["panal-vm"],
    &["panal-maps"],
    &[
        "panal-kernel",
        "panal-linux",
        "panal-loader",
        "panal-profile",
        "panal-remote",
    ],
    &["panal"],
    &["panal-intercept"],
    &["panal-cli"],
    // For tests alone.
    &["panal-testkit"],
];

/// Imports that the storeys would allow but the design forbids.
const NEVER: &[(&str, &str)] = &[
    ("panal-loader", "panal-verifier"),
    ("panal-loader", "panal-vm"),
    ("panal-loader", "panal-maps"),
    ("panal-linux", "panal-verifier"),
    ("panal-linux", "panal-vm"),
    ("panal-linux", "panal-maps"),
    ("panal-maps", "panal-vm"),
    ("panal-maps", "panal-verifier"),
];

const NO_UNSAFE: &[&str] = &[
    "isa", "btf", "object", "uapi", "verifier", "loader", "profile", "remote", "cli",
];
const NO_STD: &[&str] = &["isa", "btf", "object", "uapi", "verifier", "vm"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the root")
        .into()
}

/// Our crates, each with our crates that it depends on (tests may import what they like).
fn imports() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .expect("cargo metadata runs");
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let mut all = BTreeMap::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let dependencies = package["dependencies"].as_array().expect("dependencies");
        let ours = dependencies
            .iter()
            .filter(|d| d["kind"].is_null())
            .filter_map(|d| d["name"].as_str())
            .filter(|n| n.starts_with("panal"))
            .map(str::to_owned)
            .collect();
        all.insert(package["name"].as_str().expect("name").to_owned(), ours);
    }
    all
}

fn storey(name: &str) -> Option<usize> {
    STOREYS.iter().position(|s| s.contains(&name))
}

#[test]
fn imports_only_go_down() {
    for (name, dependencies) in imports() {
        let Some(own) = storey(&name) else { continue };
        for dependency in dependencies {
            let below = storey(&dependency)
                .unwrap_or_else(|| panic!("{dependency} has no storey in this test"));
            assert!(
                below < own,
                "{name} imports {dependency}, which is not below it"
            );
            assert!(
                !NEVER.contains(&(name.as_str(), dependency.as_str())),
                "{name} must never import {dependency}"
            );
        }
    }
}

#[test]
fn every_crate_has_a_storey() {
    for entry in fs::read_dir(root().join("crates")).expect("crates/") {
        let folder = entry
            .expect("entry")
            .file_name()
            .into_string()
            .expect("UTF-8");
        let name = if folder == "panal" {
            folder
        } else {
            format!("panal-{folder}")
        };
        assert!(storey(&name).is_some(), "crates/{name} stands in no storey");
    }
}

#[test]
fn crates_without_unsafe_forbid_it() {
    for name in NO_UNSAFE {
        let file = ["lib.rs", "main.rs"]
            .map(|f| root().join("crates").join(name).join("src").join(f))
            .into_iter()
            .find(|f| f.exists())
            .expect("a root module");
        let text = fs::read_to_string(&file).expect("readable");
        assert!(
            text.contains("#![forbid(unsafe_code)]"),
            "{} lacks the lint",
            file.display()
        );
    }
}

#[test]
fn crates_without_std_say_so() {
    for name in NO_STD {
        let file = root().join("crates").join(name).join("src/lib.rs");
        let text = fs::read_to_string(&file).expect("readable");
        assert!(text.contains("no_std"), "{} is not no_std", file.display());
    }
}
