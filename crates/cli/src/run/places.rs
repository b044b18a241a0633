//! Finds on the running system what the command line names as places to attach to.

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd, RawFd},
    path::Path,
};

use panal_linux::{
    ForeignSocket, InterfaceWatch, interface_index, interface_names, network_namespace,
};
use panal_loader::{Error, LoadedProgram, NetfilterHook, Open, Place, Places, Way};
use panal_uapi::{
    AttachType, ProgType,
    kernel::{AttachTarget, Fd},
};

use super::Running;
use crate::{
    error::{Problem, named},
    load,
    object::choices,
    output,
    place_args::{PlaceArgs, SocketArg, options_for},
};

/// What was named, with what keeps it open.
pub struct Named {
    places: Places,
    /// The interfaces that are there, by name.
    interfaces: Vec<(u32, String)>,
    watch: InterfaceWatch,
    /// Programs hang at something else, too.
    elsewhere: bool,
    _sockets: Vec<ForeignSocket>,
    _net_namespace: File,
}

/// Moves this thread to the network namespace that was asked for: before everything else, so that
/// all that follows happens there.
pub fn enter(arguments: &PlaceArgs) -> Result<(), Problem> {
    let Some(name) = &arguments.netns else {
        return Ok(());
    };
    panal_linux::enter_network_namespace(name).map_err(|error| {
        let reason = match error.kind() {
            io::ErrorKind::NotFound => "there is none (`ip netns` lists them)".to_owned(),
            io::ErrorKind::PermissionDenied => format!(
                "{}: entering a network namespace takes CAP_SYS_ADMIN: run it as root",
                named(&error)
            ),
            io::ErrorKind::InvalidInput => {
                format!("{}: it is no network namespace", named(&error))
            }
            _ => named(&error),
        };
        Problem::Asked(format!("--netns {name}: {reason}"))
    })
}

/// Tells programs that are for either direction which one they are for.
pub fn direct(open: &mut Open, arguments: &PlaceArgs) {
    let ways = [
        (
            ProgType::SchedCls,
            [AttachType::TcxIngress, AttachType::TcxEgress],
        ),
        (
            ProgType::CgroupSkb,
            [AttachType::CgroupInetIngress, AttachType::CgroupInetEgress],
        ),
    ];
    for plan in open.programs_mut() {
        let way = ways.iter().find(|(ty, _)| plan.prog_type == Some(*ty));
        if let (None, Some((_, ways))) = (plan.attach_type, way) {
            plan.attach_type = Some(ways[usize::from(arguments.egress)]);
        }
    }
}

/// Looks everything up. `cgroup` is that of the command, for programs of which none was named.
pub fn find(arguments: &PlaceArgs, cgroup: Option<&Path>) -> Result<Named, Problem> {
    let cgroup = cgroup.map(|path| path.display().to_string());
    let interfaces: Vec<(u32, String)> = arguments
        .interfaces
        .iter()
        .map(|name| Ok((interface(name)?, name.clone())))
        .collect::<Result<_, Problem>>()?;
    let indexes: Vec<u32> = interfaces.iter().map(|(index, _)| *index).collect();
    let watch = InterfaceWatch::new(&indexes)
        .map_err(|e| Problem::Asked(format!("a netlink socket: {}", named(&e))))?;
    let sockets: Vec<_> = arguments
        .sockets
        .iter()
        .map(socket)
        .collect::<Result<_, _>>()?;
    let net_namespace = network_namespace()
        .map_err(|e| Problem::Asked(format!("the network namespace: {}", named(&e))))?;
    let places = Places {
        interfaces: indexes,
        way: way(arguments)?,
        xdp_mode: arguments.xdp_mode.into(),
        cgroup: arguments.cgroup.clone().or(cgroup),
        order: arguments.order.map(|order| order.0).unwrap_or_default(),
        net_namespace: Some(net_namespace.as_raw_fd()),
        netfilter: arguments.netfilter.map(|hook| NetfilterHook {
            family: hook.family,
            hook: hook.hook,
            priority: arguments.priority.unwrap_or(0),
            defrag: arguments.defrag,
        }),
        sockets: sockets.iter().map(AsRawFd::as_raw_fd).collect(),
        socket_map: arguments.socket_map.clone(),
        routes: arguments
            .routes
            .iter()
            .map(|route| (route.address, route.bits))
            .collect(),
    };
    Ok(Named {
        places,
        interfaces,
        watch,
        elsewhere: false,
        _sockets: sockets,
        _net_namespace: net_namespace,
    })
}

