//! `panal prog dump xlated|jited`

use std::{borrow::Cow, path::Path};

use panal_btf::{Btf, Kind, TypeId};
use panal_isa::{Dialect, Imm64, Instruction, Names, Slot, Style};
use panal_uapi::{
    inspect::{ObjectKind, OpenFlags, ProgCode},
    kernel::LineInfo,
    names::KernelNames,
};

use super::{
    Answer, Asking,
    json::{self, Json, Members},
    places::Found,
    words::asked,
};
use crate::{error::Problem, files, output::hex};

/// What is shown beside the instructions.
#[derive(Default)]
struct Options<'a> {
    opcodes: bool,
    linum: bool,
    file: Option<&'a str>,
}

pub fn dump(asking: &Asking<'_>) -> Result<Answer, Problem> {
    let mut words = asking.words();
    let jited = match words.expect("xlated or jited")? {
        "xlated" => false,
        "jited" => true,
        other => return Err(asked(format!("expected xlated or jited, got `{other}`"))),
    };
    let selector = words.selector(ObjectKind::Program)?;
    let mut options = Options::default();
    while let Some(word) = words.peek() {
        if words.take("file") {
            options.file = Some(words.expect("a file")?);
        } else if words.take("opcodes") {
            options.opcodes = true;
        } else if words.take("linum") {
            options.linum = true;
        } else {
            return Err(asked(format!(
                "expected file, opcodes or linum, got `{word}`"
            )));
        }
    }
    let places = &asking.places;
    let mut found = places.find(ObjectKind::Program, &selector, OpenFlags::empty())?;
    if found.len() == 1 {
        return dump_one(asking, &found.remove(0), jited, &options);
    }
    if options.file.is_some() {
        let count = found.len();
        let text = format!("{count} programs with {selector}, and one file: choose one by id");
        return Err(asked(text));
    }
    several(asking, &found, jited, &options)
}

/// Each with a heading, as bpftool has it.
fn several(
    asking: &Asking<'_>,
    found: &[Found<'_>],
    jited: bool,
    options: &Options<'_>,
) -> Result<Answer, Problem> {
    let mut list = Vec::new();
    let mut texts = Vec::new();
    for one in found {
        let info = one.place.kernel.prog_info(&one.fd);
        let info = info.map_err(|failure| one.place.failed(failure))?;
        match dump_one(asking, one, jited, options)? {
            Answer::Json(json) => {
                let mut object = super::prog::heading(&info);
                object.put_some("instance", one.place.instance);
                object.put("insns", json);
                list.push(object.done());
            }
            Answer::Text(text) => {
                let heading = super::prog::heading_line(&info);
                let place = one.place.instance;
                let place = place.map_or_else(String::new, |pid| format!("  instance {pid}"));
                texts.push(format!("{heading}{place}\n{}\n", text.trim_end()));
            }
        }
    }
    Ok(match asking.json {
        true => Answer::Json(Json::List(list)),
        false => Answer::Text(texts.join("\n")),
    })
}

fn dump_one(
    asking: &Asking<'_>,
    found: &Found<'_>,
    jited: bool,
    options: &Options<'_>,
) -> Result<Answer, Problem> {
    let code = found.place.kernel.prog_code(&found.fd);
    let code = code.map_err(|failure| found.place.failed(failure))?;
    let bytes = if jited { &code.jited } else { &code.xlated };
    if bytes.is_empty() {
        return Err(asked(match jited {
            true => "the program has no machine code, or the kernel does not show it",
            false => {
                "the kernel does not show the instructions (kernel.kptr_restrict, or no right)"
            }
        }));
    }
    if let Some(path) = options.file {
        files::write_file(Path::new(path), bytes)?;
        return Ok(asking.nothing());
    }
    match jited {
        true => Ok(machine_code(asking, &code)),
        false => instructions(asking, found, &code, options),
    }
}

/// Names as the kernel told them, else by number.
struct Shown<'a> {
    code: &'a ProgCode,
    known: KernelNames<'a>,
}

impl Names for Shown<'_> {
    fn helper(&self, id: u32) -> Option<Cow<'_, str>> {
        self.known.helper(id)
    }

    fn kfunc(&self, id: i32, object: i16) -> Option<Cow<'_, str>> {
        self.known.kfunc(id, object)
    }

    fn imm64(&self, imm: Imm64) -> Option<Cow<'_, str>> {
        // Kernels show ids of maps in the place of descriptors.
        match imm {
            Imm64::MapFd(id) => Some(format!("map[id:{id}]").into()),
            Imm64::MapValue { fd, offset } => Some(format!("map[id:{fd}][0]+{offset}").into()),
            _ => None,
        }
    }
}

