//! XDP: `struct xdp_md`.

use panal_isa::Size;
use panal_uapi::{
    AttachType, Errno,
    kernel::{AttachTarget, Failure, TestRun, TestRunResult},
};
use panal_vm::ContextAccess;

use super::{Behaviour, LIVE_FRAMES, refuse};
use crate::{
    attach::{Direction, HookPoint},
    cpu::Session,
    kernel::Shared,
    objects::Program,
    packet::{ETH_HLEN, FRAME, HEADROOM, Kind, LONGEST, TAILROOM},
};

pub(crate) const XDP: Behaviour = Behaviour {
    context_access,
    test_run: Some(test_run),
    hook_point,
};

/// Bytes of `struct xdp_md`.
pub(crate) const SIZE: usize = 24;

const DATA: usize = 0;
const DATA_END: usize = 4;
const DATA_META: usize = 8;
pub(crate) const INGRESS_IFINDEX: usize = 12;
pub(crate) const RX_QUEUE_INDEX: usize = 16;
const EGRESS_IFINDEX: usize = 20;

/// Most metadata that a test run may bring.
const METADATA_MOST: usize = 216;

fn context_access(offset: u32, _: Size, _: bool) -> Option<ContextAccess> {
    let index = match offset as usize {
        DATA => 0,
        DATA_END => 1,
        DATA_META => 2,
        _ => return None,
    };
    Some(ContextAccess::Pointer {
        offset: (SIZE + 8 * index) as u32,
    })
}

fn hook_point(_: &Shared, _: &Program, target: &AttachTarget) -> Option<HookPoint> {
    match target {
        AttachTarget::Interface { index, .. } => Some(HookPoint::Packets {
            port: *index,
            direction: Direction::Xdp,
        }),
        _ => None,
    }
}

/// The context that a test run brings, as the kernel reads it.
struct Given {
    meta: usize,
    end: usize,
    ingress_ifindex: u32,
    rx_queue_index: u32,
}

fn given(run: &TestRun) -> Result<Given, Failure> {
    let size = run.data_in.len();
    if run.ctx_in.is_empty() {
        return Ok(Given {
            meta: 0,
            end: size,
            ingress_ifindex: 1,
            rx_queue_index: 0,
        });
    }
    let invalid = |what: &str| refuse(Errno::EINVAL, what);
    if run
        .ctx_in
        .get(SIZE..)
        .is_some_and(|rest| rest.iter().any(|&b| b != 0))
    {
        return Err(refuse(
            Errno::E2BIG,
            "ctx_in is larger than struct xdp_md and not zero there",
        ));
    }
    let field = |at: usize| {
        let mut word = [0; 4];
        for (i, b) in word.iter_mut().enumerate() {
            *b = run.ctx_in.get(at + i).copied().unwrap_or(0);
        }
        u32::from_ne_bytes(word)
    };
    let (meta, end) = (field(DATA) as usize, field(DATA_END) as usize);
    if field(DATA_META) != 0 || end > size || meta > end {
        return Err(invalid(
            "ctx_in: data_meta must be 0, and data <= data_end <= size of the data",
        ));
    }
    if !meta.is_multiple_of(4) || meta > METADATA_MOST {
        return Err(invalid(
            "ctx_in: data, the size of the metadata, must be a multiple of 4 up to 216",
        ));
    }
    if field(EGRESS_IFINDEX) != 0 {
        return Err(invalid("ctx_in: egress_ifindex must be 0"));
    }
    let (ingress, queue) = (field(INGRESS_IFINDEX), field(RX_QUEUE_INDEX));
    if ingress == 0 && queue != 0 {
        return Err(invalid("ctx_in: rx_queue_index needs an ingress_ifindex"));
    }
    Ok(Given {
        meta,
        end,
        ingress_ifindex: ingress.max(1),
        rx_queue_index: queue,
    })
}

fn test_run(
    session: &mut Session<'_>,
    program: &Program,
    run: &TestRun,
) -> Result<TestRunResult, Failure> {
    if matches!(
        program.attach_type(),
        Some(AttachType::XdpDevmap | AttachType::XdpCpumap)
    ) {
        return Err(refuse(
            Errno::EINVAL,
            "programs of device and CPU maps have no test run",
        ));
    }
    if run.flags & LIVE_FRAMES != 0 {
        return Err(refuse(
            Errno::EOPNOTSUPP,
            "there are no live frames in a test run here",
        ));
    }
    if run.flags != 0 || run.cpu != 0 {
        return Err(refuse(Errno::EINVAL, "flags and CPU mean nothing to XDP"));
    }
    let given = given(run)?;
    let size = run.data_in.len();
    if size - given.meta < ETH_HLEN {
        return Err(refuse(
            Errno::EINVAL,
            format!("a frame has at least {ETH_HLEN} bytes"),
        ));
    }
    let linear = FRAME - TAILROOM - (HEADROOM - given.meta);
    if size > LONGEST {
        return Err(refuse(
            Errno::ENOMEM,
            format!("a frame has at most {LONGEST} bytes"),
        ));
    }
    if given.end < size || size > linear {
        return Err(refuse(
            Errno::EOPNOTSUPP,
            format!(
                "{size} bytes would need fragments, which are not supported ({linear} bytes do not)"
            ),
        ));
    }
    session
        .load_packet(Kind::Xdp, &run.data_in, given.meta)
        .map_err(|errno| refuse(errno, "the frame does not fit"))?;
    let packet = session.packet();
    packet.set_field(INGRESS_IFINDEX, given.ingress_ifindex);
    packet.set_field(RX_QUEUE_INDEX, given.rx_queue_index);
    packet.sync();
    let mut result = session.repeat(program, run.repeat);
    let packet = session.packet();
    result.data_out = packet.bytes_with_meta();
    if !run.ctx_in.is_empty() {
        let mut ctx = [0; SIZE];
        packet.context_bytes(0, &mut ctx);
        let bounds = [
            packet.meta_len() as u32,
            (packet.meta_len() + packet.len()) as u32,
            0,
        ];
        for (i, bound) in bounds.into_iter().enumerate() {
            ctx[4 * i..4 * i + 4].copy_from_slice(&bound.to_ne_bytes());
        }
        result.ctx_out = ctx.to_vec();
    }
    Ok(result)
}
