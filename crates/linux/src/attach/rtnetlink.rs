//! Attachments that netlink makes, and that no descriptor holds: XDP, filters of the `clsact`
//! queueing discipline, routes of lightweight tunnels.

use std::net::IpAddr;

use panal_uapi::{
    Errno, ProgType,
    kernel::{Failure, Fd, XdpMode},
};

use super::interface::xdp_flags;
use crate::{
    netlink::{Message, NLM_F_CREATE, NLM_F_DUMP, NLM_F_ECHO, NLM_F_EXCL, Refusal, Socket},
    programs,
    undo::{Step, Undo},
};

const RTM_SETLINK: u16 = 19;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const RTM_NEWTFILTER: u16 = 44;
const RTM_DELTFILTER: u16 = 45;
const RTM_GETTFILTER: u16 = 46;

const IFLA_XDP: u16 = 43;
const IFLA_XDP_FD: u16 = 1;
const IFLA_XDP_FLAGS: u16 = 3;
const IFLA_XDP_EXPECTED_FD: u16 = 8;
const XDP_FLAGS_UPDATE_IF_NOEXIST: u32 = 1;
const XDP_FLAGS_REPLACE: u32 = 1 << 4;

const TC_H_CLSACT: u32 = 0xffff_fff1;
const CLSACT_HANDLE: u32 = 0xffff_0000;
const INGRESS: u32 = 0xffff_fff2;
const EGRESS: u32 = 0xffff_fff3;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_FLAG_ACT_DIRECT: u32 = 1;

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_ENCAP_TYPE: u16 = 21;
const RTA_ENCAP: u16 = 22;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_STATIC: u8 = 4;
const RT_SCOPE_LINK: u8 = 253;
const RTN_UNICAST: u8 = 1;
const LWTUNNEL_ENCAP_BPF: u16 = 6;
const LWTUNNEL_ENCAP_SEG6_LOCAL: u16 = 7;
const LWT_BPF_PROG_FD: u16 = 1;
const LWT_BPF_PROG_NAME: u16 = 2;
const SEG6_LOCAL_ACTION: u16 = 1;
const SEG6_LOCAL_BPF: u16 = 8;
const SEG6_LOCAL_ACTION_END_BPF: u32 = 15;

fn wrong(command: &'static str, what: &str) -> impl Fn(Refusal) -> Failure {
    move |Refusal { errno, words }| Failure {
        command,
        errno,
        detail: match words.is_empty() {
            true => what.to_owned(),
            false => format!("{what}: {words}"),
        },
    }
}

/// XDP; `replaces` is the id of the program that must be there.
pub fn xdp(prog: &Fd, index: u32, mode: XdpMode, replaces: Option<u32>) -> Result<Fd, Failure> {
    let what = format!("attaching to interface {index}");
    let failed = wrong("RTM_SETLINK", &what);
    let socket = Socket::open().map_err(|e| failed(e.into()))?;
    let old = replaces.map(programs::by_id).transpose()?;
    let exclusive = match old {
        Some(_) => XDP_FLAGS_REPLACE,
        None => XDP_FLAGS_UPDATE_IF_NOEXIST,
    };
    let set = |program: Option<&Fd>, flags: u32, expected: Option<&Fd>| {
        let number = |fd: Option<&Fd>| fd.map_or(-1, Fd::number).to_ne_bytes();
        // struct ifinfomsg: family, type, index, flags, change
        let mut link = [0u8; 16];
        link[4..8].copy_from_slice(&index.to_ne_bytes());
        Message::new(RTM_SETLINK, 0, &link)
            .nested(IFLA_XDP, |m| {
                let m = m.attribute(IFLA_XDP_FD, &number(program));
                let m = match expected {
                    Some(fd) => m.attribute(IFLA_XDP_EXPECTED_FD, &number(Some(fd))),
                    None => m,
                };
                m.attribute(IFLA_XDP_FLAGS, &(xdp_flags(mode) | flags).to_ne_bytes())
            })
            .finish()
    };
    socket
        .request(&set(Some(prog), exclusive, old.as_ref()), |_, _| {})
        .map_err(&failed)?;
    // Only what is ours is taken off; what was there before comes back.
    let undo = set(old.as_ref(), XDP_FLAGS_REPLACE, Some(prog));
    let held: Vec<Fd> = [prog.clone()].into_iter().chain(old).collect();
    let numbers: Vec<_> = held.iter().map(Fd::number).collect();
    Undo::hold(
        vec![Step::Netlink(undo)],
        Some(socket),
        &numbers,
        vec![Box::new(held)],
    )
    .map_err(|e| failed(e.into()))
}

/// `struct tcmsg`
fn tcmsg(index: u32, handle: u32, parent: u32, info: u32) -> [u8; 20] {
    let mut bytes = [0; 20];
    for (at, field) in [index, handle, parent, info].into_iter().enumerate() {
        bytes[4 + 4 * at..][..4].copy_from_slice(&field.to_ne_bytes());
    }
    bytes
}

