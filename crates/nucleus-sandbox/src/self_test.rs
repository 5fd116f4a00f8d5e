//! The self-test: tries the forbidden from inside, under all layers, before anything of the agent's runs.
//!
//! One success is a [`Breach`]: the pod is killed and the session refused. The list is of mechanisms, each tried in a way
//! that leaves nothing behind when it unexpectedly works.

use std::fs::{File, OpenOptions};
use std::io;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nucleus_sys::attempt;
use rustix::fs::{MemfdFlags, Mode};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// What the self-test of one holder looks at beyond the fixed list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfTest {
    /// Paths that must not exist inside: credentials beside toolchains, sockets of the host.
    pub absent: Vec<String>,
    /// Paths that must not be readable inside: withheld files of the workspace.
    pub unreadable: Vec<String>,
    /// Memory files must not be executable.
    pub memory_files: bool,
    /// A Landlock domain must be there.
    pub landlock: bool,
}

/// Something forbidden that worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Breach {
    /// A file of the host that only root may read could be read.
    HostSecret,
    /// A socket of the host exists.
    HostSocket,
    /// Credentials lie beside a toolchain.
    Credential,
    /// A withheld file of the workspace could be read.
    Withheld,
    /// A kernel setting could be written.
    KernelSetting,
    /// The root could be written.
    WritableRoot,
    /// A system directory could be written.
    WritableSystem,
    /// A socket family outside the pod's own could be had.
    SocketFamily,
    /// A protocol that steps around filters could be had.
    SocketProtocol,
    /// io_uring exists.
    IoUring,
    /// `clone3` exists.
    Clone3,
    /// A user namespace could be made.
    UserNamespace,
    /// Something could be mounted.
    Mount,
    /// Processes can be traced.
    Trace,
    /// A kernel keyring could be opened.
    Keyring,
    /// The Landlock domain is not there.
    NoDomain,
    /// An executable memory file could be made.
    MemoryFile,
    /// A connection left the pod.
    Connection,
    /// Init of the pod could be inspected.
    Inspection,
    /// Processes outside are visible.
    Processes,
    /// A capability is left.
    Capability,
    /// New privileges are possible.
    NewPrivileges,
    /// No system call filter is installed.
    NoFilter,
    /// A terminal controls the pod.
    Terminal,
    /// A descriptor was inherited.
    Descriptor,
    /// The control group tree is visible.
    ControlGroups,
}

impl Breach {
    /// Words for the operator.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HostSecret => "read a secret of the host",
            Self::HostSocket => "found a socket of the host",
            Self::Credential => "found credentials beside a toolchain",
            Self::Withheld => "read a withheld file of the workspace",
            Self::KernelSetting => "opened a kernel setting for writing",
            Self::WritableRoot => "wrote to the root",
            Self::WritableSystem => "wrote to a system directory",
            Self::SocketFamily => "made a socket of a forbidden family",
            Self::SocketProtocol => "made a socket of a forbidden protocol",
            Self::IoUring => "reached io_uring",
            Self::Clone3 => "reached clone3",
            Self::UserNamespace => "made a user namespace",
            Self::Mount => "mounted a file system",
            Self::Trace => "traced a process",
            Self::Keyring => "opened a kernel keyring",
            Self::NoDomain => "runs outside the Landlock domain",
            Self::MemoryFile => "made an executable memory file",
            Self::Connection => "connected to outside",
            Self::Inspection => "inspected the pod's init",
            Self::Processes => "saw processes of the host",
            Self::Capability => "kept a capability",
            Self::NewPrivileges => "can gain privileges by execve",
            Self::NoFilter => "runs without a system call filter",
            Self::Terminal => "has a controlling terminal",
            Self::Descriptor => "inherited a descriptor",
            Self::ControlGroups => "saw the control group tree",
        }
    }
}

/// Runs the test in this process, which must be a payload in a pod under all layers.
#[must_use]
pub(crate) fn run(test: &SelfTest) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut check = |breach: Breach, broken: bool| {
        if broken {
            breaches.push(breach);
        }
    };
    files(test, &mut check);
    sockets(&mut check);
    kernel(test, &mut check);
    processes(&mut check);
    breaches
}

fn files(test: &SelfTest, check: &mut impl FnMut(Breach, bool)) {
    for secret in ["/etc/shadow", "/etc/gshadow", "/proc/kcore", "/proc/keys"] {
        check(Breach::HostSecret, File::open(secret).is_ok());
    }
    for socket in HOST_SOCKETS {
        check(Breach::HostSocket, exists(socket) || UnixStream::connect(socket).is_ok());
    }
    for path in &test.absent {
        check(Breach::Credential, exists(path));
    }
    for path in &test.unreadable {
        let readable = std::fs::read_dir(path).is_ok()
            || std::fs::read(path).is_ok_and(|bytes| !bytes.is_empty());
        check(Breach::Withheld, readable);
    }
    for setting in
        ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/kernel/uevent_helper"]
    {
        check(Breach::KernelSetting, OpenOptions::new().write(true).open(setting).is_ok());
    }
    check(Breach::ControlGroups, exists("/sys/fs/cgroup"));
    for (place, breach) in [
        ("/.nucleus-self-test", Breach::WritableRoot),
        ("/etc/.nucleus-self-test", Breach::WritableRoot),
        ("/dev/.nucleus-self-test", Breach::WritableRoot),
        ("/usr/.nucleus-self-test", Breach::WritableSystem),
        ("/usr/bin/.nucleus-self-test", Breach::WritableSystem),
    ] {
        let made = File::create_new(place).is_ok();
        if made {
            // Best effort: the pod dies anyway.
            let _removed = std::fs::remove_file(place);
        }
        check(breach, made);
    }
    let changed = rustix::fs::chmod("/", Mode::from_raw_mode(0o755)).is_ok();
    check(Breach::WritableRoot, changed);
}

