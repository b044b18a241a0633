//! Where programs are attached whose sections name no place: what the caller says, by the kind of
//! place that a program's type has.

use std::net::IpAddr;

use panal_uapi::{
    MapType,
    kernel::{AttachTarget, Order, XdpMode},
};

use crate::{Error, Loaded, LoadedProgram, Place, attach::unattached};

/// What the caller names: a program takes what its type can be attached to.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Network interfaces, by index: XDP, tc, socket filters; for routes, the first one.
    pub interfaces: Vec<u32>,
    /// How programs hang at interfaces.
    pub way: Way,
    /// By which part of the kernel XDP programs are run.
    pub xdp_mode: XdpMode,
    /// Directory of a cgroup.
    pub cgroup: Option<String>,
    /// Where among others, for tcx and cgroups.
    pub order: Order,
    /// A network namespace, by descriptor.
    pub net_namespace: Option<i32>,
    /// A netfilter hook.
    pub netfilter: Option<NetfilterHook>,
    /// Sockets, by descriptor: filters, and programs for a `SO_REUSEPORT` group.
    pub sockets: Vec<i32>,
    /// The map of sockets, when the object has several.
    pub socket_map: Option<String>,
    /// Where packets go: lightweight tunnels.
    pub routes: Vec<(IpAddr, u8)>,
}

/// How programs hang at network interfaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// By a link, which is gone with its descriptor.
    #[default]
    Link,
    /// By netlink, as before there were links.
    Netlink {
        /// Of tc filters: they run in this order, from 1; 0 means before the others.
        priority: u16,
        /// Id of the XDP program that is replaced.
        replaces: Option<u32>,
    },
}

/// A netfilter hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetfilterHook {
    /// `NFPROTO_*`
    pub family: u32,
    /// `NF_INET_*`
    pub hook: u32,
    /// Lower ones come first.
    pub priority: i32,
    /// Fragments are put together first.
    pub defrag: bool,
}

impl Loaded<'_> {
    /// What of `places` fits a program's type, when its section names none itself. More than one
    /// where several were named.
    ///
    /// # Errors
    /// [`Error::Unattached`] when nothing fits.
    pub fn targets(
        &self,
        program: &LoadedProgram,
        places: &Places,
    ) -> Result<Vec<AttachTarget>, Error> {
        let interfaces = || places.interfaces.iter().copied();
        let by_link = |index| AttachTarget::Interface {
            index,
            mode: places.xdp_mode,
            order: places.order,
        };
        let place = Place::of(&program.plan);
        let targets: Vec<AttachTarget> = match (place, places.way) {
            (Place::Interface | Place::Classifier, Way::Link) => {
                interfaces().map(by_link).collect()
            }
            (Place::Interface, Way::Netlink { replaces, .. }) => interfaces()
                .map(|index| AttachTarget::XdpNetlink {
                    index,
                    mode: places.xdp_mode,
                    replaces,
                })
                .collect(),
            (Place::Classifier, Way::Netlink { priority, .. }) => interfaces()
                .map(|index| AttachTarget::Classifier {
                    index,
                    egress: program.plan.attach_type == Some(panal_uapi::AttachType::TcxEgress),
                    priority,
                })
                .collect(),
            (Place::SocketFilter, _) => {
                let sockets = places.sockets.iter().copied();
                interfaces()
                    .map(by_link)
                    .chain(sockets.map(AttachTarget::Socket))
                    .collect()
            }
            (Place::Reuseport, _) => {
                let sockets = places.sockets.iter().copied();
                sockets.map(AttachTarget::ReuseportGroup).collect()
            }
            (Place::SocketMap, _) => {
                vec![AttachTarget::SocketMap(self.socket_map(program, places)?)]
            }
            (Place::Cgroup, _) => places
                .cgroup
                .iter()
                .map(|path| AttachTarget::Cgroup {
                    path: path.clone(),
                    order: places.order,
                })
                .collect(),
            (Place::NetNamespace, _) => places
                .net_namespace
                .iter()
                .map(|fd| AttachTarget::NetNamespace(*fd))
                .collect(),
            (Place::Netfilter, _) => places
                .netfilter
                .iter()
                .map(|hook| AttachTarget::Netfilter {
                    family: hook.family,
                    hook: hook.hook,
                    priority: hook.priority,
                    defrag: hook.defrag,
                })
                .collect(),
            (Place::Route, _) => {
                let index = places.interfaces.first();
                let routes = places.routes.iter();
                let route = |index: u32| {
                    routes.map(move |(destination, prefix_len)| AttachTarget::Route {
                        destination: *destination,
                        prefix_len: *prefix_len,
                        index,
                    })
                };
                index.map_or_else(Vec::new, |index| route(*index).collect())
            }
            (Place::Other(_), _) => Vec::new(),
        };
        match targets.is_empty() {
            true => Err(unattached(&program.plan, place)),
            false => Ok(targets),
        }
    }

    /// The map whose sockets a program is for: the one that was named, or the only one.
    fn socket_map(
        &self,
        program: &LoadedProgram,
        places: &Places,
    ) -> Result<panal_uapi::kernel::Fd, Error> {
        if let Some(name) = &places.socket_map {
            return Ok(self.map(name)?.fd.clone());
        }
        let of_sockets = |map_type| matches!(map_type, MapType::Sockmap | MapType::Sockhash);
        let mut maps = self.maps().iter().filter(|m| of_sockets(m.plan.map_type));
        match (maps.next(), maps.next()) {
            (Some(only), None) => Ok(only.fd.clone()),
            (None, _) => Err(unattached(
                &program.plan,
                Place::Other("a map of sockets in the object"),
            )),
            (Some(_), Some(_)) => Err(unattached(&program.plan, Place::SocketMap)),
        }
    }
}
