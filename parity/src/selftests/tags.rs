//! What a selftest expects, from the declaration tags of its functions.

use std::collections::BTreeMap;

use panal_btf::KindTag;
use panal_object::Object;

/// Expectations of one program, privileged.
#[derive(Clone, Debug, Default)]
pub struct Expectation {
    /// Whether it is to be accepted; `None` where the selftest does not say.
    pub accept: Option<bool>,
    /// Text that the log is to contain.
    pub messages: Vec<String>,
    /// What a run is to return.
    pub retval: Option<String>,
    /// `BPF_F_*` of the load.
    pub flags: u32,
}

/// Names of load flags, as the tags write them.
const FLAGS: &[(&str, u32)] = &[
    ("BPF_F_STRICT_ALIGNMENT", 1 << 0),
    ("BPF_F_ANY_ALIGNMENT", 1 << 1),
    ("BPF_F_TEST_RND_HI32", 1 << 2),
    ("BPF_F_TEST_STATE_FREQ", 1 << 3),
    ("BPF_F_SLEEPABLE", 1 << 4),
    ("BPF_F_XDP_HAS_FRAGS", 1 << 5),
    ("BPF_F_TEST_REG_INVARIANTS", 1 << 7),
];

/// Expectations by program.
pub fn read(object: &Object) -> BTreeMap<String, Expectation> {
    let Some(btf) = object.btf() else {
        return BTreeMap::new();
    };
    let tags = btf.decl_tags();
    let mut found = BTreeMap::new();
    for (_, program) in object.programs() {
        let name = program.name.to_string();
        let Some(id) = btf.find(&name, KindTag::Func) else {
            continue;
        };
        let mut expected = Expectation::default();
        for tag in tags.of(id) {
            take(&mut expected, tag);
        }
        found.insert(name, expected);
    }
    found
}

fn take(expected: &mut Expectation, tag: &str) {
    let Some(tag) = tag.strip_prefix("comment:") else {
        return;
    };
    // Newer headers number their tags: `test_expect_msg=3,text`, `0:test_expect_msg=text`.
    let tag = tag
        .split_once(':')
        .filter(|(n, _)| n.parse::<u32>().is_ok())
        .map_or(tag, |t| t.1);
    match tag.split_once('=') {
        None if tag == "test_expect_success" => expected.accept = Some(true),
        None if tag == "test_expect_failure" => expected.accept = Some(false),
        Some(("test_expect_msg", text)) => expected.messages.push(text.to_owned()),
        Some(("test_retval", value)) => expected.retval = Some(value.to_owned()),
        Some(("test_prog_flags", names)) => expected.flags |= flags(names),
        _ => {}
    }
}

/// `BPF_F_A|BPF_F_B`; a `!` clears a flag that is off anyway.
fn flags(names: &str) -> u32 {
    names
        .split('|')
        .filter_map(|name| FLAGS.iter().find(|(known, _)| *known == name.trim()))
        .map(|(_, flag)| flag)
        .sum()
}
