//! Netfilter programs: a test run gives them a packet and the state of a hook.

use std::mem::{offset_of, size_of};

use panal_uapi::{
    Errno,
    kernel::{Failure, TestRun, TestRunResult},
};

use super::{Behaviour, no_hook, no_translation, refuse, skb};
use crate::{
    cpu::Session,
    objects::Program,
    packet::{ETH_HLEN, FRAME, Kind, TAILROOM},
    types::{laid_out::Object, packet::NfHookState},
};

pub(crate) const NETFILTER: Behaviour = Behaviour {
    context_access: no_translation,
    test_run: Some(test_run),
    hook_point: no_hook,
};

const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;

const NF_INET_LOCAL_OUT: u8 = 3;

/// Bytes of `struct nf_hook_state`, the same in every kernel and here.
const STATE: usize = size_of::<NfHookState>();

/// `NET_SKB_PAD` with `NET_IP_ALIGN`
const HEADROOM: usize = 64;

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;

/// The only device of a test run: loopback.
const DEVICE: u64 = 1;

/// Where a packet is on its way.
struct Hook {
    hook: u8,
    family: u8,
    /// Whether the state names the device, as Linux's does where the hook was given.
    device: bool,
}

/// The hook that `ctx_in` names; without one, IPv4's for what leaves.
fn hook(ctx: &[u8]) -> Result<Hook, Failure> {
    if ctx.is_empty() {
        return Ok(Hook {
            hook: NF_INET_LOCAL_OUT,
            family: NFPROTO_IPV4,
            device: false,
        });
    }
    if ctx.get(STATE..).is_some_and(|r| r.iter().any(|&b| b != 0)) {
        return Err(refuse(
            Errno::E2BIG,
            "ctx_in is larger than struct nf_hook_state and not zero there",
        ));
    }
    let mut state = [0; STATE];
    let len = ctx.len().min(STATE);
    state[..len].copy_from_slice(&ctx[..len]);
    let (_, pointers) = state.split_at(offset_of!(NfHookState, r#in));
    if pointers.iter().any(|&b| b != 0) {
        return Err(refuse(
            Errno::EINVAL,
            "ctx_in: only hook and pf of struct nf_hook_state can be set",
        ));
    }
    // Linux takes any number for the hook.
    let found = Hook {
        hook: state[offset_of!(NfHookState, hook)],
        family: state[offset_of!(NfHookState, pf)],
        device: true,
    };
    if !matches!(found.family, NFPROTO_IPV4 | NFPROTO_IPV6) {
        return Err(refuse(
            Errno::EINVAL,
            "ctx_in: pf is NFPROTO_IPV4 or NFPROTO_IPV6",
        ));
    }
    Ok(found)
}

/// Takes the link header off where the packet came from outside, and checks it there.
fn enter(session: &mut Session<'_>, hook: &Hook) -> Result<(), Failure> {
    const ETH_P_IP: u16 = 0x0800;
    const ETH_P_IPV6: u16 = 0x86dd;
    let packet = session.packet();
    let len = packet.len();
    skb::describe(packet, DEVICE as u32);
    if hook.hook == NF_INET_LOCAL_OUT {
        let protocol = match hook.family {
            NFPROTO_IPV6 => ETH_P_IPV6,
            _ => ETH_P_IP,
        };
        packet.set_field(skb::PROTOCOL, protocol.to_be().into());
        packet.sync();
        return Ok(());
    }
    let (family, header) = match u16::from_be(packet.field(skb::PROTOCOL) as u16) {
        _ if len < ETH_HLEN + IPV4_HEADER => (0, IPV4_HEADER),
        ETH_P_IP => (NFPROTO_IPV4, IPV4_HEADER),
        ETH_P_IPV6 => (NFPROTO_IPV6, IPV6_HEADER),
        _ => return Err(refuse(Errno::EPROTO, "the packet is neither IPv4 nor IPv6")),
    };
    if family != hook.family || len < ETH_HLEN + header {
        return Err(refuse(
            Errno::EINVAL,
            "the packet is of another family than the hook, or shorter than its headers",
        ));
    }
    packet.pull_link_header();
    packet.sync();
    Ok(())
}

/// Puts the context and what it points to in place.
fn place(session: &mut Session<'_>, hook: &Hook) -> Option<()> {
    let types = session.types();
    session.clear();
    let mut device = Object::new(&types, "net_device")?;
    device.set("ifindex", DEVICE)?;
    let device = session.place(device.bytes(), 8)?;

    let mut state = Object::new(&types, "nf_hook_state")?;
    state.set("hook", hook.hook.into())?;
    state.set("pf", hook.family.into())?;
    // Linux's run names the device that the packet leaves by, whatever the hook, and nothing else.
    if hook.device {
        state.set("out", device)?;
    }
    let state = session.place(state.bytes(), 8)?;

    let packet = session.packet();
    let (start, len) = packet.extent();
    let protocol = packet.field(skb::PROTOCOL);
    let mut buffer = Object::new(&types, "sk_buff")?;
    buffer.set("len", len)?;
    buffer.set("protocol", protocol.into())?;
    buffer.set("data", start)?;
    if hook.hook != NF_INET_LOCAL_OUT {
        buffer.set("dev", device)?;
    }
    let buffer = session.place(buffer.bytes(), 8)?;

    let mut context = Object::new(&types, "bpf_nf_ctx")?;
    context.set("state", state)?;
    context.set("skb", buffer)?;
    session.load_context(context.bytes(), context.bytes().len());
    Some(())
}

fn test_run(
    session: &mut Session<'_>,
    program: &Program,
    run: &TestRun,
) -> Result<TestRunResult, Failure> {
    if run.flags != 0 || run.cpu != 0 {
        return Err(refuse(
            Errno::EINVAL,
            "flags and CPU mean nothing to this program type",
        ));
    }
    let most = FRAME - HEADROOM - TAILROOM;
    if !(IPV4_HEADER..=most).contains(&run.data_in.len()) {
        return Err(refuse(
            Errno::EINVAL,
            format!("a packet has {IPV4_HEADER} to {most} bytes here"),
        ));
    }
    let hook = hook(&run.ctx_in)?;
    session
        .load_packet(Kind::Skb, &run.data_in, 0)
        .map_err(|errno| refuse(errno, "the packet does not fit"))?;
    enter(session, &hook)?;
    let placed = place(session, &hook);
    placed.ok_or_else(|| {
        refuse(
            Errno::EOPNOTSUPP,
            "the kernel's types lack what a netfilter program sees",
        )
    })?;
    let result = session.repeat(program, run.repeat);
    session.clear();
    Ok(result)
}
