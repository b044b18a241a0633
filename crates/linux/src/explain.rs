//! Why an attachment failed, beyond the errno: what this kernel lacks, which right is missing, or
//! what is wrong with the request; and what to do.

use std::path::Path;

use panal_btf::{Btf, Kind, KindTag};
use panal_uapi::{
    AttachType, Errno,
    kernel::{AttachTarget, Failure, Kernel, XdpMode},
};

use crate::{LinuxKernel, foreign::is_cgroup2, rights};

/// What a failure's detail has when the missing right, or what to do, is named in it.
const TOLD: &str = "tracing file system";

/// A feature that a kernel may lack: the function that it consists of, and who has it.
struct Feature {
    function: &'static str,
    what: &'static str,
    since: &'static str,
    config: &'static str,
    instead: &'static str,
}

/// What a target takes of the kernel; `None` for tracing.
fn feature(target: &AttachTarget, attach_type: Option<AttachType>) -> Option<Feature> {
    use AttachType::{NetkitPeer, NetkitPrimary, TcxEgress, TcxIngress};
    let feature = |function, what, since, config, instead| {
        Some(Feature {
            function,
            what,
            since,
            config,
            instead,
        })
    };
    match target {
        AttachTarget::Interface { .. } => match attach_type {
            Some(TcxIngress | TcxEgress) => feature(
                "tcx_link_attach",
                "tcx links",
                "6.6",
                "CONFIG_NET_XGRESS",
                "attach as a clsact filter by netlink",
            ),
            Some(NetkitPrimary | NetkitPeer) => feature(
                "netkit_link_attach",
                "netkit devices",
                "6.7",
                "CONFIG_NETKIT",
                "",
            ),
            Some(AttachType::Xdp) => feature(
                "bpf_xdp_link_attach",
                "XDP links",
                "5.9",
                "CONFIG_NET",
                "attach by netlink",
            ),
            _ => None,
        },
        AttachTarget::Classifier { .. } => feature(
            "cls_bpf_change",
            "BPF filters in tc",
            "4.1",
            "CONFIG_NET_CLS_BPF and CONFIG_NET_SCH_INGRESS",
            "",
        ),
        AttachTarget::Cgroup { .. } => feature(
            "cgroup_bpf_link_attach",
            "BPF on cgroups",
            "5.7",
            "CONFIG_CGROUP_BPF",
            "",
        ),
        AttachTarget::NetNamespace(_) => feature(
            "netns_bpf_link_create",
            "links on network namespaces",
            "5.8",
            "CONFIG_NET",
            "",
        ),
        AttachTarget::Netfilter { .. } => feature(
            "bpf_nf_link_attach",
            "BPF on netfilter hooks",
            "6.4",
            "CONFIG_NETFILTER_BPF_LINK",
            "",
        ),
        AttachTarget::SocketMap(_) => feature(
            "sock_map_prog_update",
            "programs on maps of sockets",
            "4.14",
            "CONFIG_BPF_STREAM_PARSER",
            "",
        ),
        AttachTarget::ReuseportGroup(_) => feature(
            "sk_reuseport_attach_bpf",
            "programs for groups of sockets",
            "4.5",
            "CONFIG_NET",
            "",
        ),
        AttachTarget::Route { .. } => feature(
            "bpf_build_state",
            "BPF on routes",
            "4.10",
            "CONFIG_LWTUNNEL_BPF",
            "",
        ),
        _ => None,
    }
}

/// Adds to a failure what is known about it.
pub fn explain(
    kernel: &LinuxKernel,
    attach_type: Option<AttachType>,
    target: &AttachTarget,
    mut failure: Failure,
) -> Failure {
    let may_lack = matches!(
        failure.errno,
        Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOTSUPP | Errno::ENOENT | Errno::ENOPROTOOPT
    );
    let lacking = may_lack
        .then(|| lacking(kernel, attach_type, target))
        .flatten();
    let reason = match (lacking, failure.errno) {
        (Some(lacking), _) => lacking,
        // What was found out already is the reason.
        (None, Errno::EPERM | Errno::EACCES) if failure.detail.contains(TOLD) => String::new(),
        (None, errno @ (Errno::EPERM | Errno::EACCES)) => {
            rights::refused(target, attach_type, errno)
        }
        (None, errno) => mistake(target, attach_type, errno).to_owned(),
    };
    if !reason.is_empty() {
        let detail = &mut failure.detail;
        *detail = match detail.is_empty() {
            true => reason,
            false => format!("{detail}: {reason}"),
        };
    }
    failure
}

