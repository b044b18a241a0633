//! Where programs are attached on Linux: interfaces, cgroups, sockets and the like, as the command
//! line names them.

use std::{net::IpAddr, str::FromStr};

use clap::{Args, ValueEnum};
use panal_loader::Place;
use panal_uapi::kernel::{Order, Peer, XdpMode};

/// The options; sections of their own in the help.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Where to attach, with --kernel linux")]
pub struct PlaceArgs {
    /// To this network interface: XDP, tc, socket filters, routes; can be given many times
    #[arg(long = "interface", value_name = "NAME")]
    pub interfaces: Vec<String>,
    /// In this network namespace, by the name that `ip netns` gave it or by path; the command runs
    /// there, too
    #[arg(long, value_name = "NAME|PATH", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub netns: Option<String>,
    /// To this cgroup, by its directory; without it, to that of the command
    #[arg(long, value_name = "DIR")]
    pub cgroup: Option<String>,
    /// To this netfilter hook: ipv4 or ipv6, and prerouting, input, forward, output or postrouting
    #[arg(long, value_name = "FAMILY/HOOK")]
    pub netfilter: Option<HookArg>,
    /// To this socket of a process, by the number of its descriptor: socket filters, sk_reuseport
    #[arg(long = "socket", value_name = "PID:FD")]
    pub sockets: Vec<SocketArg>,
    /// To the sockets of this map of the object, when it has several
    #[arg(long, value_name = "MAP")]
    pub socket_map: Option<String>,
    /// To a new route, by the first interface: lightweight tunnels
    #[arg(long = "route", value_name = "ADDRESS/BITS", requires = "interfaces")]
    pub routes: Vec<RouteArg>,
    /// By which part of the kernel XDP programs are run
    #[arg(long, value_enum, value_name = "MODE", default_value_t = XdpModeArg::Auto)]
    pub xdp_mode: XdpModeArg,
    /// Programs for either direction (`tc`, `cgroup/skb`) see what leaves rather than what comes
    #[arg(long)]
    pub egress: bool,
    /// By netlink instead of by link: XDP as `ip link` does, tc as filters of a clsact qdisc
    #[arg(long)]
    pub netlink: bool,
    /// The id of the XDP program that is replaced, until the end
    #[arg(long, value_name = "ID", requires = "netlink")]
    pub replace: Option<u32>,
    /// Where among others, for tcx and cgroups: first, last, before=prog:ID, after=link:ID
    #[arg(long, value_name = "PLACE", conflicts_with = "netlink")]
    pub order: Option<OrderArg>,
    /// Lower ones come first: of netfilter programs, and of tc filters with --netlink
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub priority: Option<i32>,
    /// Netfilter programs see whole packets instead of fragments
    #[arg(long, requires = "netfilter")]
    pub defrag: bool,
}

impl PlaceArgs {
    /// The first option that was given, to say where it has no meaning.
    pub fn given(&self) -> Option<&'static str> {
        let options = [
            (!self.interfaces.is_empty(), "--interface"),
            (self.netns.is_some(), "--netns"),
            (self.cgroup.is_some(), "--cgroup"),
            (self.netfilter.is_some(), "--netfilter"),
            (!self.sockets.is_empty(), "--socket"),
            (self.socket_map.is_some(), "--socket-map"),
            (!self.routes.is_empty(), "--route"),
            (self.xdp_mode != XdpModeArg::Auto, "--xdp-mode"),
            (self.egress, "--egress"),
            (self.netlink, "--netlink"),
            (self.order.is_some(), "--order"),
            (self.priority.is_some(), "--priority"),
        ];
        options
            .into_iter()
            .find_map(|(given, name)| given.then_some(name))
    }
}

/// The options that name a place.
pub fn options_for(place: Place) -> Option<&'static str> {
    Some(match place {
        Place::Interface | Place::Classifier => "--interface NAME",
        Place::SocketFilter => "--interface NAME or --socket PID:FD",
        Place::Reuseport => "--socket PID:FD",
        Place::SocketMap => "--socket-map MAP",
        Place::Cgroup => "--cgroup DIR, or a command",
        Place::Netfilter => "--netfilter FAMILY/HOOK",
        Place::Route => "--route ADDRESS/BITS and --interface NAME",
        Place::NetNamespace | Place::Other(_) => return None,
    })
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum XdpModeArg {
    /// The driver where it can, else the network stack
    #[default]
    Auto,
    /// The driver
    Native,
    /// The network stack, on every interface
    Generic,
    /// The device itself
    Offload,
}

