//! Which type is written when: definitions before what holds them by value, declarations before
//! what points to them.

use alloc::format;

use super::{PrintError, Printer, Space, builtin_for, is_builtin};
use crate::types::{Kind, TypeId};

/// What has been written of a type.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct State {
    /// `struct NAME;` or all that can be said.
    declared: bool,
    defined: bool,
    /// Its definition is being prepared.
    busy: bool,
    named: bool,
}

/// How deep types may depend on each other, pointers and parameters included: a stack holds it.
const MAX_DEPTH: u32 = 512;

impl Printer<'_> {
    /// Writes a type of its own accord, if it is one that C can name.
    pub(super) fn emit(&mut self, id: TypeId) -> Result<(), PrintError> {
        let ty = self.btf.get_or_void(id);
        match &ty.kind {
            Kind::Func { .. } | Kind::Var { .. } | Kind::DataSec { .. } | Kind::DeclTag { .. } => {
                Ok(())
            }
            // Enumerators of an unnamed enumeration serve as constants.
            Kind::Enum { .. } if ty.name.is_empty() && !self.state(id).defined => {
                self.state_mut(id).defined = true;
                let text = self.enumeration(id, 0)?;
                self.write(&format!("{text};\n\n"))
            }
            _ => self.need(id, true, 0),
        }
    }

    fn state(&self, id: TypeId) -> State {
        self.state.get(id.0 as usize).copied().unwrap_or_default()
    }

    fn state_mut(&mut self, id: TypeId) -> &mut State {
        let index = id.0 as usize;
        if index >= self.state.len() {
            // Ids are those of types that exist.
            self.state
                .resize((index + 1).max(self.btf.len()), State::default());
        }
        &mut self.state[index]
    }

    fn write(&mut self, text: &str) -> Result<(), PrintError> {
        self.count(text.len())?;
        self.out.push_str(text);
        Ok(())
    }

    /// Settles the name of a type once.
    fn settle(&mut self, id: TypeId, space: Space) {
        let state = self.state_mut(id);
        if !state.named {
            state.named = true;
            self.claim(id, space);
        }
    }

    /// Writes what must stand before a use of a type: its definition if it is used `whole`, its
    /// declaration if behind a pointer.
    fn need(&mut self, id: TypeId, whole: bool, depth: u32) -> Result<(), PrintError> {
        if depth > MAX_DEPTH {
            return Err(PrintError::TooDeep(id));
        }
        let State {
            declared,
            defined,
            busy,
            ..
        } = self.state(id);
        if defined || declared && !whole {
            return Ok(());
        }
        let btf = self.btf;
        let ty = btf.get_or_void(id);
        let named = !ty.name.is_empty();
        match &ty.kind {
            Kind::Void | Kind::Func { .. } | Kind::Var { .. } => Ok(()),
            Kind::DataSec { .. } | Kind::DeclTag { .. } => Ok(()),
            Kind::Int { .. } | Kind::Float { .. } => self.need_number(id),
            Kind::Const(to) | Kind::Volatile(to) | Kind::Restrict(to) => {
                self.need(*to, whole, depth + 1)
            }
            Kind::TypeTag { ty: to, .. } => self.need(*to, whole, depth + 1),
            Kind::Ptr(to) => {
                self.state_mut(id).defined = true;
                self.need(*to, false, depth + 1)
            }
            // C wants whole elements even behind a pointer.
            Kind::Array { element, .. } => self.need(*element, true, depth + 1),
            Kind::FuncProto { ret, params } => {
                self.state_mut(id).defined = true;
                self.need(*ret, false, depth + 1)?;
                params
                    .iter()
                    .try_for_each(|param| self.need(param.ty, false, depth + 1))
            }
            Kind::Fwd { union } => {
                self.state_mut(id).defined = true;
                self.declare_tag(id, if *union { "union" } else { "struct" })
            }
            Kind::Enum { .. } if !named => Ok(()),
            Kind::Enum { .. } => {
                self.settle(id, Space::Tag);
                self.state_mut(id).defined = true;
                let text = self.enumeration(id, 0)?;
                self.write(&format!("{text};\n\n"))
            }
            Kind::Typedef(to) => {
                self.need_typedef(id, *to, depth)?;
                if whole {
                    self.need(*to, true, depth + 1)?;
                    self.state_mut(id).defined = true;
                }
                Ok(())
            }
            Kind::Struct { members, .. } | Kind::Union { members, .. } => {
                if named && (!whole || busy) {
                    if busy && whole {
                        return Err(PrintError::TooDeep(id));
                    }
                    let word = if matches!(ty.kind, Kind::Union { .. }) {
                        "union"
                    } else {
                        "struct"
                    };
                    self.settle(id, Space::Tag);
                    self.state_mut(id).declared = true;
                    let name = self.name(id);
                    return self.write(&format!("{word} {name};\n\n"));
                }
                if busy {
                    return Err(PrintError::TooDeep(id));
                }
                self.state_mut(id).busy = true;
                if named {
                    self.settle(id, Space::Tag);
                }
                members
                    .iter()
                    .try_for_each(|member| self.need(member.ty, true, depth + 1))?;
                let state = self.state_mut(id);
                (state.busy, state.defined) = (false, true);
                if named {
                    let text = self.definition(id, 0)?;
                    self.write(&format!("{text};\n\n"))?;
                }
                Ok(())
            }
        }
    }

    /// Integers and floats of names that C does not know.
    fn need_number(&mut self, id: TypeId) -> Result<(), PrintError> {
        let ty = self.btf.get_or_void(id);
        self.state_mut(id).defined = true;
        if ty.name.is_empty() || is_builtin(&ty.name) {
            return Ok(());
        }
        self.settle(id, Space::Ordinary);
        let name = self.name(id);
        self.write(&format!("typedef {} {name};\n\n", builtin_for(&ty.kind)))
    }

    /// Writes a typedef before which what it is of is only declared.
    fn need_typedef(&mut self, id: TypeId, to: TypeId, depth: u32) -> Result<(), PrintError> {
        let State { declared, busy, .. } = self.state(id);
        if declared {
            return Ok(());
        }
        if busy {
            return Err(PrintError::TooDeep(id));
        }
        self.state_mut(id).busy = true;
        self.need(to, false, depth + 1)?;
        let state = self.state_mut(id);
        (state.busy, state.declared) = (false, true);
        self.settle(id, Space::Ordinary);
        let name = self.name(id);
        let text = self.declare(to, name, 0)?;
        self.write(&format!("typedef {text};\n\n"))
    }

    /// `struct NAME;` for a type that is nowhere defined, unless something else has that name.
    fn declare_tag(&mut self, id: TypeId, word: &str) -> Result<(), PrintError> {
        let name = &self.btf.get_or_void(id).name;
        let other = self.btf.named(name).any(|(other, ty)| {
            other != id
                && match &ty.kind {
                    Kind::Enum { .. } => true,
                    Kind::Struct { .. } => word == "union",
                    Kind::Union { .. } => word == "struct",
                    Kind::Fwd { union } => *union != (word == "union"),
                    _ => false,
                }
        });
        if other {
            self.settle(id, Space::Tag);
        }
        let name = self.name(id);
        self.write(&format!("{word} {name};\n\n"))
    }
}
