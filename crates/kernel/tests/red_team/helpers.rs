//! Every helper and kernel function with arguments that no signature allows.

use panal_testkit::Random;
use panal_uapi::{ProgType, helpers, kfuncs};

use crate::arena::Arena;

/// Values of an argument: code that loads it into `rN`.
fn values(arena: &Arena) -> Vec<String> {
    let (cage, size) = arena.kernel.cage();
    let end = cage + size;
    let mut values: Vec<String> = [
        0,
        1,
        8,
        64,
        4096,
        0x7fff_ffff,
        0xffff_ffff,
        1 << 31,
        1 << 63,
        u64::MAX,
        0xffff_8000_0000_0000,
        0x1234_0000_0000_0000,
        cage,
        cage - 1,
        cage - 8,
        end,
        end - 1,
        end - 8,
        cage + 4096,
        1 << 24,
        1 << 30,
    ]
    .into_iter()
    .chain(arena.targets())
    .map(|value| format!("= {value:#x} ll"))
    .collect();
    values.extend(["= r10", "= r6"].map(str::to_owned));
    values.extend(
        arena
            .maps
            .iter()
            .map(|(name, _)| format!("= map[{name}] ll")),
    );
    values.push("= subprog[f] ll".to_owned());
    values
}

const TYPES: [ProgType; 3] = [ProgType::SocketFilter, ProgType::Xdp, ProgType::SchedCls];

/// Calls `call` with every value in every place, the others at random, and then all at random.
fn bombard(arena: &mut Arena, call: &str) {
    let values = values(arena);
    let mut random = Random::new(0x9e37_79b9_7f4a_7c15);
    let rounds = values.len() * 5 + 40;
    for round in 0..rounds {
        let mut text = String::from("r6 = r1\n");
        for place in 0..5 {
            let value = match round / values.len() == place {
                true => round % values.len(),
                false => random.below(values.len()),
            };
            text += &format!("r{} {}\n", place + 1, values[value]);
        }
        // What comes back is used as a pointer, too.
        text += &format!(
            "{call}\nr7 = r0\nr0 = *(u64 *)(r7 + 0)\n*(u64 *)(r7 + 0) = 1\nr0 = 0\nexit\nf:\nr0 = 0\nexit"
        );
        let program = arena.load(TYPES[round % TYPES.len()], &text);
        let _ = arena.started(&program, &text);
    }
}

pub fn every_helper(arena: &mut Arena) {
    let mut count = 0;
    for helper in helpers::all().filter(|h| panal_kernel::is_implemented(h.id)) {
        eprintln!("helper {}", helper.name);
        bombard(arena, &format!("call {}", helper.id));
        count += 1;
    }
    assert!(count > 100, "{count} helpers");
}

pub fn every_kernel_function(arena: &mut Arena) {
    let btf = panal_kernel::own_profile().btf;
    let mut count = 0;
    for kfunc in kfuncs::all() {
        let Some(id) = btf.find(kfunc.name, panal_btf::KindTag::Func) else {
            continue;
        };
        eprintln!("kernel function {}", kfunc.name);
        bombard(arena, &format!("call kfunc#{}", id.0));
        count += 1;
    }
    assert!(count > 5, "{count} kernel functions");
}
