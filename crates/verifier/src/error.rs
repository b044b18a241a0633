//! How a check says no.

use alloc::{boxed::Box, string::String};

use panal_isa::Reg;
use panal_uapi::{
    Errno,
    report::{Bound, Class, Quantity, Range},
};

/// What a check gives.
pub type Check<T = ()> = Result<T, Reject>;

/// A rejection, before the place and the path are added to it.
///
/// Made with [`reject!`](crate::error::reject): class, errno and Linux's last log line; then
/// [`Reject::because`] for what is better said in other words, [`Reject::help`] for what mends it.
#[derive(Clone, Debug)]
pub struct Reject(Box<Body>);

/// What a rejection carries.
#[derive(Clone, Debug)]
pub struct Body {
    /// Kind of mistake.
    pub class: Class,
    /// Linux's errno.
    pub errno: Errno,
    /// What Linux logs last; may have several lines, without the last newline.
    pub linux: String,
    /// The sentence for people; empty: Linux's words do.
    pub message: String,
    /// What would mend it.
    pub help: Option<String>,
    /// The bound that does not hold.
    pub bound: Option<Bound>,
    /// The register at fault, where it is not the one that Linux's words name.
    pub about: Option<Reg>,
    /// The instruction at fault, where it is not the one that was verified last.
    pub at: Option<usize>,
}

impl Reject {
    /// The same, as `EINVAL`.
    #[cold]
    pub fn into_invalid(mut self) -> Self {
        self.0.errno = Errno::EINVAL;
        self
    }

    /// A rejection in Linux's words.
    #[cold]
    pub fn new(class: Class, errno: Errno, linux: String) -> Reject {
        Reject(Box::new(Body {
            class,
            errno,
            linux,
            message: String::new(),
            help: None,
            bound: None,
            about: None,
            at: None,
        }))
    }

    /// Adds the sentence for people.
    pub fn because(mut self, message: impl Into<String>) -> Reject {
        self.0.message = message.into();
        self
    }

    /// Adds the sentence for people, where none is better.
    pub fn or_because(mut self, message: &str) -> Reject {
        if self.0.message.is_empty() {
            self.0.message.push_str(message);
        }
        self
    }

    /// Adds what would mend it.
    pub fn help(mut self, help: impl Into<String>) -> Reject {
        self.0.help = Some(help.into());
        self
    }

    /// Adds the bound that does not hold: what is known and what is needed, least to greatest.
    pub fn bound(
        mut self,
        quantity: Quantity,
        known: (impl Into<i128>, impl Into<i128>),
        needed: (impl Into<i128>, impl Into<i128>),
    ) -> Reject {
        self.0.bound = Some(Bound {
            quantity,
            known: Range {
                min: known.0.into(),
                max: known.1.into(),
            },
            needed: Range {
                min: needed.0.into(),
                max: needed.1.into(),
            },
        });
        self
    }

    /// Says that memory of one size is wanted, and less is there.
    pub fn too_small(self, what: impl core::fmt::Display, room: i64, size: u32) -> Reject {
        self.because(alloc::format!(
            "{what} has {size} bytes, but the memory that is passed has room for {room}"
        ))
        .bound(Quantity::Size, (room, room), (size, size))
    }

    /// Says which register is at fault, where Linux's words name another.
    pub fn about(mut self, reg: Reg) -> Reject {
        self.0.about = Some(reg);
        self
    }

    /// Says which instruction is at fault, where it is not the one that was verified last.
    pub fn at(mut self, slot: usize) -> Reject {
        self.0.at = Some(slot);
        self
    }

    /// Adds a further line to Linux's log text.
    pub fn then(mut self, line: &str) -> Reject {
        self.0.linux.push('\n');
        self.0.linux.push_str(line);
        self
    }

    /// Linux's errno.
    pub fn errno(&self) -> Errno {
        self.0.errno
    }

    /// All of it.
    pub fn into_body(self) -> Body {
        *self.0
    }
}

/// `reject!(Class, ERRNO, "linux's message {}", args)`
macro_rules! reject {
    ($class:ident, $errno:ident, $($format:tt)*) => {
        $crate::error::Reject::new(
            panal_uapi::report::Class::$class,
            panal_uapi::Errno::$errno,
            alloc::format!($($format)*),
        )
    };
}
pub(crate) use reject;
