//! `panal btf`

use std::{collections::BTreeMap, path::Path};

use panal_btf::{Btf, Encoding, Kind, Type, TypeId};
use panal_uapi::inspect::{BtfInfo, ObjectKind, OpenFlags};

use super::{
    Answer, Asking, Said,
    json::{Json, Members},
    places::Place,
    prog::comma,
    words::{Words, asked},
};
use crate::{DONE, args::Objects, error::Problem, files, object};

const KIND: ObjectKind = ObjectKind::Btf;

/// Programs and maps by the BTF that they have.
#[derive(Default)]
struct Users {
    programs: BTreeMap<u32, Vec<u32>>,
    maps: BTreeMap<u32, Vec<u32>>,
}

impl Users {
    fn of(place: &Place) -> Result<Users, Problem> {
        let mut users = Users::default();
        for fd in place.all(ObjectKind::Program)? {
            if let Ok(info) = place.kernel.prog_info(&fd) {
                users.programs.entry(info.btf_id).or_default().push(info.id);
            }
        }
        for fd in place.all(ObjectKind::Map)? {
            if let Ok(info) = place.kernel.map_info(&fd) {
                users.maps.entry(info.btf_id).or_default().push(info.id);
            }
        }
        Ok(users)
    }
}

pub fn show(asking: &Asking<'_>) -> Result<Answer, Problem> {
    let mut users: BTreeMap<Option<u32>, Users> = BTreeMap::new();
    for place in &asking.places.0 {
        users.insert(place.instance, Users::of(place)?);
    }
    super::show(asking, KIND, OpenFlags::empty(), |one| {
        let info = one.place.listed(one.place.kernel.btf_info(&one.fd))?;
        Ok(info.map(|info| {
            let used = users.get(&one.place.instance);
            let ids = |of: fn(&Users) -> &BTreeMap<u32, Vec<u32>>| {
                used.and_then(|users| of(users).get(&info.id).cloned())
                    .unwrap_or_default()
            };
            let (programs, maps) = (ids(|u| &u.programs), ids(|u| &u.maps));
            let said = match asking.json {
                true => Said::Json(members(&info, programs, maps)),
                false => Said::Text(lines(&info, &programs, &maps), String::new()),
            };
            (info.id, said)
        }))
    })
}

fn members(info: &BtfInfo, programs: Vec<u32>, maps: Vec<u32>) -> Members {
    let mut json = Members::default();
    json.put("id", info.id).put("size", info.size);
    json.put("prog_ids", programs.into_iter().collect::<Json>());
    json.put("map_ids", maps.into_iter().collect::<Json>());
    json.put("kernel", info.kernel);
    if !info.name.is_empty() {
        json.put("name", info.name.as_str());
    }
    json
}

fn lines(info: &BtfInfo, programs: &[u32], maps: &[u32]) -> String {
    let name = match (info.kernel, info.name.as_str()) {
        (true, name) => format!("[{name}]"),
        (false, "") => "<anon>".to_owned(),
        (false, name) => name.to_owned(),
    };
    let mut text = format!("{}: name {name}  size {}B", info.id, info.size);
    for (what, ids) in [("prog_ids", programs), ("map_ids", maps)] {
        if !ids.is_empty() {
            text.push_str(&format!("  {what} {}", comma(ids)));
        }
    }
    text
}

/// `dump`, which needs a kernel only when the types are in one.
pub fn dump(objects: &Objects) -> Result<u8, Problem> {
    let words = Words::new(&objects.words);
    if words
        .peek()
        .is_some_and(|word| !word.is_empty() && "file".starts_with(word))
    {
        let result = dump_file(objects, words);
        return match result {
            Ok(answer) => super::print(objects, &answer).map(|()| DONE),
            Err(problem) => super::answer(objects, |_| Err(problem)),
        };
    }
    super::answer(objects, dump_loaded)
}

fn dump_file(objects: &Objects, mut words: Words<'_>) -> Result<Answer, Problem> {
    words.take("file");
    let path = Path::new(words.expect("a file")?);
    let btf = read_file(path)?;
    finish(&btf, None, objects.format.json(), &mut words)
}