impl From<XdpModeArg> for XdpMode {
    fn from(mode: XdpModeArg) -> Self {
        match mode {
            XdpModeArg::Auto => XdpMode::Auto,
            XdpModeArg::Native => XdpMode::Native,
            XdpModeArg::Generic => XdpMode::Generic,
            XdpModeArg::Offload => XdpMode::Offload,
        }
    }
}

/// A netfilter hook by names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookArg {
    /// `NFPROTO_*`
    pub family: u32,
    /// `NF_INET_*`
    pub hook: u32,
}

impl FromStr for HookArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FAMILIES: [(&str, u32); 2] = [("ipv4", 2), ("ipv6", 10)];
        const HOOKS: [&str; 5] = ["prerouting", "input", "forward", "output", "postrouting"];
        let (family, hook) = text.split_once('/').unwrap_or((text, ""));
        let family = FAMILIES.iter().find(|(name, _)| *name == family);
        let hook = HOOKS.iter().position(|name| *name == hook);
        match (family, hook) {
            (Some((_, family)), Some(hook)) => Ok(HookArg {
                family: *family,
                hook: hook as u32,
            }),
            _ => Err(format!(
                "expected ipv4 or ipv6, a slash, and one of {}",
                HOOKS.join(", ")
            )),
        }
    }
}

/// A socket of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketArg {
    pub pid: u32,
    pub fd: i32,
}

impl FromStr for SocketArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':');
        let parsed = parts.and_then(|(pid, fd)| Some((pid.parse().ok()?, fd.parse().ok()?)));
        match parsed {
            Some((pid, fd)) if pid > 0 && fd >= 0 => Ok(SocketArg { pid, fd }),
            _ => Err("expected PID:FD, as 4711:5".to_owned()),
        }
    }
}

/// A destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteArg {
    pub address: IpAddr,
    pub bits: u8,
}

impl FromStr for RouteArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected an address and a number of bits, as 10.1.0.0/16".to_owned();
        let (address, bits) = text.split_once('/').ok_or_else(expected)?;
        let address: IpAddr = address.parse().map_err(|_| expected())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        match bits.parse() {
            Ok(bits) if bits <= most => Ok(RouteArg { address, bits }),
            _ => Err(expected()),
        }
    }
}

/// Where among others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderArg(pub Order);

impl FromStr for OrderArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || "expected first, last, before=prog:ID, before=link:ID, after=…".to_owned();
        let peer = |text: &str| {
            let (kind, id) = text.split_once(':')?;
            let id = id.parse().ok().filter(|id| *id != 0)?;
            match kind {
                "prog" => Some(Peer::Program(id)),
                "link" => Some(Peer::Link(id)),
                _ => None,
            }
        };
        let order = match text.split_once('=') {
            None if text == "first" => Some(Order::First),
            None if text == "last" => Some(Order::Last),
            Some(("before", of)) => peer(of).map(Order::Before),
            Some(("after", of)) => peer(of).map(Order::After),
            _ => None,
        };
        order.map(OrderArg).ok_or_else(expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_have_the_numbers_of_netfilter() {
        let hook = |text: &str| text.parse::<HookArg>().map(|h| (h.family, h.hook));
        assert_eq!(hook("ipv4/prerouting"), Ok((2, 0)));
        assert_eq!(hook("ipv6/postrouting"), Ok((10, 4)));
        for wrong in ["ipv4", "ipv4/", "inet/input", "ipv4/ingress", "/"] {
            assert!(hook(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn orders_sockets_and_routes_are_read() {
        let order = |text: &str| text.parse::<OrderArg>().map(|o| o.0).ok();
        assert_eq!(
            order("before=prog:12"),
            Some(Order::Before(Peer::Program(12)))
        );
        assert_eq!(order("after=link:7"), Some(Order::After(Peer::Link(7))));
        for wrong in [
            "",
            "before",
            "before=",
            "before=12",
            "after=map:1",
            "after=link:0",
            "first=link:1",
        ] {
            assert_eq!(order(wrong), None, "{wrong}");
        }
        for wrong in ["1", "0:1", "1:-1", "a:b", "1:2:3"] {
            assert!(wrong.parse::<SocketArg>().is_err(), "{wrong}");
        }
        for wrong in ["10.0.0.0", "10.0.0.0/33", "fd00::/129", "x/8", "1.2.3.4/-1"] {
            assert!(wrong.parse::<RouteArg>().is_err(), "{wrong}");
        }
    }
}