/// Sockets by which programs of a host hand out its powers.
const HOST_SOCKETS: [&str; 8] = [
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/dbus/system_bus_socket",
    "/run/systemd/private",
    "/run/nscd/socket",
    "/tmp/.X11-unix",
];

fn sockets(check: &mut impl FnMut(Breach, bool)) {
    const STREAM: i32 = 1;
    const DATAGRAM: i32 = 2;
    const RAW: i32 = 3;
    const SEQUENCED: i32 = 5;
    const INET: i32 = 2;
    const INET6: i32 = 10;
    const NETLINK: i32 = 16;
    // Packet, ALG, Bluetooth, VSOCK, XDP, key, TIPC, CAN, InfiniBand.
    for family in [17, 38, 31, 40, 44, 15, 30, 29, 27] {
        for kind in [STREAM, DATAGRAM, RAW, SEQUENCED] {
            check(Breach::SocketFamily, attempt::socket(family, kind, 0).is_ok());
        }
    }
    // Socket diagnosis, IPsec, audit, netfilter, device events, generic.
    for protocol in [4, 6, 9, 12, 15, 16] {
        check(Breach::SocketProtocol, attempt::socket(NETLINK, RAW, protocol).is_ok());
    }
    for family in [INET, INET6] {
        // MPTCP, SCTP, UDP-Lite, ICMP, ICMPv6, DCCP.
        for (kind, protocol) in
            [(STREAM, 262), (STREAM, 132), (DATAGRAM, 136), (DATAGRAM, 1), (DATAGRAM, 58), (6, 33)]
        {
            check(Breach::SocketProtocol, attempt::socket(family, kind, protocol).is_ok());
        }
        check(Breach::SocketProtocol, attempt::socket(family, RAW, 255).is_ok());
    }
    let outside = [
        SocketAddr::from(([1, 1, 1, 1], 443)),
        SocketAddr::from(([169, 254, 169, 254], 80)),
        SocketAddr::from(([0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111], 443)),
    ];
    for address in outside {
        let connected = TcpStream::connect_timeout(&address, Duration::from_millis(20)).is_ok();
        check(Breach::Connection, connected);
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let sent = UdpSocket::bind(any).and_then(|socket| socket.send_to(b"x", address));
        check(Breach::Connection, sent.is_ok());
    }
}

fn kernel(test: &SelfTest, check: &mut impl FnMut(Breach, bool)) {
    check(Breach::IoUring, !answers(attempt::io_uring(), Errno::NOSYS));
    check(Breach::Clone3, !answers(attempt::clone3(), Errno::NOSYS));
    check(Breach::UserNamespace, attempt::user_namespace().is_ok());
    check(Breach::Mount, attempt::mount("/tmp").is_ok());
    check(Breach::Mount, attempt::mount_context().is_ok());
    check(Breach::Keyring, attempt::keyring().is_ok());
    if test.landlock {
        // Everybody may write this one, except in the domain.
        let outside = OpenOptions::new().write(true).open("/proc/self/comm").is_ok();
        check(Breach::NoDomain, outside);
    }
    if test.memory_files {
        check(Breach::MemoryFile, executable_memory_file());
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_default()
    };
    check(Breach::NoFilter, field("Seccomp:") != "2");
    check(Breach::NewPrivileges, field("NoNewPrivs:") != "1");
    check(Breach::Capability, !nucleus_sys::caps::are_empty().unwrap_or(false));
    check(Breach::Trace, attempt::trace().is_ok());
}

fn processes(check: &mut impl FnMut(Breach, bool)) {
    for secret in
        ["/proc/1/environ", "/proc/1/mem", "/proc/1/maps", "/proc/1/fd/0", "/proc/1/root/etc"]
    {
        check(Breach::Inspection, File::open(secret).is_ok());
    }
    let others = std::fs::read_dir("/proc").map_or(true, |entries| {
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .any(|name| name.parse::<u32>().is_ok_and(|pid| pid > 1 && pid != std::process::id()))
    });
    check(Breach::Processes, others);
    check(Breach::Terminal, OpenOptions::new().read(true).open("/dev/tty").is_ok());
}

fn executable_memory_file() -> bool {
    const EXECUTABLE: u32 = 0x10;
    [MemfdFlags::CLOEXEC, MemfdFlags::CLOEXEC | MemfdFlags::from_bits_retain(EXECUTABLE)]
        .into_iter()
        .filter_map(|flags| rustix::fs::memfd_create("self-test", flags).ok())
        .any(|file| {
            let set = rustix::fs::fchmod(file.as_fd(), Mode::from_raw_mode(0o700)).is_ok();
            set && rustix::fs::fstat(&file).is_ok_and(|stat| stat.st_mode & 0o111 != 0)
        })
}

fn answers(result: io::Result<()>, expected: Errno) -> bool {
    matches!(result, Err(error) if error.raw_os_error() == Some(expected.raw_os_error()))
}

fn exists(path: &str) -> bool {
    rustix::fs::lstat(path).is_ok()
}
