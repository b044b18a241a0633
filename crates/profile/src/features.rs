//! The answers of a kernel, by name: as they are stored, shown and taken into a profile.

use std::collections::BTreeMap;

use panal_uapi::{
    Capabilities, MapType, ProgType,
    helpers::{self, HelperSet},
    instructions::InstructionGroup,
    kfuncs,
    profile::{Offers, at_least},
};
use serde::{Deserialize, Serialize};

/// Whether a kernel has something: `true`, `false`, or why that could not be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// It has, or has not.
    Known(bool),
    /// It could not be told: why.
    Unknown(String),
}

impl Answer {
    /// It has.
    pub const YES: Answer = Answer::Known(true);
    /// It has not.
    pub const NO: Answer = Answer::Known(false);

    /// Yes or no; `None` where that could not be told.
    pub fn known(&self) -> Option<bool> {
        match self {
            Answer::Known(yes) => Some(*yes),
            Answer::Unknown(_) => None,
        }
    }

    /// Why it could not be told.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Answer::Known(_) => None,
            Answer::Unknown(why) => Some(why),
        }
    }
}

/// A kernel function that programs may call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelFunction {
    /// Whether it can be called.
    pub here: Answer,
    /// The `KF_*` flags as Panal's tables have them, lower case.
    pub flags: Vec<String>,
}

/// What a kernel says that it has. Names are those of bpftool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Features {
    /// `linux 6.18.44`, …
    pub kernel: String,
    /// `LINUX_VERSION_CODE`
    pub version: u32,
    /// CPUs that it can have; 0 where that was not asked.
    pub cpus: u32,
    /// Capabilities of who asked, by bits of [`Capabilities`].
    pub capabilities: u32,
    /// Program types.
    pub program_types: BTreeMap<String, Answer>,
    /// Map types.
    pub map_types: BTreeMap<String, Answer>,
    /// Helpers without `bpf_`, by program type; or why they could not be asked about.
    pub helpers: BTreeMap<String, Result<Vec<String>, String>>,
    /// Groups of instructions.
    pub instructions: BTreeMap<String, Answer>,
    /// What the verifier allows.
    pub verifier: BTreeMap<String, Answer>,
    /// Attach types that the kernel's own types name, and those that were tried.
    pub attach_types: BTreeMap<String, Answer>,
    /// Kinds of links that the kernel's own types name.
    pub links: BTreeMap<String, Answer>,
    /// Kernel functions.
    pub kernel_functions: BTreeMap<String, KernelFunction>,
    /// Settings under `/proc/sys`, where they can be read.
    pub sysctls: BTreeMap<String, Option<i64>>,
    /// Options of the kernel's configuration; `None` where they are off.
    pub config: Option<BTreeMap<String, Option<String>>>,
}

impl Features {
    /// Reads answers that [`Captured`](crate::Captured) keeps packed.
    ///
    /// # Errors
    /// Text that is no JSON, or not of this shape.
    pub fn from_json(text: &[u8]) -> Result<Features, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// What a profile takes of it.
    pub fn offers(&self) -> Offers {
        fn known<T: Ord>(
            answers: &BTreeMap<String, Answer>,
            find: impl Fn(&str) -> Option<T>,
        ) -> BTreeMap<T, bool> {
            answers
                .iter()
                .filter_map(|(name, answer)| Some((find(name)?, answer.known()?)))
                .collect()
        }
        let helpers = self.helpers.iter().filter_map(|(name, said)| {
            let ids: Vec<u32> = said
                .as_ref()
                .ok()?
                .iter()
                .filter_map(|name| Some(helpers::by_name(name)?.id))
                .collect();
            // A type that the kernel has not says nothing of helpers.
            let here = self.program_types.get(name)?.known()?;
            here.then_some((ProgType::from_name(name)?, HelperSet::of(&ids)))
        });
        let may_call = |(name, function): (&String, &KernelFunction)| {
            let by_version =
                || kfuncs::by_name(name).is_some_and(|known| at_least(self.version, known.since));
            function
                .here
                .known()
                .unwrap_or_else(by_version)
                .then(|| name.clone())
        };
        let asked = !self.kernel_functions.is_empty();
        Offers {
            prog_types: known(&self.program_types, ProgType::from_name),
            map_types: known(&self.map_types, MapType::from_name),
            instructions: known(&self.instructions, InstructionGroup::from_name),
            helpers: helpers.collect(),
            kfuncs: asked.then(|| self.kernel_functions.iter().filter_map(may_call).collect()),
        }
    }

    /// What who asked may do.
    pub fn capabilities(&self) -> Capabilities {
        Capabilities::from_bits_truncate(self.capabilities as _)
    }

    /// Everything that could not be told, with the reason.
    pub fn reasons(&self) -> BTreeMap<String, String> {
        let answers = [
            ("program type", &self.program_types),
            ("map type", &self.map_types),
            ("instructions", &self.instructions),
            ("verifier", &self.verifier),
            ("attach type", &self.attach_types),
            ("link", &self.links),
        ];
        let mut reasons = BTreeMap::new();
        for (what, answers) in answers {
            for (name, answer) in answers {
                if let Some(why) = answer.reason() {
                    reasons.insert(format!("{what} {name}"), why.to_owned());
                }
            }
        }
        for (name, said) in &self.helpers {
            if let Err(why) = said {
                reasons.insert(format!("helpers of {name}"), why.clone());
            }
        }
        for (name, function) in &self.kernel_functions {
            if let Some(why) = function.here.reason() {
                reasons.insert(format!("kernel function {name}"), why.to_owned());
            }
        }
        reasons
    }
}
