//! `panal link`

use panal_uapi::{
    AttachType,
    inspect::{IterTarget, LinkInfo, LinkTarget, LinkType, ObjectKind, OpenFlags, PerfTarget},
};

use super::{
    Answer, Asking, Said,
    json::{Json, Members},
    places::Found,
    prog::type_name,
};
use crate::error::Problem;

const KIND: ObjectKind = ObjectKind::Link;

pub fn show(asking: &Asking<'_>) -> Result<Answer, Problem> {
    super::show(asking, KIND, OpenFlags::empty(), |one| {
        let info = one.place.listed(one.place.kernel.link_info(&one.fd))?;
        Ok(info.map(|info| {
            let prog_type = program_type(one, info.prog_id);
            let said = match asking.json {
                true => Said::Json(members(&info, prog_type)),
                false => Said::Text(lines(&info, prog_type), String::new()),
            };
            (info.id, said)
        }))
    })
}

/// The type of the link's program, which may be gone already.
fn program_type(found: &Found<'_>, id: u32) -> Option<u32> {
    let kernel = &found.place.kernel;
    let fd = kernel.open_id(ObjectKind::Program, id, Default::default());
    kernel.prog_info(&fd.ok()??).ok().map(|info| info.prog_type)
}

fn kind_name(number: u32) -> String {
    let known = LinkType::from_number(number);
    known.map_or_else(|| format!("type {number}"), |t| t.short_name().to_owned())
}

/// The name of an attach type; its number where this version does not know it.
fn attach_type(number: u32) -> Json {
    match AttachType::from_number(number) {
        Some(known) => Json::from(known.short_name()),
        None => Json::from(number),
    }
}

fn members(info: &LinkInfo, prog_type: Option<u32>) -> Members {
    let mut json = Members::default();
    json.put("id", info.id);
    match LinkType::from_number(info.link_type) {
        Some(known) => json.put("type", known.short_name()),
        None => json.put("type", info.link_type),
    };
    json.put("prog_id", info.prog_id);
    target_members(&info.target, prog_type, &mut json);
    json
}

fn target_members(target: &LinkTarget, prog_type: Option<u32>, json: &mut Members) {
    let has_cookie = |cookie: &u64| (*cookie != 0).then_some(*cookie);
    match target {
        LinkTarget::Unknown => {}
        LinkTarget::RawTracepoint { name, cookie } => {
            json.put("tp_name", name.as_str());
            json.put_some("cookie", has_cookie(cookie));
        }
        LinkTarget::Tracing {
            attach_type: kind,
            target_obj_id,
            target_btf_id,
            cookie,
        } => {
            json.put_some("prog_type", prog_type.map(type_name));
            json.put("attach_type", attach_type(*kind));
            if *target_btf_id != 0 {
                json.put("target_obj_id", *target_obj_id);
                json.put("target_btf_id", *target_btf_id);
            }
            json.put_some("cookie", has_cookie(cookie));
        }
        LinkTarget::Cgroup {
            cgroup_id,
            attach_type: kind,
        } => {
            json.put("cgroup_id", *cgroup_id);
            json.put("attach_type", attach_type(*kind));
        }
        LinkTarget::Iter { target_name, what } => {
            json.put("target_name", target_name.as_str());
            match what {
                IterTarget::Plain => {}
                IterTarget::Map { map_id } => {
                    json.put("map_id", *map_id);
                }
                IterTarget::Cgroup { cgroup_id, order } => {
                    json.put("cgroup_id", *cgroup_id);
                    json.put("order", order_name(*order));
                }
                IterTarget::Task { tid, pid } => {
                    if *tid != 0 {
                        json.put("tid", *tid);
                    } else if *pid != 0 {
                        json.put("pid", *pid);
                    }
                }
            }
        }
        LinkTarget::Netns {
            netns_ino,
            attach_type: kind,
        } => {
            json.put("netns_ino", *netns_ino);
            json.put("attach_type", attach_type(*kind));
        }
        LinkTarget::Xdp { ifindex } => {
            json.put_some("devname", device(*ifindex));
            json.put("ifindex", *ifindex);
        }
        LinkTarget::Tcx {
            ifindex,
            attach_type: kind,
        }
        | LinkTarget::Netkit {
            ifindex,
            attach_type: kind,
        } => {
            json.put_some("devname", device(*ifindex));
            json.put("ifindex", *ifindex);
            json.put("attach_type", attach_type(*kind));
        }
        LinkTarget::StructOps { map_id } => {
            json.put("map_id", *map_id);
        }
        LinkTarget::Sockmap {
            map_id,
            attach_type: kind,
        } => {
            json.put("map_id", *map_id);
            json.put("attach_type", attach_type(*kind));
        }
        LinkTarget::Netfilter {
            pf,
            hooknum,
            priority,
            flags,
        } => {
            json.put("pf", *pf).put("hook", *hooknum);
            json.put("prio", *priority).put("flags", *flags);
        }
        LinkTarget::KprobeMulti {
            flags,
            missed,
            addresses,
            cookies,
        } => {
            json.put("retprobe", flags & 1 != 0);
            json.put("func_cnt", addresses.len());
            json.put("missed", *missed);
            let funcs = addresses.iter().zip(cookies).map(|(address, cookie)| {
                let mut one = Members::default();
                one.put("addr", *address).put("cookie", *cookie);
                one.done()
            });
            json.put("funcs", funcs.collect::<Json>());
        }
        LinkTarget::UprobeMulti {
            path,
            pid,
            flags,
            offsets,
            ref_ctr_offsets,
            cookies,
        } => {
            json.put("retprobe", flags & 1 != 0);
            json.put("path", path.as_str());
            json.put("func_cnt", offsets.len()).put("pid", *pid);
            let rest = ref_ctr_offsets.iter().zip(cookies);
            let funcs = offsets.iter().zip(rest).map(|(offset, (counter, cookie))| {
                let mut one = Members::default();
                one.put("offset", *offset);
                one.put("ref_ctr_offset", *counter);
                one.put("cookie", *cookie);
                one.done()
            });
            json.put("funcs", funcs.collect::<Json>());
        }
        LinkTarget::PerfEvent(perf) => perf_members(perf, json),
    }
}