/// The types of an object file, or of a file that is all BTF, as the kernel's own.
fn read_file(path: &Path) -> Result<Btf, Problem> {
    let bytes = files::read_file(path)?;
    if bytes.starts_with(b"\x7fELF") {
        let object = object::parse(path, &bytes)?;
        let btf = object.btf().cloned();
        let none = || {
            asked(format!(
                "{}: the object has no types (compile it with -g)",
                path.display()
            ))
        };
        return btf.map(|btf| (*btf).clone()).ok_or_else(none);
    }
    Btf::parse(&bytes).map_err(|e| asked(format!("{}: {e}", path.display())))
}

fn dump_loaded(asking: &Asking<'_>) -> Result<Answer, Problem> {
    let mut words = asking.words();
    let of = [(ObjectKind::Program, "prog"), (ObjectKind::Map, "map")];
    let of = of.into_iter().find(|(_, word)| words.take(word));
    let Some((kind, _)) = of else {
        let selector = words.selector(KIND)?;
        let found = asking.places.one(KIND, &selector, OpenFlags::empty())?;
        let btf = parse(found.place, &found.fd)?;
        return finish(&btf, None, asking.json, &mut words);
    };
    let selector = words.selector(kind)?;
    let found = asking.places.one(kind, &selector, OpenFlags::RDONLY)?;
    let (kernel, failed) = (&found.place.kernel, |f| found.place.failed(f));
    let (id, roots) = match kind {
        ObjectKind::Map => {
            let info = kernel.map_info(&found.fd).map_err(failed)?;
            let mut roots = vec![info.btf_key_type_id, info.btf_value_type_id];
            if words.take("key") {
                roots.truncate(1);
            } else if words.take("value") {
                roots.remove(0);
            } else {
                let _ = words.take("kv") || words.take("all");
            }
            (info.btf_id, Some(roots))
        }
        _ => (kernel.prog_info(&found.fd).map_err(failed)?.btf_id, None),
    };
    let none = || asked(format!("the {} has no BTF", kind.name()));
    let fd = match id {
        0 => None,
        id => kernel
            .open_id(KIND, id, OpenFlags::empty())
            .map_err(failed)?,
    };
    let btf = parse(found.place, &fd.ok_or_else(none)?)?;
    finish(&btf, roots, asking.json, &mut words)
}

fn parse(place: &Place, fd: &panal_uapi::kernel::Fd) -> Result<Btf, Problem> {
    let info = place.kernel.btf_info(fd).map_err(|f| place.failed(f))?;
    let bytes = place.kernel.btf_bytes(fd).map_err(|f| place.failed(f))?;
    let parsed = match info.kernel && info.name != "vmlinux" {
        // A module's types stand on the kernel's.
        true => {
            let base = place.kernel.btf().map_err(|f| place.failed(f))?;
            Btf::parse_split(&bytes, base)
        }
        false => Btf::parse(&bytes),
    };
    parsed.map_err(|e| asked(format!("BTF {}: {e}", info.id)))
}

/// `[format raw|c]`, then the types.
fn finish(
    btf: &Btf,
    roots: Option<Vec<TypeId>>,
    json: bool,
    words: &mut Words<'_>,
) -> Result<Answer, Problem> {
    let mut c = false;
    if words.take("format") {
        c = match words.expect("raw or c")? {
            "c" => true,
            "raw" => false,
            other => return Err(asked(format!("format: expected raw or c, got `{other}`"))),
        };
    }
    words.end()?;
    if c {
        if json {
            return Err(asked("JSON is for `format raw`: C has a form of its own"));
        }
        let text = match &roots {
            Some(roots) => btf.types_to_c(roots),
            None => btf.to_c(),
        };
        return text.map(Answer::Text).map_err(|e| asked(e.to_string()));
    }
    let ids: Vec<TypeId> = match roots {
        Some(roots) => roots,
        None => btf
            .iter_own()
            .map(|(id, _)| id)
            .filter(|id| id.0 != 0)
            .collect(),
    };
    let known = ids.into_iter().filter_map(|id| Some((id, btf.get(id)?)));
    if json {
        let mut out = Members::default();
        out.put("types", known.map(|(id, ty)| raw(id, ty)).collect::<Json>());
        return Ok(Answer::Json(out.done()));
    }
    let mut text = String::new();
    for (id, _) in known {
        if let Some(raw) = btf.raw(id) {
            text.push_str(&format!("{raw}\n"));
        }
    }
    Ok(Answer::Text(text))
}

