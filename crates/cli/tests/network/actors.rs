//! What programs on the network and on cgroups hang on: this binary does it when it is started as
//! `network actor NAME [ADDRESS]`.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsRawFd, FromRawFd},
        unix::net::{UnixDatagram, UnixListener, UnixStream},
    },
    thread::sleep,
    time::Duration,
};

/// Does it; what it was told is wrong is told by panicking.
pub fn act(name: &str, address: Option<&str>) {
    let done = match name {
        "tcp4" => tcp(&(Ipv4Addr::LOCALHOST, 0).into()),
        "tcp6" => tcp(&(Ipv6Addr::LOCALHOST, 0).into()),
        "udp4" => udp(&(Ipv4Addr::LOCALHOST, 0).into()),
        "udp6" => udp(&(Ipv6Addr::LOCALHOST, 0).into()),
        "unix" => unix(),
        "device" => File::open("/dev/null").map(drop),
        "sysctl" => fs::read_to_string("/proc/sys/kernel/ostype").map(drop),
        "send" => send(address.expect("an address")),
        "reuseport" => reuseport(),
        other => panic!("no actor {other}"),
    };
    done.unwrap_or_else(|e| panic!("{name}: {e}"));
}

/// A connection and a few bytes in either direction.
fn tcp(at: &std::net::SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(at)?;
    let ours = TcpStream::connect(listener.local_addr()?)?;
    let (theirs, _) = listener.accept()?;
    ours.set_nodelay(true)?;
    ours.ttl()?;
    ours.peer_addr()?;
    for (sender, receiver) in [(&ours, &theirs), (&theirs, &ours)] {
        let (mut sender, mut receiver) = (sender, receiver);
        sender.write_all(b"hello")?;
        receiver.set_read_timeout(Some(Duration::from_secs(5)))?;
        receiver.read_exact(&mut [0; 5])?;
    }
    Ok(())
}

/// A datagram to a socket of our own.
fn udp(at: &std::net::SocketAddr) -> io::Result<()> {
    let (from, to) = (UdpSocket::bind(at)?, UdpSocket::bind(at)?);
    from.send_to(b"hello", to.local_addr()?)?;
    to.set_read_timeout(Some(Duration::from_secs(5)))?;
    to.recv_from(&mut [0; 5]).map(drop)
}

/// The same on paths.
fn unix() -> io::Result<()> {
    let folder = std::env::temp_dir().join(format!("panal-network-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let path = |name: &str| folder.join(name);
    let talk = || {
        let (from, to) = (
            UnixDatagram::bind(path("from"))?,
            UnixDatagram::bind(path("to"))?,
        );
        from.send_to(b"hello", path("to"))?;
        from.local_addr()?;
        to.recv_from(&mut [0; 5])?;
        let listener = UnixListener::bind(path("stream"))?;
        let stream = UnixStream::connect(path("stream"))?;
        listener.accept()?;
        stream.peer_addr().map(drop)
    };
    let done = talk();
    fs::remove_dir_all(&folder)?;
    done
}

/// Some datagrams; whether anybody gets them does not matter.
fn send(address: &str) -> io::Result<()> {
    let any = match address.starts_with('[') {
        true => "[::]:0",
        false => "0.0.0.0:0",
    };
    let socket = UdpSocket::bind(any)?;
    for _ in 0..5 {
        // An answer that nobody listens comes as an error of the next call.
        let _ = socket.send_to(b"hello", address);
        sleep(Duration::from_millis(40));
    }
    Ok(())
}

/// A socket that shares its port, until standard input ends. Its descriptor's number and its port
/// are printed.
fn reuseport() -> io::Result<()> {
    // SAFETY: the calls get numbers and one int; the descriptor is new and owned by nobody else.
    let socket = unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0);
        assert!(fd >= 0, "{}", io::Error::last_os_error());
        let on = 1i32;
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_REUSEPORT,
            (&raw const on).cast(),
            4,
        );
        let address = libc::sockaddr_in {
            sin_family: libc::AF_INET as u16,
            sin_port: 0,
            sin_addr: libc::in_addr {
                s_addr: u32::from_ne_bytes([127, 0, 0, 1]),
            },
            sin_zero: [0; 8],
        };
        let bound = libc::bind(fd, (&raw const address).cast(), 16);
        assert_eq!(bound, 0, "{}", io::Error::last_os_error());
        UdpSocket::from_raw_fd(fd)
    };
    println!("{} {}", socket.as_raw_fd(), socket.local_addr()?.port());
    io::stdin().read_to_end(&mut Vec::new()).map(drop)
}