/// What the running kernel does not have of it, by its own types.
fn lacking(
    kernel: &LinuxKernel,
    attach_type: Option<AttachType>,
    target: &AttachTarget,
) -> Option<String> {
    let feature = feature(target, attach_type)?;
    let types = kernel.btf().ok()?;
    let name = attach_type.map(AttachType::uapi_name);
    if let Some(name) = name.filter(|name| !has_attach_type(&types, name)) {
        return Some(format!(
            "this kernel ({}) has no {name}",
            kernel.name().trim_start_matches("linux ")
        ));
    }
    if types.find(feature.function, KindTag::Func).is_some() {
        return None;
    }
    let Feature {
        what,
        since,
        config,
        instead,
        ..
    } = feature;
    let instead = match instead {
        "" => String::new(),
        instead => format!("; {instead}"),
    };
    Some(format!(
        "this kernel has no {what} (they came with Linux {since}, {config}){instead}"
    ))
}

fn has_attach_type(types: &Btf, name: &str) -> bool {
    let Some(id) = types.find("bpf_attach_type", KindTag::Enum) else {
        return true;
    };
    match types.get(id).map(|ty| &ty.kind) {
        Some(Kind::Enum { values, .. }) => values.iter().any(|v| &*v.name == name),
        _ => true,
    }
}

/// What is wrong with the request, or in its way.
fn mistake(target: &AttachTarget, attach_type: Option<AttachType>, errno: Errno) -> &'static str {
    use AttachTarget::*;
    match (target, errno) {
        (
            Interface { .. } | XdpNetlink { .. } | Classifier { .. } | Route { .. },
            Errno::ENODEV | Errno::ENXIO,
        ) => "there is no such interface in this network namespace (any more)",
        (Interface { .. }, Errno::EBUSY | Errno::EEXIST)
            if attach_type == Some(AttachType::Xdp) =>
        {
            "an XDP program is there already (`bpftool net` tells which): end what holds it, or \
             `ip link set dev IFACE xdp off` if it was attached by netlink"
        }
        (Interface { .. }, Errno::EEXIST) => "the program hangs there already",
        (XdpNetlink { replaces: None, .. }, Errno::EBUSY | Errno::EEXIST) => {
            "an XDP program is there already: name its id as the one to replace \
             (`bpftool net` tells it), or take it off"
        }
        (XdpNetlink { .. }, Errno::EBUSY | Errno::EEXIST) => {
            "another program is there than the one to replace, or it is held by a link"
        }
        (
            Interface {
                mode: XdpMode::Offload,
                ..
            }
            | XdpNetlink {
                mode: XdpMode::Offload,
                ..
            },
            _,
        ) => "the device does not run XDP programs itself (offload): generic XDP works on all",
        (
            Interface {
                mode: XdpMode::Native,
                ..
            }
            | XdpNetlink {
                mode: XdpMode::Native,
                ..
            },
            Errno::EOPNOTSUPP | Errno::EINVAL,
        ) => "the interface's driver does not run XDP programs so: generic XDP works on all",
        (
            Interface { .. } | XdpNetlink { .. },
            Errno::EINVAL | Errno::ERANGE | Errno::EOPNOTSUPP,
        ) if attach_type == Some(AttachType::Xdp) => {
            "the driver refuses: is the MTU too large for XDP, or LRO on?"
        }
        (Interface { .. } | Cgroup { .. }, Errno::ENOENT) if !no_such_cgroup(target) => {
            "the program or link that it is to stand beside is not attached there"
        }
        (Interface { .. }, Errno::ERANGE) => "no more programs fit there (64 at most)",
        (Interface { .. }, Errno::EINVAL) => {
            "programs of this type and attach type are for no interface"
        }
        (Classifier { .. }, Errno::EEXIST) => {
            "the interface has another qdisc at ingress, or a filter of this priority of another kind"
        }
        (Cgroup { .. }, Errno::ENOENT | Errno::ENOTDIR) => "there is no such cgroup",
        (Cgroup { path, .. }, Errno::EBADF | Errno::EINVAL)
            if !is_cgroup2(Path::new(path)).unwrap_or(true) =>
        {
            "the directory is no cgroup of version 2 (`findmnt -t cgroup2` tells where they are)"
        }
        (Cgroup { .. }, Errno::EINVAL) => {
            "programs of this type and attach type are for no cgroup, or this kernel does not know \
             the order that was asked for (Linux 6.17)"
        }
        (Cgroup { .. }, Errno::E2BIG) => "no more programs fit there (64 at most)",
        (Socket(_) | ReuseportGroup(_), Errno::EBADF | Errno::ENOTSOCK) => {
            "the descriptor is not that of a socket"
        }
        (ReuseportGroup(_), Errno::EINVAL) => {
            "the socket has no SO_REUSEPORT, is not bound, or does not listen; or the program is \
             neither an sk_reuseport program nor a socket filter"
        }
        (Socket(_), Errno::EINVAL) => "the program is not a socket filter",
        (SocketMap(_), Errno::EBUSY | Errno::EEXIST) => {
            "the map has a program of this attach type already"
        }
        (SocketMap(_), Errno::EINVAL | Errno::EOPNOTSUPP) => {
            "the map is no sockmap or sockhash, or the program is for none; a verdict program and a \
             stream verdict program exclude each other"
        }
        (NetNamespace(_), Errno::E2BIG | Errno::EEXIST | Errno::EBUSY)
            if attach_type == Some(AttachType::FlowDissector) =>
        {
            "a flow dissector is attached there already, or for the whole machine"
        }
        (NetNamespace(_), Errno::E2BIG) => "no more programs fit there (64 at most)",
        (NetNamespace(_), Errno::EINVAL) => {
            "the descriptor is not a network namespace's, or the program is neither sk_lookup nor \
             flow_dissector"
        }
        (Netfilter { .. }, Errno::EBUSY | Errno::EEXIST) => {
            "a BPF program has this priority at the hook already: take another one"
        }
        (Netfilter { .. }, Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT) => {
            "BPF programs are for the families ipv4 and ipv6"
        }
        (Netfilter { .. }, Errno::EINVAL | Errno::ERANGE) => {
            "the hook does not exist, or the priority is out of range: with defrag it must be above \
             -400, and below 2147483647 always"
        }
        (Netfilter { defrag: true, .. }, Errno::ENOENT | Errno::EOPNOTSUPP) => {
            "this kernel cannot put fragments together (CONFIG_NF_DEFRAG_IPV4, CONFIG_NF_DEFRAG_IPV6)"
        }
        (Route { .. }, Errno::EEXIST) => "there is a route to this destination",
        (Route { .. }, Errno::ENETDOWN | Errno::ENETUNREACH) => {
            "the interface is down, or has no address of this family"
        }
        _ => "",
    }
}