fn perf_members(perf: &PerfTarget, json: &mut Members) {
    match perf {
        PerfTarget::Unspecified => {}
        PerfTarget::Uprobe {
            file,
            offset,
            on_return,
            cookie,
            ..
        } => {
            json.put("retprobe", *on_return).put("file", file.as_str());
            json.put("offset", *offset).put("cookie", *cookie);
        }
        PerfTarget::Kprobe {
            function,
            offset,
            address,
            missed,
            on_return,
            cookie,
        } => {
            json.put("retprobe", *on_return).put("addr", *address);
            json.put("func", function.as_str()).put("offset", *offset);
            json.put("missed", *missed).put("cookie", *cookie);
        }
        PerfTarget::Tracepoint { name, cookie } => {
            json.put("tracepoint", name.as_str()).put("cookie", *cookie);
        }
        PerfTarget::Event {
            event_type,
            config,
            cookie,
        } => {
            json.put("event_type", *event_type);
            json.put("event_config", *config).put("cookie", *cookie);
        }
    }
}

/// `enum bpf_cgroup_iter_order`
fn order_name(order: u32) -> &'static str {
    match order {
        1 => "self_only",
        2 => "descendants_pre",
        3 => "descendants_post",
        4 => "ancestors_up",
        _ => "order_unspec",
    }
}

/// The name of a network interface of this namespace.
fn device(index: u32) -> Option<String> {
    let entries = std::fs::read_dir("/sys/class/net").ok()?.flatten();
    let is_it = |entry: &std::fs::DirEntry| {
        let text = std::fs::read_to_string(entry.path().join("ifindex")).ok();
        text.and_then(|text| text.trim().parse().ok()) == Some(index)
    };
    let mut found = entries.filter(is_it);
    found
        .next()
        .map(|e| e.file_name().to_string_lossy().into_owned())
}

/// The same for people: what JSON tells, as `name value`.
fn lines(info: &LinkInfo, prog_type: Option<u32>) -> String {
    let mut json = Members::default();
    target_members(&info.target, prog_type, &mut json);
    let Json::Object(members) = json.done() else {
        return String::new();
    };
    let words: Vec<String> = members
        .iter()
        .map(|(name, value)| match value {
            Json::Text(text) => format!("{name} {text}"),
            value => format!(
                "{name} {}",
                serde_json::to_string(value).unwrap_or_default()
            ),
        })
        .collect();
    let kind = kind_name(info.link_type);
    let mut text = format!("{}: {kind}  prog {}  ", info.id, info.prog_id);
    if !words.is_empty() {
        text.push_str("\n\t");
        text.push_str(&words.join("  "));
        text.push_str("  ");
    }
    text
}

pub fn detach(asking: &Asking<'_>) -> Result<Answer, Problem> {
    let mut words = asking.words();
    let selector = words.selector(KIND)?;
    words.end()?;
    let found = asking.places.one(KIND, &selector, Default::default())?;
    let detached = found.place.kernel.link_detach(&found.fd);
    detached.map_err(|failure| found.place.failed(failure))?;
    Ok(asking.nothing())
}