fn or_anon(name: &str) -> &str {
    if name.is_empty() { "(anon)" } else { name }
}

fn encoding(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding { signed: true, .. } => "SIGNED",
        Encoding { char: true, .. } => "CHAR",
        Encoding { bool: true, .. } => "BOOL",
        _ => "(none)",
    }
}

/// A type with the members that bpftool gives it.
fn raw(id: TypeId, ty: &Type) -> Json {
    let mut out = Members::default();
    out.put("id", id.0);
    out.put("kind", ty.kind.tag().name());
    out.put("name", or_anon(&ty.name));
    match &ty.kind {
        Kind::Void => {}
        Kind::Int {
            size,
            bits,
            offset,
            encoding: e,
        } => {
            out.put("size", *size)
                .put("bits_offset", u32::from(*offset));
            out.put("nr_bits", u32::from(*bits));
            out.put("encoding", encoding(*e));
        }
        Kind::Ptr(ty)
        | Kind::Typedef(ty)
        | Kind::Volatile(ty)
        | Kind::Const(ty)
        | Kind::Restrict(ty)
        | Kind::TypeTag { ty, .. } => {
            out.put("type_id", ty.0);
        }
        Kind::Array {
            element,
            index,
            len,
        } => {
            out.put("type_id", element.0).put("index_type_id", index.0);
            out.put("nr_elems", *len);
        }
        Kind::Struct { size, members } | Kind::Union { size, members } => {
            out.put("size", *size).put("vlen", members.len());
            let list = members.iter().map(|member| {
                let mut one = Members::default();
                one.put("name", or_anon(&member.name));
                one.put("type_id", member.ty.0);
                one.put("bits_offset", member.bit_offset);
                if member.bits > 0 {
                    one.put("bitfield_size", u32::from(member.bits));
                }
                one.done()
            });
            out.put("members", list.collect::<Json>());
        }
        Kind::Enum {
            size,
            signed,
            values,
            ..
        } => {
            out.put("encoding", if *signed { "SIGNED" } else { "UNSIGNED" });
            out.put("size", *size).put("vlen", values.len());
            let list = values.iter().map(|value| {
                let mut one = Members::default();
                one.put("name", or_anon(&value.name));
                match signed {
                    true => one.put("val", value.value),
                    false => one.put("val", value.value as u64),
                };
                one.done()
            });
            out.put("values", list.collect::<Json>());
        }
        Kind::Fwd { union } => {
            out.put("fwd_kind", if *union { "union" } else { "struct" });
        }
        Kind::Func { proto, linkage } => {
            out.put("type_id", proto.0);
            out.put("linkage", linkage.name());
        }
        Kind::FuncProto { ret, params } => {
            out.put("ret_type_id", ret.0).put("vlen", params.len());
            let list = params.iter().map(|param| {
                let mut one = Members::default();
                one.put("name", or_anon(&param.name));
                one.put("type_id", param.ty.0);
                one.done()
            });
            out.put("params", list.collect::<Json>());
        }
        Kind::Var { ty, linkage } => {
            out.put("type_id", ty.0);
            out.put("linkage", linkage.name());
        }
        Kind::DataSec { size, vars } => {
            out.put("size", *size).put("vlen", vars.len());
            let list = vars.iter().map(|var| {
                let mut one = Members::default();
                one.put("type_id", var.ty.0).put("offset", var.offset);
                one.put("size", var.size);
                one.done()
            });
            out.put("vars", list.collect::<Json>());
        }
        Kind::Float { size } => {
            out.put("size", *size);
        }
        Kind::DeclTag { ty, component, .. } => {
            out.put("type_id", ty.0);
            out.put("component_idx", *component);
        }
    }
    out.done()
}
