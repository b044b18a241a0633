//! How a C enumeration of the uapi is written down once: number, Linux's name, bpftool's name.

/// Defines an enumeration whose variants know their number, the name in `bpf.h` and the lower-case
/// name that bpftool prints.
macro_rules! uapi_enum {
    (
        $(#[$meta:meta])*
        pub enum $name:ident: $repr:ty {
            $($variant:ident = $value:literal, $uapi:literal, $short:literal;)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[repr(u32)]
        pub enum $name {
            $(#[doc = concat!("`", $uapi, "`")] $variant = $value,)*
        }

        impl $name {
            /// Every value, in order of number.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The value of this number.
            pub const fn from_number(number: $repr) -> Option<Self> {
                match number {
                    $($value => Some($name::$variant),)*
                    _ => None,
                }
            }

            /// The number in the kernel's ABI.
            pub const fn number(self) -> $repr {
                self as $repr
            }

            /// The name in Linux's `bpf.h`.
            pub const fn uapi_name(self) -> &'static str {
                match self {
                    $($name::$variant => $uapi,)*
                }
            }

            /// The name that bpftool prints.
            pub const fn short_name(self) -> &'static str {
                match self {
                    $($name::$variant => $short,)*
                }
            }

            /// Looks a value up by its uapi or its bpftool name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|v| v.short_name() == name || v.uapi_name() == name)
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.short_name())
            }
        }
    };
}
pub(crate) use uapi_enum;
