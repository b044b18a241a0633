//! The macro behind the tables, and the index over all of them.

use super::Helper;

/// Declares helpers: `BPF_FUNC_name = id, (major, minor), "what it does", signature;`, with
/// `for TYPES => signature` where some program types see another signature.
macro_rules! helpers {
    ($(
        $func:ident = $id:literal, $since:expr, $doc:literal, $sig:expr
        $(, for [$($types:path),* $(,)?] => $variant:expr)* ;
    )*) => {
        /// The helpers of this subject.
        pub(super) const HELPERS: &[$crate::helpers::Helper] = &[$(
            $crate::helpers::Helper {
                id: $id,
                name: $crate::helpers::table::short_name(stringify!($func)),
                since: $since,
                doc: $doc,
                signature: $sig,
                variants: &[$((&[$($types),*], $variant)),*],
            },
        )*];

        /// Numbers by name.
        #[allow(non_upper_case_globals)]
        pub(super) mod id {
            $(#[doc = $doc] pub const $func: u32 = $id;)*
        }
    };
}
pub(crate) use helpers;

/// `BPF_FUNC_map_lookup_elem` without its prefix.
pub(crate) const fn short_name(func: &'static str) -> &'static str {
    func.split_at("BPF_FUNC_".len()).1
}

/// One past the highest number (`__BPF_FUNC_MAX_ID`).
pub const COUNT: usize = 212;

/// An index by number over the tables.
pub(super) const fn index(groups: &[&'static [Helper]]) -> [Option<&'static Helper>; COUNT] {
    let mut index: [Option<&'static Helper>; COUNT] = [None; COUNT];
    let mut g = 0;
    while g < groups.len() {
        let group = groups[g];
        let mut i = 0;
        while i < group.len() {
            let id = group[i].id as usize;
            assert!(index[id].is_none(), "two helpers with one number");
            index[id] = Some(&group[i]);
            i += 1;
        }
        g += 1;
    }
    index
}
