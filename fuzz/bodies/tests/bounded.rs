//! Replays the corpus and runs a bounded, seeded mutation of it: what `cargo test` can do without
//! a fuzzer. `PANAL_FUZZ_SECONDS` sets the time for each target (default 1), `PANAL_FUZZ_TARGET`
//! chooses one.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use panal_fuzz_bodies::{BODIES, Body};
use panal_parity::rng::Rng;

fn fuzz_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The seeds of a target, in the order of their names.
fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = fuzz_dir().join("corpus").join(name);
    let entries = fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect()
}

/// Changes a few bytes in one of the ways that find bugs in parsers.
fn mutate(data: &mut Vec<u8>, other: &[u8], random: &mut Rng) {
    for _ in 0..=random.below(4) {
        let at = random.below(data.len());
        match random.below(8) {
            0 => data.truncate(at),
            1 => data.insert(at.min(data.len()), random.next() as u8),
            2 if !data.is_empty() => drop(data.remove(at)),
            3 => {
                let end = (at + 1 + random.below(16)).min(data.len());
                let piece = data[at.min(end)..end].to_vec();
                let to = random.below(data.len() + 1);
                data.splice(to..to, piece);
            }
            4 => {
                let from = random.below(other.len());
                let end = (from + 1 + random.below(32)).min(other.len());
                let to = random.below(data.len() + 1);
                data.splice(to..to, other[from.min(end)..end].iter().copied());
            }
            5 => {
                const NUMBERS: [u32; 8] = [
                    0,
                    1,
                    0xff,
                    0xffff,
                    0x7fff_ffff,
                    0x8000_0000,
                    u32::MAX,
                    0x1000_0000,
                ];
                let number = NUMBERS[random.below(NUMBERS.len())].to_le_bytes();
                for (place, byte) in data.iter_mut().skip(at).zip(number) {
                    *place = byte;
                }
            }
            _ => {
                if let Some(byte) = data.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
}

fn seconds() -> Duration {
    let text = std::env::var("PANAL_FUZZ_SECONDS").unwrap_or_default();
    Duration::from_secs_f64(text.parse().unwrap_or(1.0))
}

/// Runs the body; a panic names the input, so that it can join the corpus.
fn run(name: &str, body: Body, data: &[u8], origin: &str) {
    let result = std::panic::catch_unwind(|| body(data));
    if result.is_err() {
        let file = std::env::temp_dir().join(format!("panal-fuzz-{name}-{}", std::process::id()));
        fs::write(&file, data).unwrap();
        panic!(
            "target {name}, {origin}: panicked; the input is in {}",
            file.display()
        );
    }
}

#[test]
fn every_target_survives_its_corpus_and_mutations_of_it() {
    let chosen = std::env::var("PANAL_FUZZ_TARGET").ok();
    let is_chosen = |name: &str| chosen.as_ref().is_none_or(|chosen| chosen == name);
    for (name, body) in BODIES.iter().filter(|(name, _)| is_chosen(name)) {
        let seeds = corpus(name);
        assert!(!seeds.is_empty(), "target {name} has no seeds");
        run(name, *body, &[], "empty input");
        for (path, data) in &seeds {
            run(name, *body, data, &path.display().to_string());
        }
        let mut random = Rng::new(1);
        let (start, limit) = (Instant::now(), seconds());
        let mut runs = 0u64;
        while start.elapsed() < limit {
            let mut data = seeds[random.below(seeds.len())].1.clone();
            mutate(&mut data, &seeds[random.below(seeds.len())].1, &mut random);
            run(name, *body, &data, &format!("mutation {runs}"));
            runs += 1;
        }
        println!("target {name}: {} seeds, {runs} mutations", seeds.len());
    }
}

#[test]
fn every_target_is_complete() {
    let manifest = fs::read_to_string(fuzz_dir().join("Cargo.toml")).unwrap();
    for (name, _) in BODIES {
        let thin = fuzz_dir().join(format!("fuzz_targets/{name}.rs"));
        let text = fs::read_to_string(&thin).unwrap_or_else(|e| panic!("{}: {e}", thin.display()));
        assert!(
            text.contains(&format!("panal_fuzz_bodies::{name}(data)")),
            "{}",
            thin.display()
        );
        let bin = format!("name = \"{name}\"\n");
        assert!(
            manifest.contains(&bin),
            "fuzz/Cargo.toml has no [[bin]] {name}"
        );
    }
    let thin = fs::read_dir(fuzz_dir().join("fuzz_targets"))
        .unwrap()
        .count();
    assert_eq!(
        thin,
        BODIES.len(),
        "a file in fuzz_targets/ has no line in BODIES"
    );
}
