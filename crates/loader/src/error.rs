//! What can go wrong between an object and a loaded program, and whose mistake it is.

use std::fmt;

use panal_object::Blame as ObjectBlame;
use panal_uapi::{
    Errno,
    kernel::{Failure, VerifierStats},
    report::Rejection,
    section::SectionError,
};

use crate::Place;

/// Whose mistake an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The file: damaged, or built in an unsupported way.
    File,
    /// The program's source.
    Source,
    /// The caller: asks for something that the object does not have.
    Caller,
    /// The kernel: lacks what the program needs, or refused.
    Kernel,
    /// Panal: does not support this yet.
    Unsupported,
}

/// Why an object was not loaded.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The object is malformed.
    #[error(transparent)]
    Object(#[from] panal_object::Error),
    /// A section name says no program type.
    #[error("program {program}: section {section:?}: {fault}")]
    Section {
        /// Program.
        program: String,
        /// Its section.
        section: String,
        /// What is wrong with it.
        fault: SectionError,
    },
    /// The object has no such program.
    #[error("no program {name:?}; there are: {}", known.join(", "))]
    NoProgram {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The object has no such map.
    #[error("no map {name:?}; there are: {}", known.join(", "))]
    NoMap {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The object has no such global variable.
    #[error("no global variable {0:?}")]
    NoVariable(String),
    /// A variable was given a value of the wrong size.
    #[error("variable {name}: {given} bytes given, it has {size}")]
    VariableSize {
        /// Variable.
        name: String,
        /// Bytes that it has.
        size: u32,
        /// Bytes that were given.
        given: usize,
    },
    /// A map type that nothing knows.
    #[error("map {map}: map type {number} does not exist")]
    MapType {
        /// Map.
        map: String,
        /// `enum bpf_map_type`
        number: u32,
    },
    /// A map that cannot be made, whatever the kernel.
    #[error("map {map}: {fault}")]
    Map {
        /// Map.
        map: String,
        /// What is wrong.
        fault: String,
    },
    /// What is pinned under the map's name is another kind of map.
    #[error("map {map}: what is pinned at {path} differs: {difference}")]
    Pinned {
        /// Map.
        map: String,
        /// Where it is pinned.
        path: String,
        /// How it differs.
        difference: String,
    },
    /// An external symbol that the kernel does not have.
    #[error("{what} {name} does not exist in {kernel}; declare it __weak if it may be missing")]
    Extern {
        /// `kernel function`
        what: &'static str,
        /// Its name.
        name: String,
        /// Which kernel.
        kernel: String,
    },
    /// An external symbol whose type differs from the kernel's.
    #[error("{name}: its declaration does not fit the type in {kernel}")]
    ExternType {
        /// Its name.
        name: String,
        /// Which kernel.
        kernel: String,
    },
    /// A configuration value that does not fit its variable.
    #[error("configuration value {name}={value}: {fault}")]
    Kconfig {
        /// Its name.
        name: String,
        /// Its value, as in the kernel's configuration.
        value: String,
        /// Why it does not fit.
        fault: &'static str,
    },
    /// A CO-RE relocation that makes no sense.
    #[error("program {program}: {function}, instruction {slot}: {fault}")]
    Core {
        /// Program.
        program: String,
        /// The function of it that has the instruction.
        function: String,
        /// Slot within the function.
        slot: u32,
        /// What is wrong.
        fault: String,
    },
    /// The kernel lacks what a program is to be attached to.
    #[error(
        "program {program}: {kernel} has no {what} {name}, which section {section:?} asks for: failed to find kernel BTF type ID of '{name}': -3"
    )]
    NoTarget {
        /// Program.
        program: String,
        /// Its section.
        section: String,
        /// `function`, `tracepoint`, `LSM hook`, `iterator`
        what: &'static str,
        /// Its name.
        name: String,
        /// Which kernel.
        kernel: String,
    },
    /// The kernel has no such structure of functions.
    #[error("struct_ops variable {map}: {kernel} has no interface {interface}")]
    NoInterface {
        /// The variable.
        map: String,
        /// Its type: `tcp_congestion_ops`.
        interface: String,
        /// Which kernel.
        kernel: String,
    },
    /// Where to attach is not said.
    #[error(
        "program {program}: section {section:?} does not say where to attach: {needs} is needed"
    )]
    Unattached {
        /// Program.
        program: String,
        /// Its section.
        section: String,
        /// What must be named.
        needs: Place,
    },
    /// A place in user space that a probe names is not there.
    #[error("program {program}: {fault}")]
    Probe {
        /// Program.
        program: String,
        /// What is missing, and where.
        fault: String,
    },
    /// Not possible yet.
    #[error("{program}: {what} is not supported")]
    Unsupported {
        /// Program or map.
        program: String,
        /// What is not supported.
        what: String,
    },
    /// A program was not loaded: nothing can be done with it.
    #[error("program {0} is not loaded")]
    NotLoaded(String),
    /// Programs, instructions: more than can be numbered.
    #[error("{program}: with its subprograms, more instructions than a program can have")]
    TooLong {
        /// Program.
        program: String,
    },
    /// A command failed.
    #[error("{what}: {failure}")]
    Kernel {
        /// What was to be done.
        what: String,
        /// The kernel's answer.
        failure: Failure,
    },
    /// The verifier rejected a program.
    #[error("{0}")]
    Rejected(Box<Rejected>),
}

/// A verifier's no.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// Program.
    pub program: String,
    /// Linux's errno for it.
    pub errno: Errno,
    /// What was wrong; `None` where only the log tells.
    pub rejection: Option<Box<Rejection>>,
    /// What the program needs and the kernel lacks, if that is why: a field or type that CO-RE
    /// did not find, a weak kernel function.
    pub missing: Option<String>,
    /// The log as Linux prints it.
    pub log: String,
    /// What the verifier counted until then.
    pub stats: Option<VerifierStats>,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "program {} rejected: ", self.program)?;
        match &self.rejection {
            Some(rejection) => f.write_str(&rejection.message),
            None if self.missing.is_some() => {
                let missing = self.missing.as_deref().unwrap_or_default();
                write!(f, "it uses {missing}, which the kernel does not have")
            }
            None => match panal_uapi::log::reason(&self.log) {
                Some(last) => f.write_str(last),
                None => write!(f, "{}", self.errno),
            },
        }
    }
}

impl Error {
    /// Whose mistake it is.
    pub fn blame(&self) -> Blame {
        match self {
            Error::Object(error) => match error.blame() {
                ObjectBlame::File | ObjectBlame::Build => Blame::File,
                ObjectBlame::Source => Blame::Source,
            },
            Error::Core { .. } => Blame::File,
            Error::Section { .. }
            | Error::MapType { .. }
            | Error::Map { .. }
            | Error::ExternType { .. }
            | Error::TooLong { .. }
            | Error::Rejected(_) => Blame::Source,
            Error::NoProgram { .. }
            | Error::NoMap { .. }
            | Error::NoVariable(_)
            | Error::VariableSize { .. }
            | Error::Unattached { .. }
            | Error::Probe { .. }
            | Error::NotLoaded(_)
            | Error::Pinned { .. } => Blame::Caller,
            Error::Extern { .. }
            | Error::Kconfig { .. }
            | Error::NoTarget { .. }
            | Error::NoInterface { .. }
            | Error::Kernel { .. } => Blame::Kernel,
            Error::Unsupported { .. } => Blame::Unsupported,
        }
    }
}

/// Says what was to be done when a command fails.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Doing<T> for Result<T, Failure> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|failure| Error::Kernel {
            what: what(),
            failure,
        })
    }
}
