//! What a selftest expects, from the declaration tags of its functions.

use std::collections::BTreeMap;

use panal_btf::KindTag;
use panal_object::Object;

/// Expectations of one program for one kind of loader.
#[derive(Clone, Debug, Default)]
pub struct Expectation {
    /// Whether it is to be accepted; `None` where the selftest does not say.
    pub accept: Option<bool>,
    /// Texts that the log is to contain, in this order.
    pub messages: Vec<String>,
    /// What a run is to return.
    pub retval: Option<String>,
}

/// Expectations of one program.
#[derive(Clone, Debug, Default)]
pub struct Expectations {
    /// Loaded with every capability.
    privileged: Expectation,
    /// Loaded without any; what it does not say is as above.
    unprivileged: Expectation,
    /// `BPF_F_*` of the load.
    pub flags: u32,
    /// Level of the log in which the texts are looked for.
    pub log_level: u32,
}

/// Who loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loader {
    /// With every capability.
    Privileged,
    /// Without any.
    Unprivileged,
}

impl Expectations {
    /// What is expected when this loader loads it.
    pub fn of(&self, loader: Loader) -> Expectation {
        let (own, other) = match loader {
            Loader::Privileged => return self.privileged.clone(),
            Loader::Unprivileged => (&self.unprivileged, &self.privileged),
        };
        let messages = match own.messages.is_empty() {
            true => &other.messages,
            false => &own.messages,
        };
        Expectation {
            accept: own.accept.or(other.accept),
            messages: messages.clone(),
            retval: own.retval.clone().or_else(|| other.retval.clone()),
        }
    }
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

/// What a selftest writes that returns an address, which it cannot know.
const POINTER: &str = "POINTER_VALUE";

/// Return values that have names.
const RETURN_VALUES: &[(&str, i64)] = &[("INT_MIN", i32::MIN as i64), ("TEST_DATA_LEN", 64)];

impl Expectation {
    /// Whether the selftest says that an address is returned: kernels cannot return the same, only
    /// null or not.
    pub fn returns_pointer(&self) -> bool {
        self.retval.as_deref() == Some(POINTER)
    }

    /// The return value as a number; `None` where any will do.
    pub fn returns(&self) -> Option<u32> {
        let text = self.retval.as_deref()?;
        if let Some((_, value)) = RETURN_VALUES.iter().find(|(name, _)| *name == text) {
            return Some(*value as u32);
        }
        let number = match text.strip_prefix("0x") {
            Some(digits) => i64::from_str_radix(digits, 16),
            None => text.parse(),
        };
        number.ok().map(|n| n as u32)
    }
}

/// Expectations by program.
pub fn read(object: &Object) -> BTreeMap<String, Expectations> {
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
        let mut expected = Expectations::default();
        for tag in tags.of(id) {
            take(&mut expected, tag);
        }
        found.insert(name, expected);
    }
    found
}

fn take(expected: &mut Expectations, tag: &str) {
    let Some(tag) = tag.strip_prefix("comment:") else {
        return;
    };
    let (name, value) = tag.split_once('=').unwrap_or((tag, ""));
    let (name, loader) = match name.strip_suffix("_unpriv") {
        Some(name) => (name, &mut expected.unprivileged),
        None => (name, &mut expected.privileged),
    };
    match name {
        "test_expect_success" => loader.accept = Some(true),
        "test_expect_failure" => loader.accept = Some(false),
        // Numbered, as a compiler keeps only one of two equal tags: `test_expect_msg=3=text`.
        "test_expect_msg" => {
            let text = value.split_once('=').map_or(value, |(_, text)| text);
            loader.messages.push(text.to_owned());
        }
        "test_retval" => loader.retval = Some(value.to_owned()),
        "test_prog_flags" => expected.flags |= flags(value),
        "test_log_level" => expected.log_level = value.parse().unwrap_or_default(),
        _ => {}
    }
}

/// `BPF_F_A|BPF_F_B`; a `!` clears a flag that is off anyway.
fn flags(names: &str) -> u32 {
    names
        .split('|')
        .filter_map(|name| FLAGS.iter().find(|(known, _)| *known == name.trim()))
        .fold(0, |flags, (_, flag)| flags | flag)
}
