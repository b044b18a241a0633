//! Profiles that need no file: what follows from a version of Linux by Panal's tables. They have no
//! types of their own.

/// The names, with the version of each as `LINUX_VERSION_CODE`.
pub const SHIPPED: &[(&str, u32)] = &[
    ("linux-6.12", 6 << 16 | 12 << 8),
    ("linux-6.18", 6 << 16 | 18 << 8),
];

/// The version that a name of [`SHIPPED`] means.
pub fn shipped(name: &str) -> Option<u32> {
    SHIPPED
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, version)| *version)
}
