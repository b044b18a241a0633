//! What the object leaves to the kernel: configuration values, kernel symbols, kernel functions.

use alloc::sync::Arc;

use panal_btf::TypeId;

use crate::MapId;

/// Something declared `extern`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extern {
    /// Its name.
    pub name: Arc<str>,
    /// `__weak`: may be missing, then its address is zero.
    pub weak: bool,
    /// What it is.
    pub kind: ExternKind,
}

/// What something external is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExternKind {
    /// A configuration value of the kernel (`__kconfig`).
    Kconfig {
        /// The map that holds all of them.
        map: MapId,
        /// Bytes into its value.
        offset: u32,
        /// Bytes.
        size: u32,
        /// How the value is written.
        value: KconfigValue,
    },
    /// A variable of the kernel (`__ksym`).
    Variable {
        /// Its type; `None` when declared `void`: only the address matters.
        ty: Option<TypeId>,
    },
    /// A function of the kernel (`__ksym`).
    Function {
        /// The [`panal_btf::Kind::Func`] that declares it.
        ty: TypeId,
    },
}

/// How a configuration value is written into its variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KconfigValue {
    /// `y`, `m` or `n` as a character.
    Char,
    /// `y` is 1.
    Bool,
    /// A number.
    Integer {
        /// Whether it may be negative.
        signed: bool,
    },
    /// `enum libbpf_tristate`: `y`, `m`, `n` as 1, 2, 0.
    Tristate,
    /// Text with its zero, cut to the size.
    Text,
}