/// A filter of the `clsact` queueing discipline, whose return value is the verdict.
pub fn classifier(prog: &Fd, index: u32, egress: bool, priority: u16) -> Result<Fd, Failure> {
    let what = format!("attaching to interface {index}");
    let failed = wrong("RTM_NEWTFILTER", &what);
    let socket = Socket::open().map_err(|e| failed(e.into()))?;
    let qdisc = |kind, flags| {
        let message = Message::new(kind, flags, &tcmsg(index, CLSACT_HANDLE, TC_H_CLSACT, 0));
        message.string(TCA_KIND, "clsact").finish()
    };
    let create = qdisc(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL);
    let made = match socket.request(&create, |_, _| {}) {
        Ok(()) => true,
        Err(Refusal {
            errno: Errno::EEXIST,
            ..
        }) => false,
        Err(refusal) => return Err(wrong("RTM_NEWQDISC", &what)(refusal)),
    };
    let mut steps = Vec::new();
    let parent = if egress { EGRESS } else { INGRESS };
    match filter(&socket, prog, index, parent, priority) {
        Ok(delete) => steps.push(Step::Netlink(delete)),
        Err(refusal) => {
            if made {
                let _ = socket.exchange(&qdisc(RTM_DELQDISC, 0), &mut |_, _, _| {});
            }
            return Err(failed(refusal));
        }
    }
    if made {
        let dump =
            |parent| Message::new(RTM_GETTFILTER, NLM_F_DUMP, &tcmsg(index, 0, parent, 0)).finish();
        steps.push(Step::IfEmpty {
            dumps: [INGRESS, EGRESS].map(dump).into(),
            delete: qdisc(RTM_DELQDISC, 0),
        });
    }
    Undo::hold(steps, Some(socket), &[], Vec::new()).map_err(|e| failed(e.into()))
}

/// Makes the filter; the request that deletes it.
fn filter(
    socket: &Socket,
    prog: &Fd,
    index: u32,
    parent: u32,
    priority: u16,
) -> Result<Vec<u8>, Refusal> {
    let protocol = u32::from((libc::ETH_P_ALL as u16).to_be());
    let info = u32::from(priority) << 16 | protocol;
    let flags = NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO;
    let name = programs::name(prog).map_err(|e| e.errno)?;
    let request = Message::new(RTM_NEWTFILTER, flags, &tcmsg(index, 0, parent, info))
        .string(TCA_KIND, "bpf")
        .nested(TCA_OPTIONS, |m| {
            m.attribute(TCA_BPF_FD, &prog.number().to_ne_bytes())
                .string(TCA_BPF_NAME, &name)
                .attribute(TCA_BPF_FLAGS, &TCA_BPF_FLAG_ACT_DIRECT.to_ne_bytes())
        })
        .finish();
    // The kernel chose priority and handle, and tells them.
    let mut given = None;
    socket.request(&request, |kind, contents| {
        let word = |at: usize| {
            let bytes = contents.get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_ne_bytes(bytes))
        };
        if kind == RTM_NEWTFILTER {
            given = word(8).zip(word(16));
        }
    })?;
    let (handle, info) = given.ok_or(Errno::EPROTO)?;
    Ok(
        Message::new(RTM_DELTFILTER, 0, &tcmsg(index, handle, parent, info))
            .string(TCA_KIND, "bpf")
            .finish(),
    )
}

/// A route whose packets a program sees.
pub fn route(prog: &Fd, destination: IpAddr, prefix_len: u8, index: u32) -> Result<Fd, Failure> {
    let what = format!("route {destination}/{prefix_len} by interface {index}");
    let failed = wrong("RTM_NEWROUTE", &what);
    let (family, address) = match destination {
        IpAddr::V4(v4) => (libc::AF_INET as u8, v4.octets().to_vec()),
        IpAddr::V6(v6) => (libc::AF_INET6 as u8, v6.octets().to_vec()),
    };
    let prog_type = programs::prog_type(prog)?;
    let name = programs::name(prog)?;
    // The attribute that holds the program: LWT_BPF_IN, LWT_BPF_OUT, LWT_BPF_XMIT.
    let way = match prog_type {
        ProgType::LwtIn => 1,
        ProgType::LwtOut => 2,
        ProgType::LwtXmit => 3,
        ProgType::LwtSeg6local => SEG6_LOCAL_BPF,
        other => {
            let text = format!("{what}: programs of type {other} are for no route");
            return Err(wrong("RTM_NEWROUTE", &text)(Errno::EINVAL.into()));
        }
    };
    let seg6 = prog_type == ProgType::LwtSeg6local;
    let encap_type = if seg6 {
        LWTUNNEL_ENCAP_SEG6_LOCAL
    } else {
        LWTUNNEL_ENCAP_BPF
    };
    let request = |kind, flags| {
        // struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags
        let fixed = [
            family,
            prefix_len,
            0,
            0,
            RT_TABLE_MAIN,
            RTPROT_STATIC,
            RT_SCOPE_LINK,
            RTN_UNICAST,
            0,
            0,
            0,
            0,
        ];
        Message::new(kind, flags, &fixed)
            .attribute(RTA_DST, &address)
            .attribute(RTA_OIF, &index.to_ne_bytes())
            .attribute(RTA_ENCAP_TYPE, &encap_type.to_ne_bytes())
            .nested(RTA_ENCAP, |m| {
                let m = match seg6 {
                    true => {
                        m.attribute(SEG6_LOCAL_ACTION, &SEG6_LOCAL_ACTION_END_BPF.to_ne_bytes())
                    }
                    false => m,
                };
                m.nested(way, |m| {
                    m.attribute(LWT_BPF_PROG_FD, &prog.number().to_ne_bytes())
                        .string(LWT_BPF_PROG_NAME, &name)
                })
            })
            .finish()
    };
    let socket = Socket::open().map_err(|e| failed(e.into()))?;
    let create = request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
    socket.request(&create, |_, _| {}).map_err(&failed)?;
    Undo::hold(
        vec![Step::Netlink(request(RTM_DELROUTE, 0))],
        Some(socket),
        &[prog.number()],
        vec![Box::new(prog.clone())],
    )
    .map_err(|e| failed(e.into()))
}