impl Named {
    /// Attaches a program to all that was named for its kind.
    pub fn attach(
        &mut self,
        running: &Running<'_>,
        program: &LoadedProgram,
    ) -> Result<Vec<Fd>, Problem> {
        let failed = |error| match error {
            Error::Unattached { needs, .. } => unnamed(&running.file, error, needs),
            error => load::problem(&running.file, error),
        };
        let targets = running.loaded.targets(program, &self.places);
        let mut links = Vec::new();
        for target in targets.map_err(failed)? {
            self.elsewhere |= !matches!(
                target,
                AttachTarget::Interface { .. }
                    | AttachTarget::XdpNetlink { .. }
                    | AttachTarget::Classifier { .. }
                    | AttachTarget::Route { .. }
            );
            let link = running.loaded.attach_to(program, &target);
            links.push(link.map_err(failed)?);
        }
        Ok(links)
    }

    /// Other programs hang where nobody named a place.
    pub fn is_not_all(&mut self) {
        self.elsewhere = true;
    }

    /// Becomes readable when something happens to an interface.
    pub fn descriptor(&self) -> RawFd {
        self.watch.descriptor()
    }

    /// Says which interfaces went away; whether nothing is left where events could happen.
    pub fn is_over(&mut self) -> bool {
        for index in self.watch.gone() {
            let gone = self.interfaces.extract_if(.., |(i, _)| *i == index);
            for (_, name) in gone {
                output::note(&format_args!(
                    "interface {name} is gone, with what was attached to it"
                ));
            }
        }
        self.interfaces.is_empty() && !self.places.interfaces.is_empty() && !self.elsewhere
    }
}

/// A program whose place nobody named, and the options that would.
fn unnamed(file: &str, error: Error, needs: Place) -> Problem {
    match options_for(needs) {
        Some(options) => Problem::Asked(format!("{file}: {error}: {options}")),
        None => load::problem(file, error),
    }
}

fn way(arguments: &PlaceArgs) -> Result<Way, Problem> {
    if !arguments.netlink {
        return Ok(Way::Link);
    }
    let priority = arguments.priority.unwrap_or(0);
    let priority = u16::try_from(priority)
        .map_err(|_| Problem::Asked(format!("--priority {priority}: filters have 0 to 65535")))?;
    Ok(Way::Netlink {
        priority,
        replaces: arguments.replace,
    })
}

fn interface(name: &str) -> Result<u32, Problem> {
    interface_index(name).map_err(|_| {
        let names = interface_names();
        let names = choices(names.iter().map(String::as_str));
        Problem::Asked(format!("no network interface {name}{names}"))
    })
}

fn socket(socket: &SocketArg) -> Result<ForeignSocket, Problem> {
    let SocketArg { pid, fd } = *socket;
    ForeignSocket::of(pid, fd).map_err(|error| {
        let reason = match error.raw_os_error().map(panal_uapi::Errno) {
            Some(panal_uapi::Errno::ESRCH) => "there is no such process".to_owned(),
            Some(panal_uapi::Errno::EBADF) => "the process has no such descriptor".to_owned(),
            Some(panal_uapi::Errno::EPERM) => format!(
                "{}: taking a copy of its descriptor takes the right to trace the process \
                 (CAP_SYS_PTRACE): run it as root",
                named(&error)
            ),
            _ => named(&error),
        };
        Problem::Asked(format!("--socket {pid}:{fd}: {reason}"))
    })
}
