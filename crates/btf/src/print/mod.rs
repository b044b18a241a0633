//! Types as C: a header that a compiler lays out as the BTF says.

mod declare;
mod layout;
mod order;
mod raw;

use alloc::{
    format,
    string::{String, ToString},
    sync::Arc,
    vec,
    vec::Vec,
};

use hashbrown::HashMap;

pub use raw::Raw;

use crate::{
    table::Btf,
    types::{Kind, TypeId},
};

/// Why types cannot be written as C.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrintError {
    /// A type without a name contains itself, or types are nested too deeply.
    #[error("type {0} is nested too deeply for C")]
    TooDeep(TypeId),
    /// Members overlap, or are laid out in another order than C can.
    #[error("member {member} of type {id} lies where C cannot put it")]
    Layout {
        /// The struct or union.
        id: TypeId,
        /// Index of the member.
        member: usize,
    },
    /// More text than types of a real kernel make.
    #[error("the types make more than 256 MiB of C")]
    TooLarge,
}

/// The most text that is made.
const MAX_TEXT: usize = 1 << 28;

impl Btf {
    /// All types of this BTF (of a split one, its own and what they need) as a C header, definitions
    /// before their uses. Names that C would confuse get a suffix `___2`, as bpftool gives them.
    pub fn to_c(&self) -> Result<String, PrintError> {
        self.header(self.iter_own().map(|(id, _)| id))
    }

    /// These types and what they need, as a C header.
    pub fn types_to_c(&self, ids: &[TypeId]) -> Result<String, PrintError> {
        self.header(ids.iter().copied())
    }

    fn header(&self, ids: impl Iterator<Item = TypeId>) -> Result<String, PrintError> {
        let mut printer = Printer::new(self);
        printer.out.push_str(PROLOGUE);
        for id in ids {
            printer.emit(id)?;
        }
        printer.out.push_str(EPILOGUE);
        Ok(printer.out)
    }

    /// A type as C declares a variable of it, in one line: `const struct sock *sk`. For messages:
    /// what has no name is left out (`struct {...}`), what is nested without end is cut.
    pub fn declare(&self, id: TypeId, name: &str) -> String {
        let mut printer = Printer::new(self);
        printer.brief = true;
        printer
            .declare(id, name.to_string(), 0)
            .unwrap_or_else(|_| format!("... {name}"))
    }
}

const PROLOGUE: &str = "\
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

";

const EPILOGUE: &str = "\
#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
";

/// The two name spaces of C.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Space {
    /// After `struct`, `union` and `enum`.
    Tag,
    /// Typedefs and enumerators.
    Ordinary,
}

struct Printer<'a> {
    btf: &'a Btf,
    out: String,
    /// What has been written of each type.
    state: Vec<order::State>,
    /// How many types have each name so far.
    used: HashMap<(Space, Arc<str>), u32>,
    /// The names that differ from those in the BTF.
    renamed: HashMap<TypeId, String>,
    /// Members invented to fill gaps.
    pads: u32,
    /// Definitions are left out.
    brief: bool,
    /// Text made so far that is not yet in `out`.
    made: usize,
}

impl<'a> Printer<'a> {
    fn new(btf: &'a Btf) -> Self {
        Printer {
            btf,
            out: String::new(),
            state: vec![],
            used: HashMap::new(),
            renamed: HashMap::new(),
            pads: 0,
            brief: false,
            made: 0,
        }
    }

    /// Counts text against [`MAX_TEXT`].
    fn count(&mut self, text: usize) -> Result<(), PrintError> {
        self.made = self.made.saturating_add(text);
        if self.made > MAX_TEXT {
            Err(PrintError::TooLarge)
        } else {
            Ok(())
        }
    }

    /// The name of a type in C. It is settled when the type is first named.
    fn name(&mut self, id: TypeId) -> String {
        if let Some(name) = self.renamed.get(&id) {
            return name.clone();
        }
        self.btf.name(id).to_string()
    }

    /// Settles the name of a type of which there may be several.
    fn claim(&mut self, id: TypeId, space: Space) {
        let name = &self.btf.get_or_void(id).name;
        if let Some(unique) = self.unique(name, space) {
            self.renamed.insert(id, unique);
        }
    }

    /// A name not used before in place of `name`, if that is taken.
    fn unique(&mut self, name: &Arc<str>, space: Space) -> Option<String> {
        let count = self.used.entry((space, name.clone())).or_insert(0);
        *count += 1;
        if *count == 1 && !(space == Space::Ordinary && is_keyword(name)) {
            return None;
        }
        let mut count = (*count).max(2);
        loop {
            let candidate: Arc<str> = format!("{name}___{count}").into();
            let taken = self.used.entry((space, candidate.clone())).or_insert(0);
            *taken += 1;
            if *taken == 1 {
                return Some(candidate.to_string());
            }
            count += 1;
        }
    }
}

/// Words of C that cannot be the name of a typedef; other languages have types of these names, and
/// compilers bring a `__builtin_va_list` of their own.
fn is_keyword(name: &str) -> bool {
    const OTHERS: [&str; 7] = [
        "auto",
        "const",
        "enum",
        "struct",
        "union",
        "void",
        "__builtin_va_list",
    ];
    is_type_word(name) || OTHERS.contains(&name)
}

/// Words that names of integers and floats are made of.
fn is_type_word(word: &str) -> bool {
    matches!(
        word,
        "char"
            | "short"
            | "int"
            | "long"
            | "signed"
            | "unsigned"
            | "_Bool"
            | "__int128"
            | "float"
            | "double"
            | "_Float16"
            | "__bf16"
            | "_Complex"
    )
}

/// Whether C knows a type of this name without being told.
fn is_builtin(name: &str) -> bool {
    !name.is_empty() && name.split(' ').all(is_type_word)
}

/// The builtin type that has the size and sign of an integer or float, if there is one.
fn builtin_for(kind: &Kind) -> &'static str {
    match *kind {
        Kind::Float { size: 2 } => "_Float16",
        Kind::Float { size: 4 } => "float",
        Kind::Float { size: 8 } => "double",
        Kind::Float { .. } => "long double",
        Kind::Int {
            encoding, size: 1, ..
        } if encoding.bool => "_Bool",
        Kind::Int { size, encoding, .. } => match (size, encoding.signed) {
            (1, true) => "signed char",
            (1, false) => "unsigned char",
            (2, true) => "short",
            (2, false) => "unsigned short",
            (4, true) => "int",
            (4, false) => "unsigned int",
            (8, true) => "long long",
            (8, false) => "unsigned long long",
            (_, true) => "__int128",
            (_, false) => "unsigned __int128",
        },
        _ => "void",
    }
}