impl Shown<'_> {
    /// The instruction at a slot, and how many slots it fills.
    fn text(&self, slots: &[Slot], at: usize) -> (String, usize) {
        let raw = slots[at];
        let called = self
            .code
            .calls
            .iter()
            .find(|(slot, _)| *slot as usize == at);
        if let Some((_, name)) = called {
            let text = match raw.src() {
                1 => format!("(85) call pc{:+}#{name}", raw.offset),
                _ => format!("(85) call {name}#{}", raw.imm),
            };
            return (text, 1);
        }
        let style = Style {
            dialect: Dialect::Kernel,
            hex: false,
            names: self,
        };
        // Linux rewrites programs with encodings of its own: a move with an offset is one from
        // per-CPU memory. As bpftool, show it without what only Linux understands.
        let plain = Slot { offset: 0, ..raw };
        let decoded = Instruction::decode(slots, at).or_else(|_| Instruction::decode(&[plain], 0));
        match decoded {
            Ok(instruction) => {
                let width = match instruction {
                    Instruction::LoadImm64 { .. } => 2,
                    _ => 1,
                };
                (instruction.text(Some(at), style).to_string(), width)
            }
            Err(_) => (format!("BUG_{:02x}", raw.opcode), 1),
        }
    }
}

fn types(found: &Found<'_>) -> Option<Btf> {
    let kernel = &found.place.kernel;
    let id = kernel.prog_info(&found.fd).ok()?.btf_id;
    let fd = kernel
        .open_id(ObjectKind::Btf, id, OpenFlags::empty())
        .ok()??;
    Btf::parse(&kernel.btf_bytes(&fd).ok()?).ok()
}

/// `int prog(struct xdp_md * ctx)`
fn prototype(btf: &Btf, func: TypeId) -> Option<String> {
    let Kind::Func { proto, .. } = btf.kind(func) else {
        return None;
    };
    Some(btf.declare(*proto, btf.name(func)))
}

fn instructions(
    asking: &Asking<'_>,
    found: &Found<'_>,
    code: &ProgCode,
    options: &Options<'_>,
) -> Result<Answer, Problem> {
    let btf = types(found);
    let shown = Shown {
        code,
        known: KernelNames { btf: None },
    };
    let mut rows = Vec::new();
    let mut text = String::new();
    let slots = Slot::read_all(&code.xlated).0;
    let mut next = 0;
    while next < slots.len() {
        let slot = next;
        let (disasm, width) = shown.text(&slots, slot);
        next += width;
        let starts = |at: u32| at as usize == slot;
        let function = code.funcs.iter().find(|f| starts(f.slot));
        let proto = function.and_then(|f| prototype(btf.as_ref()?, f.ty));
        let line = code.lines.iter().find(|line| starts(line.slot));
        let bytes = code.xlated.get(slot * 8..next * 8).unwrap_or(&[]);
        if asking.json {
            let mut row = Members::default();
            row.put_some("proto", proto);
            if let Some(line) = line {
                row.put("src", line.text.trim());
                if options.linum {
                    row.put("file", &*line.file);
                    row.put("line_num", line.line).put("line_col", line.column);
                }
            }
            row.put("disasm", disasm);
            if options.opcodes {
                row.put("opcodes", opcodes(bytes));
            }
            rows.push(row.done());
            continue;
        }
        if let Some(proto) = proto {
            text.push_str(&format!("{proto}:\n"));
        }
        if let Some(line) = line {
            text.push_str(&source(line, options.linum));
        }
        text.push_str(&format!("{slot:4}: {disasm}\n"));
        if options.opcodes {
            text.push_str(&format!("       {}\n", super::elements::spaced(bytes)));
        }
    }
    Ok(match asking.json {
        true => Answer::Json(Json::List(rows)),
        false => Answer::Text(text),
    })
}

fn source(line: &LineInfo, linum: bool) -> String {
    let text = line.text.trim();
    match linum {
        true => {
            let LineInfo {
                file, line, column, ..
            } = line;
            format!("; {text} [file:{file} line_num:{line} line_col:{column}]\n")
        }
        false => format!("; {text}\n"),
    }
}

/// The parts of an instruction as bpftool's JSON names them.
fn opcodes(bytes: &[u8]) -> Json {
    let part = |range: std::ops::Range<usize>| json::bytes(bytes.get(range).unwrap_or(&[]));
    let registers = bytes.get(1).copied().unwrap_or(0);
    let mut out = Members::default();
    out.put(
        "code",
        format!("0x{:02x}", bytes.first().copied().unwrap_or(0)),
    );
    out.put("src_reg", format!("0x{:x}", registers >> 4));
    out.put("dst_reg", format!("0x{:x}", registers & 15));
    out.put("off", part(2..4));
    // Of a load of 64 bits, all of the second half, as bpftool has it.
    out.put("imm", part(4..bytes.len()));
    out.done()
}

/// Machine code as bytes, function by function.
fn machine_code(asking: &Asking<'_>, code: &ProgCode) -> Answer {
    let mut rest = &code.jited[..];
    let mut list = Vec::new();
    let mut text = String::new();
    for function in &code.jited_functions {
        let (own, after) = rest.split_at((function.len as usize).min(rest.len()));
        rest = after;
        let mut one = Members::default();
        one.put("address", format!("{:#x}", function.address));
        one.put("bytes", hex(own.iter().copied()));
        list.push(one.done());
        text.push_str(&format!("{:#x}: {} bytes\n", function.address, own.len()));
        text.push_str(&super::elements::rows(own));
        text.push('\n');
    }
    match asking.json {
        true => Answer::Json(Json::List(list)),
        false => Answer::Text(text),
    }
}