fn no_such_cgroup(target: &AttachTarget) -> bool {
    match target {
        AttachTarget::Cgroup { path, .. } => !Path::new(path).exists(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use panal_btf::EnumValue;
    use panal_uapi::kernel::Order;

    use super::*;

    /// A kernel with these attach types and no function at all.
    fn old_kernel(attach_types: &[&str]) -> LinuxKernel {
        let mut types = panal_btf::Builder::new();
        let values = attach_types.iter().zip(0..).map(|(name, value)| EnumValue {
            name: (*name).into(),
            value,
        });
        let kind = Kind::Enum {
            size: 4,
            signed: false,
            wide: false,
            values: values.collect(),
        };
        types.add("bpf_attach_type", kind);
        LinuxKernel::with_types(types.finish().expect("valid"))
    }

    fn said(kernel: &LinuxKernel, attach_type: AttachType, target: &AttachTarget) -> String {
        let failure = Failure {
            command: "BPF_LINK_CREATE",
            errno: Errno::EINVAL,
            detail: String::new(),
        };
        explain(kernel, Some(attach_type), target, failure).to_string()
    }

    #[test]
    fn what_an_old_kernel_lacks_is_told_with_what_to_do() {
        let interface = AttachTarget::Interface {
            index: 1,
            mode: XdpMode::Auto,
            order: Order::default(),
        };
        let cgroup = AttachTarget::Cgroup {
            path: "/".to_owned(),
            order: Order::default(),
        };
        let old = old_kernel(&["BPF_XDP", "BPF_CGROUP_INET_INGRESS"]);
        for (attach_type, target, says) in [
            (
                AttachType::Xdp,
                &interface,
                "this kernel has no XDP links (they came with Linux 5.9, CONFIG_NET); attach by netlink",
            ),
            (
                AttachType::CgroupInetIngress,
                &cgroup,
                "this kernel has no BPF on cgroups (they came with Linux 5.7, CONFIG_CGROUP_BPF)",
            ),
            (AttachType::TcxIngress, &interface, "has no BPF_TCX_INGRESS"),
        ] {
            let text = said(&old, attach_type, target);
            assert!(
                text.starts_with("BPF_LINK_CREATE: EINVAL (invalid argument): "),
                "{text}"
            );
            assert!(text.contains(says), "{says:?} in {text}");
        }
    }
}
