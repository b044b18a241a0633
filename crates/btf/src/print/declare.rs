//! Declarators: the type around a name, inside out.

use alloc::{format, string::String, vec::Vec};

use super::{PrintError, Printer, builtin_for};
use crate::types::{Kind, TypeId};

/// How deep functions may have functions as parameters.
const MAX_DEPTH: u32 = 64;

impl Printer<'_> {
    /// Declares `inner`, a name or what stands around one, to be of a type. Definitions within
    /// are indented by `level`.
    pub(super) fn declare(
        &mut self,
        id: TypeId,
        inner: String,
        level: u32,
    ) -> Result<String, PrintError> {
        if level > MAX_DEPTH {
            return Err(PrintError::TooDeep(id));
        }
        let (mut id, mut inner) = (id, inner);
        let mut qualifiers: Vec<String> = Vec::new();
        loop {
            let ty = self.btf.get_or_void(id);
            self.count(inner.len())?;
            match &ty.kind {
                Kind::Const(to) => {
                    qualifiers.push("const".into());
                    id = *to;
                }
                Kind::Volatile(to) => {
                    qualifiers.push("volatile".into());
                    id = *to;
                }
                Kind::Restrict(to) => {
                    qualifiers.push("restrict".into());
                    id = *to;
                }
                Kind::TypeTag { ty: to, attribute } => {
                    qualifiers.push(match attribute {
                        true => format!("__attribute__(({}))", ty.name),
                        false => format!("__attribute__((btf_type_tag(\"{}\")))", ty.name),
                    });
                    id = *to;
                }
                Kind::Ptr(to) => {
                    let space = if inner.is_empty() { "" } else { " " };
                    inner = match qualifiers.is_empty() {
                        true => format!("*{inner}"),
                        false => format!("*{}{space}{inner}", qualifiers.join(" ")),
                    };
                    qualifiers.clear();
                    let (_, target) = self.btf.skip_modifiers(*to);
                    if matches!(target.kind, Kind::Array { .. } | Kind::FuncProto { .. }) {
                        inner = format!("({inner})");
                    }
                    id = *to;
                }
                // Qualifiers of an array are those of its elements.
                Kind::Array { element, len, .. } => {
                    inner = format!("{inner}[{len}]");
                    id = *element;
                }
                Kind::FuncProto { ret, .. } => {
                    qualifiers.clear();
                    let params = self.parameters(id, level)?;
                    inner = format!("{inner}({params})");
                    id = *ret;
                }
                _ => {
                    let mut words = qualifiers;
                    // An array and its elements may both be `const`.
                    words.sort();
                    words.dedup();
                    words.push(self.specifier(id, level)?);
                    if !inner.is_empty() {
                        words.push(inner);
                    }
                    return Ok(words.join(" "));
                }
            }
        }
    }

    fn parameters(&mut self, id: TypeId, level: u32) -> Result<String, PrintError> {
        let Some(proto) = self.btf.prototype(id) else {
            return Ok(String::new());
        };
        let mut params = Vec::new();
        for param in proto.params {
            params.push(self.declare(param.ty, (*param.name).into(), level + 1)?);
        }
        if proto.variadic && !params.is_empty() {
            params.push("...".into());
        } else if params.is_empty() && !proto.variadic {
            params.push("void".into());
        }
        Ok(params.join(", "))
    }

    /// What stands left of the declarator: a type's name or its definition.
    fn specifier(&mut self, id: TypeId, level: u32) -> Result<String, PrintError> {
        let ty = self.btf.get_or_void(id);
        let word = match &ty.kind {
            Kind::Void => return Ok("void".into()),
            Kind::Int { .. } | Kind::Float { .. } if ty.name.is_empty() => {
                return Ok(builtin_for(&ty.kind).into());
            }
            Kind::Struct { .. } | Kind::Fwd { union: false } => "struct ",
            Kind::Union { .. } | Kind::Fwd { union: true } => "union ",
            Kind::Enum { .. } => "enum ",
            _ => "",
        };
        match &ty.kind {
            _ if !ty.name.is_empty() => Ok(format!("{word}{}", self.name(id))),
            _ if self.brief => Ok(format!("{word}{{...}}")),
            Kind::Enum { .. } => self.enumeration(id, level),
            _ => self.definition(id, level),
        }
    }
}
